# `programs.llama-cpp`, the options that NixOS and home-manager share.
{ lib, ... }:
let
  inherit (lib) mkOption types;
  microarchs = import ../../overlays/llama-cpp/microarch.nix { inherit lib; };
in
{
  options.programs.llama-cpp = {
    enable = lib.mkEnableOption "llama.cpp from its own flake, built for this machine";

    backend = mkOption {
      type =
        let
          backend = types.enum [
            "cpu"
            "cuda"
            "rocm"
            "vulkan"
          ];
        in
        types.either backend (types.listOf backend);
      default = "cpu";
      example = [
        "cuda"
        "rocm"
      ];
      description = ''
        What runs the model. A list makes one binary with several backends,
        which ggml loads as modules. The CPU backend is always there.
      '';
    };

    microarch = mkOption {
      type = types.str;
      default = "dispatch";
      example = "znver4";
      description = ''
        The CPU's microarchitecture, whose instruction sets the CPU backend is
        compiled for. `"dispatch"` compiles it for every one and chooses at
        start-up: as fast, but larger and slower to build.

        Known for x86_64: ${lib.concatStringsSep ", " (microarchs.names "x86_64")}.

        Known for aarch64: ${lib.concatStringsSep ", " (microarchs.names "aarch64")}.
      '';
    };

    cudaCapabilities = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "7.5" ];
      description = ''
        CUDA compute capabilities to compile for, with the dot. Empty means all
        that nixpkgs selects, which takes many times as long to build.
      '';
    };

    rocmTargets = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "gfx906" ];
      description = ''
        GPUs to compile for, as `rocminfo` names them. Empty means all that
        nixpkgs selects.
      '';
    };

    extraCmakeFlags = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "-DGGML_CUDA_FA_ALL_QUANTS=ON" ];
      description = ''
        More flags for CMake. One that sets what the build already sets takes
        its place.
      '';
    };

    package = mkOption {
      type = types.package;
      readOnly = true;
      description = ''
        The variant that these options make, which is also `pkgs.llama-cpp`.
      '';
    };
  };
}
