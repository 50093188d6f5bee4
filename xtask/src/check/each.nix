# Evaluates hosts one after another in one process, so that they share most of the work. Prints
# each host when it begins and when it is done, so that a failure, a kill or a hang costs only that
# host's result. check/evaluator.rs applies it; check/batch.rs parses the lines.
{
  select,
  hosts,
  mark,
}:
configurations:
let
  evaluate =
    name:
    builtins.trace "${mark} begin ${builtins.toJSON name}" (
      builtins.trace "${mark} done ${
        builtins.toJSON {
          host = name;
          result = (select { hosts = [ name ]; } configurations).${name};
        }
      }" true
    );
in
builtins.foldl' (_: evaluate) true hosts
