# Looking at paths while evaluating.
{ lib }:
rec {
  # `builtins.readFileType` came with Nix 2.14.
  pathType =
    builtins.readFileType or (
      path:
      if !builtins.pathExists path then
        throw "lib.filesystem.pathType: Path ${toString path} does not exist."
      else
        (builtins.readDir (dirOf path)).${baseNameOf path}
    );
  pathIsDirectory = path: builtins.pathExists path && pathType path == "directory";
  pathIsRegularFile = path: builtins.pathExists path && pathType path == "regular";
  listFilesRecursive =
    dir:
    lib.flatten (
      lib.mapAttrsToList (
        name: type: if type == "directory" then listFilesRecursive (dir + "/${name}") else dir + "/${name}"
      ) (builtins.readDir dir)
    );
}
