# Evaluates hosts one after another in one evaluator, which shares what they have in common. Each
# host is printed when it begins and when it is done, so that a failure, a kill or a hang costs
# only that host's result. check/evaluator.rs applies it; check/batch.rs reads the lines.
{
  select,
  hosts,
  mark,
}:
configurations:
let
  turn =
    name:
    builtins.trace "${mark} begin ${builtins.toJSON name}" (
      builtins.trace "${mark} done ${
        builtins.toJSON {
          host = name;
          answer = (select { hosts = [ name ]; } configurations).${name};
        }
      }" true
    );
in
builtins.foldl' (_: turn) true hosts
