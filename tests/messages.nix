# The messages about wrong arguments. Each names the argument and a replacement.
{
  flake,
  lib,
  pkgs,
  pkgsWith,
  ...
}:
let
  x86 = pkgsWith { config = { }; };
  unfree = pkgs;
  problems = pkgs: args: pkgs.mkLlamaCpp.problems args (name: "<${name}>");

  cuda =
    cudaCapabilities:
    problems unfree {
      backends = [ "cuda" ];
      inherit cudaCapabilities;
    };

  # The messages about a fork, or a llama.cpp of before 2025, that has no loadable backends.
  ofFork =
    args:
    import ../overlays/llama-cpp/problems.nix
      {
        inherit lib;
        kvCache = import ../overlays/llama-cpp/kv-cache.nix { inherit lib; };
        microarchs = import ../overlays/llama-cpp/microarch.nix { inherit lib; };
      }
      (
        {
          system = "x86_64-linux";
          backends = [ "cpu" ];
          microarch = "znver4";
          cudaCapabilities = [ ];
          rocmTargets = [ ];
          kvCacheTypes = [ ];
          extraCmakeFlags = [ ];
          cudaIsUnfree = false;
          cudaIsUnsupported = false;
          declared = { };
          notSplit = "this llama.cpp has no CMake option GGML_BACKEND_DL";
          option = name: "<${name}>";
        }
        // args
      );

  # Expects exactly one message, which contains these strings.
  says = words: messages: {
    expr = {
      count = lib.length messages;
      missing = lib.filter (word: !lib.any (lib.hasInfix word) messages) words;
    };
    expected = {
      count = 1;
      missing = [ ];
    };
  };
in
{
  "CUDA without unfree" = says [
    "<backends>"
    "nixpkgs.config.allowUnfree = true"
    "allowUnfreePredicate"
  ] (problems x86 { backends = [ "cuda" ]; });
  "CUDA with unfree is fine" = {
    expr = problems unfree { backends = [ "cuda" ]; };
    expected = [ ];
  };
  "a predicate for the CUDA licence is enough" = {
    expr = problems flake.legacyPackages.x86_64-linux { backends = [ "cuda" ]; };
    expected = [ ];
  };
  "a capability without its dot" = says [
    "<cudaCapabilities>"
    "\"75\""
    "write \"7.5\""
  ] (cuda [ "75" ]);
  "a capability of three digits" = says [ "write \"12.0\"" ] (cuda [ "120" ]);
  "a capability with a letter" = says [ "write \"9.0a\"" ] (cuda [ "90a" ]);
  "a capability as nvcc has it" = says [ "write \"7.5\"" ] (cuda [ "sm_75" ]);
  "a capability that is not one" = says [ "write one such as \"8.6\"" ] (cuda [ "Turing" ]);
  "capabilities without CUDA" =
    says
      [
        "<cudaCapabilities>"
        "add \"cuda\" to <backends>"
      ]
      (
        problems x86 {
          backends = [ "vulkan" ];
          cudaCapabilities = [ "8.6" ];
        }
      );
  "an invalid GPU target" =
    says
      [
        "<rocmTargets>"
        "\"906\""
        "\"gfx906\""
      ]
      (
        problems x86 {
          backends = [ "rocm" ];
          rocmTargets = [ "906" ];
        }
      );
  "valid GPU targets" = {
    expr = problems x86 {
      backends = [ "rocm" ];
      rocmTargets = [
        "gfx906"
        "gfx90a:xnack+"
        "gfx1100"
        "gfx10-3-generic"
      ];
    };
    expected = [ ];
  };
  "GPU targets without ROCm" = says [ "add \"rocm\" to <backends>" ] (
    problems x86 { rocmTargets = [ "gfx906" ]; }
  );
  "ROCm on ARM" = says [
    "x86_64-linux only"
    "aarch64-linux"
    "vulkan"
  ] (problems (pkgsWith { system = "aarch64-linux"; }) { backends = [ "rocm" ]; });
  "KV cache types without CUDA and ROCm" = says [
    "<kvCacheTypes> is set"
    "remove <kvCacheTypes>"
  ] (problems x86 { kvCacheTypes = [ "q8_0-q4_0" ]; });
  "invalid KV cache types" =
    says
      [
        "<kvCacheTypes>: \"q8_0\""
        "such as \"q8_0-q4_0\""
      ]
      (
        problems unfree {
          backends = [ "cuda" ];
          kvCacheTypes = [ "q8_0" ];
        }
      );
  "no backend" = says [ "<backends> is an empty list" ] (problems x86 { backends = [ ]; });
  "an unknown backend" = says [
    "\"metal\" is not a backend"
    "cpu, cuda, rocm, vulkan"
  ] (problems x86 { backends = [ "metal" ]; });
  "an unknown microarchitecture" = says [
    "<microarch>"
    "write \"znver4\""
  ] (problems x86 { microarch = "zen4"; });
  "a microarchitecture of the other architecture" = says [
    "<microarch>"
    "of aarch64"
  ] (problems x86 { microarch = "neoverse-n1"; });
  "GGML_NATIVE in extraCmakeFlags" =
    says
      [
        "<extraCmakeFlags>"
        "<microarch>"
      ]
      (
        problems x86 {
          microarch = "znver4";
          extraCmakeFlags = [ "-DGGML_NATIVE=ON" ];
        }
      );
  "a fork without loadable backends can be built for one CPU" = {
    expr = ofFork { };
    expected = [ ];
  };
  # CMake would ignore the option, and the build would use plain SSE2.
  "but not for all of them" =
    says
      [
        "<microarch> is \"dispatch\""
        "no CMake option GGML_CPU_ALL_VARIANTS"
        "name the CPU."
      ]
      (ofFork {
        microarch = "dispatch";
      });
  "nor for a list" =
    says
      [
        "<microarch> is a list"
        "name one CPU."
      ]
      (ofFork {
        microarch = [
          "tigerlake"
          "znver4"
        ];
      });
  "nor with several GPU backends" =
    says
      [
        "<backends> lists several"
        "no CMake option GGML_BACKEND_DL"
        "name one."
      ]
      (ofFork {
        backends = [
          "cuda"
          "rocm"
        ];
      });
  "all errors are reported at once" = {
    expr = lib.length (
      problems x86 {
        backends = [ "cuda" ];
        microarch = "zen4";
        cudaCapabilities = [
          "75"
          "86"
        ];
      }
    );
    expected = 4;
  };
  "a package with a problem fails" = {
    expr = (builtins.tryEval (x86.mkLlamaCpp { microarch = "zen4"; })).success;
    expected = false;
  };
}
