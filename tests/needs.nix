# overlays/llama-cpp/needs.json lists everything in llama.cpp that the overlay depends on. `xtask
# update` checks a new revision for it.
{ flake, lib, ... }:
let
  pkgs = flake.legacyPackages.x86_64-linux;
  needs = lib.importJSON ../overlays/llama-cpp/needs.json;
  table = (lib.importJSON ../overlays/llama-cpp/microarch.json).x86_64.features;
  cmakeFlags = import ../overlays/llama-cpp/cmake-flags.nix { inherit lib; };

  namesIn = flags: lib.filter (name: name != null) (map cmakeFlags.nameOf flags);
  upstreams = namesIn (map toString pkgs.llama-cpp-upstream.cmakeFlags);
  known =
    upstreams
    ++ lib.attrNames needs.cmakeOptions
    ++ lib.mapAttrsToList (_: feature: feature.cmake) table;

  unnamed =
    package:
    lib.filter (name: !lib.hasPrefix "CMAKE_" name) (
      lib.subtractLists known (namesIn package.llamaCpp.cmakeFlags)
    );

  arguments = import (flake.inputs.llama-cpp + "/.devops/nix/package.nix");
  taken = lib.functionArgs arguments;
  named = lib.attrValues needs.backends ++ needs.switchedOff ++ lib.attrNames needs.arguments;
in
{
  "every CMake option that the overlay sets is a need" = {
    expr = map unnamed [
      pkgs.llama-cpp-cpu
      pkgs.llama-cpp-cuda
      pkgs.llama-cpp-rocm
      pkgs.llama-cpp-vulkan
      pkgs.llama-cpp-for.tigerlake
    ];
    expected = [
      [ ]
      [ ]
      [ ]
      [ ]
      [ ]
    ];
  };

  "every needed argument exists, in either revision" = {
    expr = lib.filter (name: !(taken ? ${name})) named;
    expected = [ ];
  };

  "every switch that the overlay sets is a need" = {
    expr = lib.filter (name: lib.hasPrefix "use" name && !lib.elem name named) (
      lib.attrNames (lib.filterAttrs (_: given: given) taken)
    );
    # Left at upstream's default, or set by the caller.
    expected = lib.filter (name: taken ? ${name}) [
      "useRpc"
      "useWebUi"
    ];
  };
}
