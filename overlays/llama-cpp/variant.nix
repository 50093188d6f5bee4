# One variant of llama.cpp: upstream's package, told exactly what to be.
#
# It is built by the nixpkgs that applies the overlay. Upstream's own
# `packages.<system>.cuda` is no way to get it: that imports a second nixpkgs,
# compiles for nine default CUDA architectures, and ignores the config and the
# overlays of this one.
{ pkgs, source }:
let
  inherit (pkgs) lib;
  inherit (pkgs.stdenv.hostPlatform) system;

  arguments = import ./arguments.nix { inherit lib; };
  buildInfo = import ./build-info.nix {
    inherit lib source;
    builds = pkgs.llamaCppBuilds or { };
  };
  cmakeFlags = import ./cmake-flags.nix { inherit lib; };
  kvCache = import ./kv-cache.nix { inherit lib; };
  microarchs = import ./microarch.nix { inherit lib; };
  problemsOf = import ./problems.nix { inherit lib kvCache microarchs; };

  upstream =
    (pkgs.callPackage "${source}/.devops/nix/scope.nix" {
      llamaVersion = buildInfo.version;
    }).llama-cpp;
  upstreamArguments = lib.functionArgs upstream.override;

  # What is relied on of upstream's package; `xtask update` holds a new revision to it.
  needs = lib.importJSON ./needs.json;

  # CMake options come and go; only what this llama.cpp declares is passed.
  declared =
    cmakeFlags.declaredIn "${source}/CMakeLists.txt"
    // cmakeFlags.declaredIn "${source}/ggml/CMakeLists.txt";

  kvKernels = kvCache.forSource { inherit source declared; };

  # What ggml compiles for a capability: since 2026 "12.0a" for "12.0", which no other
  # GPU runs.
  cudaTargetOf =
    let
      replaces12 = lib.hasInfix "\"^12[0-9](-real" (
        builtins.readFile "${source}/ggml/src/ggml-cuda/CMakeLists.txt"
      );
    in
    capability:
    if replaces12 && builtins.match "12[.][0-9]" capability != null then
      "${capability}a"
    else
      capability;

  withoutDot = lib.replaceStrings [ "." ] [ "" ];

  # Reading a manifest must not build what a flag points to.
  asText =
    flag:
    builtins.unsafeDiscardStringContext (lib.replaceStrings [ (placeholder "out") ] [ "$out" ] flag);

  # nixpkgs' own verdicts on the CUDA libraries: meta gives them without the
  # wall of text that asking for a refused derivation would bring. A library may
  # be unavailable for other reasons, such as being broken; those are nixpkgs'
  # to tell.
  cudaVerdicts =
    let
      metas = map (library: library.meta) [
        pkgs.cudaPackages.cuda_cudart
        pkgs.cudaPackages.libcublas
      ];
      is = verdict: meta: meta.${verdict} or false;
      isRefusedAsUnfree =
        meta:
        is "unfree" meta
        && !(meta.available or true)
        && !lib.any (verdict: is verdict meta) [
          "broken"
          "insecure"
          "unsupported"
        ];
    in
    {
      cudaIsUnsupported = lib.any (is "unsupported") metas;
      cudaIsUnfree = !(pkgs.config.allowUnfree or false) && lib.any isRefusedAsUnfree metas;
    };

  # The sentences of problems.nix about these arguments. `option` maps the name
  # of an argument to what the asker calls it.
  problems =
    args: option:
    problemsOf (
      builtins.intersectAttrs (lib.functionArgs problemsOf) (arguments.normalise args)
      // cudaVerdicts
      // {
        inherit system option;
      }
    );

  parts = pkgs.callPackage ./parts.nix {
    inherit source declared buildInfo;
    selectedBy = needs.backends;
    upstreamWith =
      args:
      upstream.override (
        builtins.intersectAttrs upstreamArguments (
          lib.genAttrs (needs.switchedOff ++ [ "useRpc" ] ++ lib.attrValues needs.backends) (_: false) // args
        )
      );
  };

  build =
    args:
    let
      variant = arguments.normalise args;
      inherit (variant) backends microarch rocmTargets;
      has = backend: lib.elem backend backends;

      dispatch = microarch == "dispatch";
      # Several backends in one binary exist only as modules, and so do several
      # CPU variants.
      modules = dispatch || lib.length backends > 1;

      cudaPackages = args.cudaPackages or pkgs.cudaPackages;
      cudaCapabilities =
        if variant.cudaCapabilities == [ ] then
          cudaPackages.flags.cudaCapabilities
        else
          variant.cudaCapabilities;

      # Every backend is named: upstream's defaults follow nixpkgs.config
      # (a host with rocmSupport = true would get ROCm into its Vulkan build)
      # and turn BLAS on, which then takes the CPU's place in llama-bench.
      wanted =
        lib.genAttrs needs.switchedOff (_: false)
        // arguments.forUpstream args
        // lib.mapAttrs' (backend: argument: lib.nameValuePair argument (has backend)) needs.backends
        // lib.optionalAttrs (has "cuda") {
          # This package's GPUs only: nixpkgs.config.cudaCapabilities would
          # rebuild everything else that knows CUDA.
          cudaPackages = cudaPackages // {
            # nixpkgs renamed it in 2026 and llama.cpp followed: whichever of the
            # two is the older, the other's name for it is there.
            cccl = cudaPackages.cccl or cudaPackages.cuda_cccl;
            cuda_cccl = cudaPackages.cccl or cudaPackages.cuda_cccl;
            flags = cudaPackages.flags // {
              inherit cudaCapabilities;
              # What upstream calls it; in nixpkgs an old name that is to go.
              dropDot = withoutDot;
            };
          };
        }
        // lib.optionalAttrs (rocmTargets != [ ]) {
          rocmGpuTargets = lib.concatStringsSep ";" rocmTargets;
        };

      cpuOptions = lib.optionalAttrs (!dispatch) (
        microarchs.cmakeOptionsFor {
          inherit system;
          name = microarch;
        }
      );

      # ROCm's kernels are CUDA's.
      hasKvKernels = has "cuda" || has "rocm";
      kvOptions = lib.optionalAttrs hasKvKernels (kvKernels.optionsFor variant.kvCacheTypes);

      optional =
        cpuOptions
        // kvOptions
        // lib.optionalAttrs (!(args.useWebUi or true)) {
          # Without this the build would fetch a prebuilt web UI.
          LLAMA_USE_PREBUILT_UI = false;
        };

      cmake =
        builtins.intersectAttrs declared optional
        // {
          GGML_NATIVE = false;
          GGML_BACKEND_DL = modules;
          GGML_CPU_ALL_VARIANTS = dispatch;
          LLAMA_BUILD_COMMIT = buildInfo.commit;
          LLAMA_BUILD_NUMBER = buildInfo.build;
          # We ship tools, and `llama-bench` is one of those.
          LLAMA_BUILD_EXAMPLES = false;
          LLAMA_BUILD_TESTS = false;
          # The modules, too, need libggml-base from there.
          CMAKE_INSTALL_RPATH = "${placeholder "out"}/lib";
        }
        // lib.optionalAttrs modules {
          # Where they are installed and, compiled in, where they are looked for.
          GGML_BACKEND_DIR = "${placeholder "out"}/lib/ggml";
        };

      name = lib.concatStringsSep "-" (
        [
          (lib.concatStringsSep "+" backends)
          microarch
        ]
        ++ map (capability: "sm${withoutDot capability}") variant.cudaCapabilities
        ++ rocmTargets
      );

      manifestOf = flags: {
        variant = name;
        inherit backends microarch system;
        cudaCapabilities = lib.optionals (has "cuda") cudaCapabilities;
        cudaTargets = lib.optionals (has "cuda") (map cudaTargetOf cudaCapabilities);
        cudaVersion =
          if has "cuda" then
            cudaPackages.cudaMajorMinorVersion or cudaPackages.cudaVersion or null
          else
            null;
        rocmTargets =
          if has "rocm" && rocmTargets == [ ] then pkgs.rocmPackages.clr.gpuTargets else rocmTargets;
        # What this nixpkgs builds the ROCm libraries for.
        rocmLibraryTargets = if has "rocm" then pkgs.rocmPackages.clr.gpuTargets else null;
        cpuOptions = lib.mapAttrsToList (
          option: value: if value == true then option else "${option}=${value}"
        ) (lib.filterAttrs (_: value: value != false) cpuOptions);
        cmakeFlags = map asText flags;
        inherit (variant) extraCmakeFlags kvCacheTypes;
        # Null: the build has no such kernels.
        kvKernels = if hasKvKernels then kvKernels.builtWith (cmakeFlags.toAttrs flags) else null;
        inherit (buildInfo) rev build;
        parts = [ ];
        # Asked for, but unknown to this llama.cpp.
        droppedArguments =
          lib.attrNames (removeAttrs wanted (lib.attrNames upstreamArguments))
          ++ lib.attrNames (removeAttrs (cpuOptions // kvOptions) (lib.attrNames declared));
      };

      package = (upstream.override (builtins.intersectAttrs upstreamArguments wanted)).overrideAttrs (
        finalAttrs: prev:
        {
          pname = "llama-cpp-${lib.replaceStrings [ "+" ":" ] [ "-" "-" ] name}";
          # The very same revision. Upstream filters it anew for each package,
          # which costs a second of evaluation every time, and spares no
          # rebuild where the flags name the commit.
          src = source.outPath;
          cmakeFlags = lib.foldl' cmakeFlags.replace prev.cmakeFlags [
            (cmakeFlags.fromAttrs cmake)
            variant.extraCmakeFlags
          ];
          passthru = (prev.passthru or { }) // {
            llamaCpp = manifestOf finalAttrs.cmakeFlags;
            tests = pkgs.callPackage ./tests.nix { } {
              package = finalAttrs.finalPackage;
              manifest = manifestOf finalAttrs.cmakeFlags;
            };
          };
        }
        // lib.optionalAttrs modules {
          # ggml loads the best module it finds, and would also look in the
          # directory that llama-server happens to be started in.
          postPatch = (prev.postPatch or "") + ''
            sed -i -E '/search_paths\.push_back\((fs::current_path\(\)|cwd)\);/d' \
              ggml/src/ggml-backend-reg.cpp
          '';
        }
        // lib.optionalAttrs (!(args.useWebUi or true) && prev ? webui) {
          # Upstream leaves it an attribute, so it would still be built.
          webui = null;
        }
      );

      # Why this variant is one package instead of parts, or null.
      whole =
        let
          # What upstream's package takes beside what the parts pass on.
          more = lib.attrNames (
            removeAttrs (arguments.forUpstream args) [
              "cudaPackages"
              "useWebUi"
            ]
          );
        in
        if !variant.modular then
          "modular is false"
        else if variant.extraCmakeFlags != [ ] then
          "extraCmakeFlags apply to all of llama.cpp"
        else if more != [ ] then
          "${lib.head more} applies to all of llama.cpp"
        else
          parts.problem;

      partsOf = [
        (parts.cpu microarch (if dispatch then null else builtins.intersectAttrs declared cpuOptions))
      ]
      ++ map (
        backend:
        parts.gpu backend (
          {
            cuda = {
              arguments = { inherit (wanted) cudaPackages; };
              targets = map (capability: "sm${withoutDot capability}") variant.cudaCapabilities;
            };
            rocm = {
              arguments = lib.optionalAttrs (rocmTargets != [ ]) { inherit (wanted) rocmGpuTargets; };
              targets = rocmTargets;
            };
            vulkan = {
              arguments = { };
              targets = [ ];
            };
          }
          .${backend}
          // {
            options = lib.optionalAttrs (backend != "vulkan") (builtins.intersectAttrs declared kvOptions);
          }
        )
      ) (lib.remove "cpu" backends);

      joined =
        let
          useWebUi = args.useWebUi or true;
          all = [
            parts.ggml
            (parts.tools useWebUi)
          ]
          ++ partsOf;
          joinedManifest = manifestOf (parts.flagsOf all) // {
            parts = map (part: {
              name = part.pname;
              drvPath = builtins.unsafeDiscardStringContext part.drvPath;
              output = builtins.unsafeDiscardStringContext part.outPath;
            }) all;
          };
          result = parts.join {
            inherit (package) pname meta;
            inherit useWebUi;
            modules = partsOf;
            passthru = {
              llamaCpp = joinedManifest;
              parts = lib.listToAttrs (map (part: lib.nameValuePair part.pname part) all);
              tests = pkgs.callPackage ./tests.nix { } {
                package = result;
                manifest = joinedManifest;
              };
            };
          };
        in
        # What is changed about the build is changed in the whole package.
        result // { inherit (package) overrideAttrs; };

      found = problems args lib.id;

      # Without a word, such a package would be one for the CPU.
      unselectable = lib.filter (
        backend: backend != "cpu" && !(upstreamArguments ? ${needs.backends.${backend}})
      ) backends;
      unselectableWords = map (
        backend:
        "package.nix of this llama.cpp takes no ${needs.backends.${backend}}, which selects ${backend}"
      ) unselectable;
    in
    if found != [ ] then
      throw "mkLlamaCpp: ${lib.concatStringsSep "\n" found}"
    else if unselectable != [ ] then
      throw "mkLlamaCpp: ${lib.concatStringsSep "\n" unselectableWords}"
    else if whole == null then
      joined
    else
      package;
in
{
  # `mkLlamaCpp { … }` is the package; `mkLlamaCpp.problems` says beforehand
  # what would keep it from being one.
  mkLlamaCpp = {
    inherit problems;
    __functor =
      _:
      lib.makeOverridable (
        lib.setFunctionArgs build (
          lib.genAttrs arguments.names (_: true) // lib.mapAttrs (_: _: true) upstreamArguments
        )
      );
  };
}
