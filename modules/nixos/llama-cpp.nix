# llama.cpp from its official flake, built for this host.
{ self }:
{
  config,
  lib,
  options,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.programs.llama-cpp;
  variant = import ../shared/variant.nix { inherit lib; } cfg;
  requests = import ./requests.nix { inherit lib; };
  hasKvKernels = lib.any (backend: backend == "cuda" || backend == "rocm") (lib.toList cfg.backend);
  # Missing in nixpkgs before 24.05; a replacement of nixpkgs' module may have other options.
  hasService = options ? services.llama-cpp.package;
  # nixpkgs since mid-2026, in which `extraFlags` throws.
  hasSettings = options.services.llama-cpp ? settings;
  # Null if llama-server does not run as a service.
  service =
    let
      inherit (config.services) llama-cpp;
    in
    if hasService && llama-cpp.enable then
      requests.server (
        {
          inherit (config.systemd.services.llama-cpp) environment;
        }
        // (if hasSettings then { inherit (llama-cpp) settings; } else { inherit (llama-cpp) extraFlags; })
      )
    else
      null;

  overlay = import ../shared/overlay.nix { inherit self; } {
    inherit (cfg) fleet source;
    host = config.networking.hostName;
  };

  # `programs.ccache` overrides only `pkgs.llama-cpp`, and not the compilers of GPU code.
  ccache = final: _prev: {
    llamaCppCcache = {
      inherit (final) ccache;
      stdenv = final.ccacheStdenv;
      directory = config.programs.ccache.cacheDir;
    };
  };

  # With nixpkgs' `readOnlyPkgs`, the option has another type and overlays cannot be added.
  takesOverlays = options.nixpkgs.overlays.type.name or "" == "listOf";
  # Packages from outside the host may lack the overlay.
  ourPkgs = if pkgs ? mkLlamaCpp then pkgs else (pkgs.extend overlay).extend variant.builds;
in
{
  imports = [ ../shared/options.nix ];

  options.programs.llama-cpp = {
    fleet = mkOption {
      type = types.nullOr types.path;
      default = null;
      example = lib.literalExpression "self";
      description = ''
        Flake of this host, with the files that `xtask update` writes to its root:
        pinned_hosts.json, the hosts that are pinned to an earlier llama.cpp (by
        `networking.hostName`), and pin.json, which sets `builds` and `releases`. If null, no host
        is pinned.
      '';
    };

    threads = mkOption {
      type = types.nullOr types.ints.positive;
      default = null;
      example = 6;
      description = ''
        CPU threads for `xtask bench` (llama-bench's `-t`) and for
        `services.llama-cpp` (`LLAMA_ARG_THREADS`). Flags that set the number
        take precedence. `xtask probe` prints the number of cores of the fastest
        kind, without SMT. If null, llama.cpp decides, which on some hybrid CPUs
        and in containers is not that number.
      '';
    };

    bench = {
      model = mkOption {
        type = types.nullOr types.str;
        default = null;
        example = "/srv/models/qwen3-8b-q4_k_m.gguf";
        description = ''
          Absolute path of the GGUF file on this host that `xtask bench` runs. If
          null, xtask generates a small model, which is enough to compare builds.
        '';
      };
      args = mkOption {
        type = types.listOf types.str;
        default = [ ];
        example = [
          "-p"
          "2048"
        ];
        description = "Additional llama-bench arguments, after the ones that xtask passes.";
      };
      baseline = mkOption {
        type = types.nullOr types.str;
        default = null;
        example = "hosts/boron/baseline.json";
        description = ''
          File in this flake that `xtask bench --save-baseline` writes, and that
          later results are compared with. If null, bench/NAME.baseline.json.
        '';
      };
    };

    problems = mkOption {
      type = types.listOf types.str;
      default = [ ];
      internal = true;
      description = ''
        Messages of this module's assertions, so that xtask need not evaluate all
        assertions of the host.
      '';
    };

    overlaid = mkOption {
      type = types.bool;
      readOnly = true;
      internal = true;
      description = ''
        Whether this host's `pkgs` has the overlay, for xtask. It does not if `pkgs` is made
        outside of the host, or if `nixpkgs.overlays` is forced.
      '';
    };

    manifest = mkOption {
      type = types.raw;
      readOnly = true;
      internal = true;
      description = "This host and its variant, for xtask. Null if llama.cpp is not enabled.";
    };
  };

  config = lib.mkMerge [
    (lib.optionalAttrs takesOverlays {
      nixpkgs.overlays = lib.mkIf cfg.overlay (
        [
          overlay
          variant.builds
        ]
        ++ lib.optional (lib.elem "llama-cpp" (config.programs.ccache.packageNames or [ ])) ccache
        ++ lib.optional cfg.enable variant.select
      );
    })
    {
      programs.llama-cpp = {
        inherit (import ../../overlays/llama-cpp/fleet-state.nix cfg.fleet) builds releases;
      };
      programs.llama-cpp.manifest =
        if cfg.enable then
          cfg.package.llamaCpp
          // {
            host = config.networking.hostName;
            inherit (cfg) bench threads;
            ownSource = cfg.source != null;
            inherit service;
            serviceHasExtraFlags = hasService && !hasSettings;
          }
        else
          null;
    }
    (lib.mkIf cfg.enable (
      {
        assertions = variant.assertions options ourPkgs;
        programs.llama-cpp.kvCacheTypes = lib.mkIf hasKvKernels (
          lib.mkDefault (
            requests.kvCacheTypes {
              inherit service;
              benchArgs = cfg.bench.args;
            }
          )
        );
        programs.llama-cpp.problems = variant.problems ourPkgs;
        programs.llama-cpp.package = variant.package ourPkgs;
        programs.llama-cpp.overlaid = variant.isIn pkgs;
        environment.systemPackages = [ cfg.package ];
      }
      // lib.optionalAttrs hasService {
        services.llama-cpp.package = lib.mkDefault cfg.package;

        # A `mkIf` inside the unit would create an empty unit.
        systemd.services = lib.mkIf config.services.llama-cpp.enable {
          llama-cpp = lib.mkMerge [
            (import ./service.nix { inherit lib; } (lib.toList cfg.backend))
            {
              environment = lib.mkIf (cfg.threads != null) {
                LLAMA_ARG_THREADS = lib.mkDefault (toString cfg.threads);
              };
            }
          ];
        };
      }
    ))
  ];
}
