# `programs.llama-cpp` in NixOS, evaluated as xtask evaluates it.
{
  flake,
  lib,
  systemWith,
  ...
}:
let
  hostWith = settings: (systemWith [ settings ]).config;
  enabled =
    options:
    hostWith {
      programs.llama-cpp = {
        enable = true;
      }
      // options;
    };

  failed = config: map (a: a.message) (lib.filter (a: !a.assertion) config.assertions);
  # Ignores the assertions of other modules, because this is not a complete host.
  ours = config: lib.filter (lib.hasInfix "programs.llama-cpp") (failed config);
  evaluates = value: (builtins.tryEval (builtins.seq value true)).success;

  vulkan = enabled {
    backend = "vulkan";
    microarch = "znver4";
  };
  # A package of another flake's overlay or of nixpkgs, and its dependents.
  dependent = {
    nixpkgs.overlays = [
      (final: _prev: {
        dependent = final.runCommand "dependent" { } "ln -s ${final.llama-cpp} $out";
      })
    ];
  };
  pkgsWith =
    settings:
    (flake.inputs.nixpkgs.lib.nixosSystem {
      modules = [
        { nixpkgs.hostPlatform = "x86_64-linux"; }
        dependent
        settings
      ];
    }).pkgs;
  importedWith =
    options:
    pkgsWith {
      imports = [ flake.nixosModules.default ];
      programs.llama-cpp = options;
    };
  nixpkgsOwn = pkgsWith { };

  refused = enabled {
    backend = "cuda";
    microarch = "tigerlake";
  };

  # Like nixpkgs' module.
  withCcache =
    names:
    hostWith (
      { lib, pkgs, ... }:
      {
        options = {
          programs.ccache = {
            packageNames = lib.mkOption { default = names; };
            cacheDir = lib.mkOption { default = "/var/cache/ccache"; };
          };
          llamaCppOfPkgs = lib.mkOption { default = pkgs.llama-cpp.drvPath; };
        };
        config = {
          programs.llama-cpp = {
            enable = true;
            backend = "cuda";
            microarch = "tigerlake";
            cudaCapabilities = [ "7.5" ];
          };
          nixpkgs.config.allowUnfree = true;
          nixpkgs.overlays = [
            (
              final: prev:
              {
                ccache = final.runCommand "ccache" { } "";
                ccacheStdenv = prev.stdenv // {
                  mkDerivation = attrs: (prev.stdenv.mkDerivation attrs).overrideAttrs { hasCcache = true; };
                };
              }
              // lib.genAttrs names (name: prev.${name}.override { stdenv = final.ccacheStdenv; })
            )
          ];
        };
      }
    );
in
{
  "programs.ccache with llama-cpp among packageNames compiles every part by ccache" = {
    expr =
      let
        parts = names: (withCcache names).programs.llama-cpp.package.parts;
        byCcache = part: part.hasCcache or false || part.CCACHE_DIR or null == "/var/cache/ccache";
      in
      map (names: lib.mapAttrs (_: byCcache) (parts names)) [
        [ "llama-cpp" ]
        [ ]
      ];
    expected =
      map
        (all: {
          ggml = all;
          ggml-cpu-tigerlake = all;
          ggml-cuda-sm75 = all;
          llama-cpp-tools = all;
        })
        [
          true
          false
        ];
  };
  "and pkgs.llama-cpp, which it overrides, is the same package" = {
    expr =
      let
        host = withCcache [ "llama-cpp" ];
      in
      host.programs.llama-cpp.package.drvPath == host.llamaCppOfPkgs;
    expected = true;
  };
  "the defaults are the portable CPU package" = {
    expr = (enabled { }).programs.llama-cpp.package.llamaCpp.variant;
    expected = "cpu-dispatch";
  };
  "a good host has no problems" = {
    expr = ours vulkan;
    expected = [ ];
  };
  "the module may be imported twice" = {
    expr = (hostWith { imports = [ flake.nixosModules.llama-cpp ]; }).programs.llama-cpp.enable;
    expected = false;
  };
  "importing it changes no package" = {
    expr =
      let
        imported = importedWith { };
      in
      [
        (imported.dependent.drvPath == nixpkgsOwn.dependent.drvPath)
        (imported ? mkLlamaCpp)
      ];
    expected = [
      true
      false
    ];
  };
  "nor the system" = {
    expr =
      let
        toplevel =
          imports:
          (flake.inputs.nixpkgs.lib.nixosSystem {
            modules = [
              {
                inherit imports;
                nixpkgs.hostPlatform = "x86_64-linux";
                services.llama-cpp.enable = true;
                fileSystems."/".device = "/dev/disk/by-label/nixos";
                boot.loader.grub.device = "nodev";
                system.stateVersion = "25.05";
              }
            ];
          }).config.system.build.toplevel.drvPath;
      in
      toplevel [ flake.nixosModules.default ] == toplevel [ ];
    expected = true;
  };
  "the overlay can be had alone" = {
    expr =
      let
        alone = importedWith { overlay = true; };
      in
      [
        alone.llama-cpp.llamaCpp.variant
        alone.llama-cpp-vulkan.llamaCpp.variant
        (alone.dependent.drvPath == nixpkgsOwn.dependent.drvPath)
      ];
    expected = [
      "cpu-dispatch"
      "vulkan-dispatch"
      false
    ];
  };
  "and the package without the overlay" = {
    expr =
      let
        options = {
          enable = true;
          microarch = "znver4";
          overlay = false;
        };
      in
      [
        ((importedWith options).dependent.drvPath == nixpkgsOwn.dependent.drvPath)
        (hostWith { programs.llama-cpp = options; }).programs.llama-cpp.package.drvPath
      ];
    expected = [
      true
      (enabled { microarch = "znver4"; }).programs.llama-cpp.package.drvPath
    ];
  };
  # The type lists the names for editors; an assertion rejects others and suggests a name.
  "a microarchitecture is one of the table, or a list of those" = {
    expr =
      let
        names =
          (lib.evalModules {
            modules = [
              ../modules/shared/options.nix
              { _module.check = false; }
            ];
          }).options.programs.llama-cpp.microarch.type.nestedTypes.left;
      in
      [
        names.name
        (lib.elem "znver4" names.functor.payload.values)
        (lib.elem "apple-m2" names.functor.payload.values)
        (ours (enabled {
          microarch = "zen4";
        }))
      ];
    expected = [
      "enum"
      true
      true
      [
        "programs.llama-cpp.microarch: \"zen4\" is not a known microarchitecture; write \"znver4\", or \"dispatch\", which runs on any CPU."
      ]
    ];
  };
  "the main program is the one for all tools, in revisions that have it" = {
    expr = map (package: lib.last (lib.splitString "/" (lib.getExe package))) [
      vulkan.programs.llama-cpp.package
      (enabled { modular = false; }).programs.llama-cpp.package
    ];
    expected =
      let
        main =
          if builtins.pathExists "${flake.inputs.llama-cpp}/app/CMakeLists.txt" then "llama" else "llama-cli";
      in
      [
        main
        main
      ];
  };
  "the package is installed" = {
    expr = lib.elem vulkan.programs.llama-cpp.package.drvPath (
      map (package: package.drvPath or null) vulkan.environment.systemPackages
    );
    expected = true;
  };
  "and is what services.llama-cpp would run" = {
    expr =
      (vulkan.services.llama-cpp or vulkan.programs.llama-cpp).package.drvPath
      == vulkan.programs.llama-cpp.package.drvPath;
    expected = true;
  };
  "a list of backends is one package" = {
    expr =
      (hostWith {
        nixpkgs.config.allowUnfree = true;
        programs.llama-cpp = {
          enable = true;
          backend = [
            "rocm"
            "cuda"
          ];
        };
      }).programs.llama-cpp.manifest.backends;
    expected = [
      "cuda"
      "rocm"
    ];
  };
  "rocmSupport does not break a Vulkan host" = {
    expr =
      (hostWith {
        nixpkgs.config.rocmSupport = true;
        programs.llama-cpp = {
          enable = true;
          backend = "vulkan";
        };
      }).programs.llama-cpp.manifest.backends;
    expected = [ "vulkan" ];
  };
  "a release has its version, and does not call itself a development build" = {
    expr =
      let
        inherit (flake.inputs) llama-cpp;
        release = (enabled { releases.${llama-cpp.rev} = "0.7.0"; }).programs.llama-cpp;
        declares = lib.hasInfix "LLAMA_BUILD_IS_DEV" (builtins.readFile "${llama-cpp}/CMakeLists.txt");
      in
      [
        release.package.version
        release.manifest.release
        (lib.hasInfix "-DLLAMA_BUILD_IS_DEV:BOOL=FALSE" (toString release.manifest.cmakeFlags) == declares)
        (enabled { }).programs.llama-cpp.manifest.release
      ];
    expected = [
      "0.7.0"
      "0.7.0"
      true
      null
    ];
  };
  "a host can have its own llama.cpp" = {
    expr =
      let
        fork = flake.inputs.llama-cpp // {
          rev = "ffffffffffffffffffffffffffffffffffffffff";
          shortRev = "fffffff";
        };
        inherit (enabled { source = fork; }) programs;
      in
      [
        programs.llama-cpp.manifest.rev
        programs.llama-cpp.manifest.ownSource
        (programs.llama-cpp.package.drvPath == (enabled { }).programs.llama-cpp.package.drvPath)
        (enabled { }).programs.llama-cpp.manifest.ownSource
      ];
    expected = [
      "ffffffffffffffffffffffffffffffffffffffff"
      true
      false
      false
    ];
  };
  # The revCount of a git+ input takes precedence.
  "a fleet can set the build number" = {
    expr =
      let
        inherit (flake.inputs) llama-cpp;
        build =
          builds:
          (import ../overlays/llama-cpp/build-info.nix {
            inherit lib builds;
            source = removeAttrs llama-cpp [ "revCount" ];
          }).build;
      in
      [
        (build { ${llama-cpp.rev} = 4711; })
        (build { "0000000000000000000000000000000000000000" = 4711; } == 4711)
        (enabled { builds.${flake.inputs.llama-cpp.rev} = 4711; }).programs.llama-cpp.manifest.build
        (hostWith { programs.llama-cpp.builds.a = 1; }).programs.llama-cpp.builds.a
      ];
    expected = [
      4711
      false
      (flake.inputs.llama-cpp.revCount or 4711)
      1
    ];
  };
  "the manifest names the host and how to bench it" = {
    expr = {
      inherit (vulkan.programs.llama-cpp.manifest) host bench;
    };
    expected = {
      host = "example";
      bench = {
        model = null;
        args = [ ];
        baseline = null;
      };
    };
  };
  "without llama.cpp there is no manifest" = {
    expr = (hostWith { }).programs.llama-cpp.manifest;
    expected = null;
  };

  "CUDA without unfree is an assertion that names the option" = {
    expr = map (message: lib.hasPrefix "programs.llama-cpp.backend includes cuda" message) (
      ours refused
    );
    expected = [ true ];
  };
  "and an error of the package and the manifest alone" = {
    expr = [
      (evaluates refused.programs.llama-cpp.package.drvPath)
      (evaluates refused.programs.llama-cpp.manifest)
    ];
    expected = [
      false
      false
    ];
  };
}
