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
        What runs the model: `"cpu"`; `"cuda"` for NVIDIA's GPUs, which needs
        `nixpkgs.config.allowUnfree` or a predicate; `"rocm"` for AMD's, on
        x86_64 only; `"vulkan"` for any GPU that has a driver. A list makes one
        program with several of them, which ggml loads as modules. The CPU
        backend is always there, for what does not fit on the GPU.
      '';
    };

    microarch = mkOption {
      type = types.str;
      default = "dispatch";
      example = "znver4";
      description = ''
        The CPU's microarchitecture, whose instruction sets the CPU backend is
        compiled for; `xtask probe --local` tells it on the machine. The program
        does not run on a CPU that lacks one of them. `"dispatch"` compiles for
        every one and chooses at start-up: as fast, runs anywhere, but larger
        and slower to build.

        Known for x86_64: ${lib.concatStringsSep ", " (microarchs.names "x86_64")}.

        Known for aarch64: ${lib.concatStringsSep ", " (microarchs.names "aarch64")}.
      '';
    };

    cudaCapabilities = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "7.5" ];
      description = ''
        CUDA compute capabilities to compile for, with the dot, as
        `nvidia-smi --query-gpu=compute_cap --format=csv` prints them. Empty
        means all that nixpkgs selects, which takes many times as long to build.
        Only for this package: `nixpkgs.config.cudaCapabilities` would rebuild
        all that knows CUDA.
      '';
    };

    rocmTargets = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "gfx906" ];
      description = ''
        AMD GPUs to compile for, as `rocminfo` names them. Empty means all that
        nixpkgs selects, which takes many times as long to build.
      '';
    };

    extraCmakeFlags = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "-DGGML_CUDA_FA_ALL_QUANTS=ON" ];
      description = ''
        More flags for CMake, each `-DNAME=VALUE`. One that sets what the build
        already sets takes its place. `GGML_NATIVE` is refused: built by Nix it
        leaves plain SSE2.
      '';
    };

    builds = mkOption {
      type = types.attrsOf types.ints.unsigned;
      default = { };
      example = lib.literalExpression "(lib.importJSON ./overlays/llama-cpp/pin.json).builds";
      description = ''
        llama.cpp's build number (the N of a tag `bN`) by revision. The source of
        a `github:` input does not tell it, and the program then says build 0. It
        is what `xtask update` writes to overlays/llama-cpp/pin.json where the
        flake has that file.
      '';
    };

    package = mkOption {
      type = types.package;
      readOnly = true;
      description = ''
        The package that these options make. `pkgs.llama-cpp` is the same one
        where `pkgs` take overlays, and it is installed.
      '';
    };
  };
}
