# The options of `programs.llama-cpp` that NixOS and home-manager share.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  microarchs = import ../../overlays/llama-cpp/microarch.nix { inherit lib; };

  # Checked by the type, so that the error about another value names the option and the file.
  source =
    types.addCheck types.raw (
      value: value ? outPath && builtins.pathExists "${value}/.devops/nix/scope.nix"
    )
    // {
      description = "flake input with llama.cpp's .devops/nix/scope.nix";
    };

  # An assertion rejects names that are not in the table, and suggests another.
  microarch =
    types.enum (lib.unique ([ "dispatch" ] ++ microarchs.names "x86_64" ++ microarchs.names "aarch64"))
    // {
      check = lib.isString;
      description = "name of a microarchitecture";
      descriptionClass = "noun";
    };
in
{
  options.programs.llama-cpp = {
    enable = lib.mkEnableOption "llama.cpp from its official flake, built for this machine";

    overlay = mkOption {
      type = types.bool;
      default = config.programs.llama-cpp.enable;
      defaultText = lib.literalExpression "config.programs.llama-cpp.enable";
      description = ''
        Whether to apply the overlay to `pkgs`. If `enable` is set, `pkgs.llama-cpp`,
        `pkgs.llama-cpp-vulkan` and so on are then built for this machine, and so are
        packages that depend on them; with `false` only `package` is. Without `enable`,
        `true` gives the overlay alone: portable packages and `mkLlamaCpp`.
      '';
    };

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
        Backend that runs the model: `"cpu"`; `"cuda"` for NVIDIA GPUs, which
        requires `nixpkgs.config.allowUnfree` or a predicate; `"rocm"` for AMD
        GPUs, on x86_64 only; `"vulkan"` for any GPU with a Vulkan driver. A
        list builds one package with several backends, which ggml loads as
        modules. The CPU backend is always included.
      '';
    };

    microarch = mkOption {
      type = types.either microarch (types.listOf microarch);
      default = "dispatch";
      example = "znver4";
      description = ''
        Microarchitecture of the CPU. The CPU backend uses all of its instruction
        sets and does not run on a CPU that lacks one of them. `xtask probe
        --local` prints the name for the machine it runs on. `"dispatch"` builds
        the backend for several sets of instructions and selects one at start-up:
        it runs on any CPU, but is larger and slower to build. It is as fast on
        x86_64 and on ARM CPUs with SVE. On other ARM CPUs with i8mm (Apple M2
        and later, AmpereOne, Snapdragon X) it does not use i8mm, so set the name.

        A list of names, such as `[ "znver4" "tigerlake" ]`, makes one package for
        several x86_64 machines. It has code for each of these CPUs and selects it
        at start-up.

        Known for x86_64: ${lib.concatStringsSep ", " (microarchs.names "x86_64")}.

        Known for aarch64: ${lib.concatStringsSep ", " (microarchs.names "aarch64")}.
      '';
    };

    cudaCapabilities = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "7.5" ];
      description = ''
        CUDA compute capabilities to build for, with the dot, as printed by
        `nvidia-smi --query-gpu=compute_cap --format=csv`. If empty, builds for
        all that nixpkgs selects, which takes many times as long. Code for `"8.6"`
        also runs on 8.9, but llama.cpp's code for `"12.0"` runs on 12.0 only:
        `"12.0f"` is for its family, 12.0 and 12.1. Applies to this package only;
        `nixpkgs.config.cudaCapabilities` rebuilds every package
        that uses CUDA.
      '';
    };

    rocmTargets = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "gfx906" ];
      description = ''
        AMD GPU targets to build for, as printed by `rocminfo`. If empty, builds
        for all that nixpkgs selects, which takes many times as long.
      '';
    };

    kvCacheTypes = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "q8_0-q4_0" ];
      description = ''
        Pairs of KV cache types to build CUDA and ROCm kernels for, beside those that
        llama.cpp builds by default: type of K, `-`, type of V. Other pairs are about
        20 times slower with FlashAttention. In NixOS the default is what the flags of
        `services.llama-cpp` and `bench.args` ask for (`--cache-type-k`,
        `--cache-type-v`). Set this option if those flags refer to the package,
        which would otherwise depend on itself. llama.cpp before 2026 can only build
        all pairs, which takes several times as long.
      '';
    };

    modular = mkOption {
      type = types.bool;
      default = true;
      description = ''
        Whether to build the package from parts that hosts and llama.cpp revisions
        share: ggml, a module for each backend, and the tools. A further CPU then
        costs about a tenth of a whole build, and GPU code is compiled again only
        if upstream changed it. With `extraCmakeFlags`, or with a llama.cpp that
        cannot be split, the package is built as a whole in any case.
      '';
    };

    extraCmakeFlags = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "-DGGML_CUDA_FORCE_MMQ=ON" ];
      description = ''
        Additional CMake flags, each `-DNAME=VALUE`. They override the flags that
        the package sets, and the package is no longer built from parts.
        `GGML_NATIVE` is rejected, because a Nix build with it
        uses SSE2 only.
      '';
    };

    source = mkOption {
      type = types.nullOr source;
      default = null;
      example = lib.literalExpression "inputs.ik-llama-cpp";
      description = ''
        Another source of llama.cpp for this machine: a flake input with the same
        `.devops/nix`, such as a fork. What it lacks of llama.cpp's
        options is left out, and `xtask check` says so. `xtask update` leaves it
        alone. If null, the `llama-cpp` input.
      '';
    };

    builds = mkOption {
      type = types.attrsOf types.ints.unsigned;
      default = { };
      example = lib.literalExpression "(lib.importJSON ./pin.json).builds";
      description = ''
        Build number of llama.cpp (the N of a tag `bN`) for each revision. A
        `github:` input does not have it, and llama.cpp then prints build 0.
        `xtask update` writes the numbers to pin.json at the root of the flake if the
        flake has that file.
      '';
    };

    releases = mkOption {
      type = types.attrsOf types.str;
      default = { };
      example = lib.literalExpression "(lib.importJSON ./pin.json).releases or { }";
      description = ''
        Version of llama.cpp (the X.Y.Z of a tag `vX.Y.Z`) for each revision that is
        a release. The package then has this version, and llama.cpp prints it without
        `-dev`. `xtask update` writes it beside the build numbers.
      '';
    };

    package = mkOption {
      type = types.package;
      readOnly = true;
      description = ''
        Package that these options select. It is installed, and `pkgs.llama-cpp` is
        the same package unless `overlay` is off or `pkgs` is made outside of the host.
      '';
    };
  };
}
