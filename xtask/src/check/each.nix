# Hosts one after another in one evaluator, which shares what they have in common.
# A host is named when its turn begins, and its answer is printed when it ends, so
# that a fault, a kill or a hang takes no other host's answer with it, and is that
# host's own. check/evaluator.rs applies it; check/batch.rs reads the lines.
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
