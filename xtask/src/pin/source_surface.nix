# The arguments of a llama.cpp revision's packaging. `locked` is its node in flake.lock, so that
# pure evaluation may fetch it.
locked:
let
  tree = builtins.fetchTree locked;
  below = if locked ? dir then "/${locked.dir}" else "";
  path = "${tree}${below}";
  argumentsOf = file: if builtins.pathExists file then builtins.functionArgs (import file) else null;
  attempt =
    value:
    let
      result = builtins.tryEval (builtins.deepSeq value value);
    in
    if result.success then result.value else null;
in
{
  inherit path;
  surface = {
    package = attempt (argumentsOf "${path}/.devops/nix/package.nix");
    scope = attempt (argumentsOf "${path}/.devops/nix/scope.nix");
    backends = [ ];
  };
}
