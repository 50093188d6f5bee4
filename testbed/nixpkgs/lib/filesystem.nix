# Paths and directories.
{ lib }:
rec {
  # `builtins.readFileType` is new in Nix 2.14.
  pathType =
    builtins.readFileType or (
      path:
      if !builtins.pathExists path then
        throw "lib.filesystem.pathType: Path ${toString path} does not exist."
      else
        (builtins.readDir (dirOf path)).${baseNameOf path}
    );
  pathIsDirectory = path: builtins.pathExists path && pathType path == "directory";
  listFilesRecursive =
    dir:
    lib.flatten (
      lib.mapAttrsToList (
        name: type: if type == "directory" then listFilesRecursive (dir + "/${name}") else dir + "/${name}"
      ) (builtins.readDir dir)
    );
}
