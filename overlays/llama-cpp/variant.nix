# A variant of llama.cpp: upstream's package with explicit values for all choices. Built with the
# nixpkgs that applies the overlay. Upstream's `packages.<system>.cuda` imports another nixpkgs, with
# nine default CUDA architectures and without this one's config and overlays.
{
  pkgs,
  source,
  sources,
}:
let
  inherit (pkgs) lib;
  inherit (pkgs.stdenv.hostPlatform) system;

  arguments = import ./arguments.nix { inherit lib; };
  buildInfo = import ./build-info.nix {
    inherit lib source;
    builds = pkgs.llamaCppBuilds or { };
    releases = pkgs.llamaCppReleases or { };
  };
  cmakeFlags = import ./cmake-flags.nix { inherit lib; };
  kvCache = import ./kv-cache.nix { inherit lib; };
  microarchs = import ./microarch.nix { inherit lib; };
  problemsOf = import ./problems.nix { inherit lib kvCache microarchs; };
  testsOf = pkgs.callPackage ./tests.nix { };

  upstream =
    let
      plain =
        (pkgs.callPackage "${source}/.devops/nix/scope.nix" {
          llamaVersion = buildInfo.version;
        }).llama-cpp;
    in
    # On a host with `programs.ccache`.
    if pkgs ? llamaCppCcache then plain.override { inherit (pkgs.llamaCppCcache) stdenv; } else plain;
  upstreamArguments = lib.functionArgs upstream.override;

  # What this file requires of upstream's package. `xtask update` checks new revisions for it.
  needs = lib.importJSON ./needs.json;

  # Only options that this llama.cpp declares are passed.
  declared =
    cmakeFlags.declaredIn "${source}/CMakeLists.txt"
    // cmakeFlags.declaredIn "${source}/ggml/CMakeLists.txt";

  kvKernels = kvCache.forSource { inherit source declared; };

  # The target that ggml compiles for a capability: since 2026 "12.0a" for "12.0", which runs on no
  # other GPU.
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

  # llama.cpp's options, for parts and for a single package.
  toolOptions =
    { commit, build, ... }:
    useWebUi:
    {
      LLAMA_BUILD_COMMIT = commit;
      LLAMA_BUILD_NUMBER = build;
      LLAMA_BUILD_TESTS = false;
    }
    # Before mid-2025, llama-bench and llama-server were examples.
    // lib.optionalAttrs (builtins.pathExists "${source}/tools") { LLAMA_BUILD_EXAMPLES = false; }
    // lib.optionalAttrs (buildInfo.release != null) (
      # Without this, a release reports itself as a development build.
      builtins.intersectAttrs declared { LLAMA_BUILD_IS_DEV = false; }
    )
    # Without this, the build would download a prebuilt web UI.
    // lib.optionalAttrs (!useWebUi) (
      builtins.intersectAttrs declared { LLAMA_USE_PREBUILT_UI = false; }
    );

  # ggml loads the best module that it finds, even if it needs none, and would also search the
  # current directory of llama-server.
  withoutCurrentDirectory = ''
    sed -i -E '/search_paths\.push_back\((fs::current_path\(\)|cwd)\);/d' \
      ggml/src/ggml-backend-reg.cpp
  '';

  withTileConfig = import ./tile-config.nix;

  withoutDot = lib.replaceStrings [ "." ] [ "" ];

  # Without string context, so that reading a manifest does not build the paths in flags.
  asText =
    flag:
    builtins.unsafeDiscardStringContext (lib.replaceStrings [ (placeholder "out") ] [ "$out" ] flag);

  # The messages of problems.nix about these arguments. `option` maps the name of an argument to the
  # caller's name for it.
  problems =
    args: option:
    problemsOf (
      builtins.intersectAttrs (lib.functionArgs problemsOf) (arguments.normalise args)
      // import ./cuda-verdicts.nix { inherit pkgs; }
      // {
        inherit declared option system;
        notSplit = wholeBecause args;
      }
    );

  # `common` are arguments of upstream's package for all parts.
  partsWith =
    common:
    pkgs.callPackage ./parts.nix {
      inherit
        source
        sources
        buildInfo
        declared
        toolOptions
        withoutCurrentDirectory
        withTileConfig
        ;
      selectedBy = needs.backends;
      cache = pkgs.llamaCppCcache or null;
      upstreamWith =
        args:
        upstream.override (
          builtins.intersectAttrs upstreamArguments (
            lib.genAttrs (needs.switchedOff ++ [ "useRpc" ] ++ lib.attrValues needs.backends) (_: false)
            // common
            // args
          )
        );
    };
  # Why a variant with these arguments is not split into parts, or null.
  wholeBecause =
    args:
    let
      variant = arguments.normalise args;
      # Arguments of upstream's package that the parts do not pass on.
      more = lib.attrNames (
        removeAttrs (builtins.intersectAttrs upstreamArguments (arguments.forUpstream args)) [
          "cudaPackages"
          "stdenv"
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
      (partsWith { }).problem;

  build =
    args:
    let
      variant = arguments.normalise args;
      inherit (variant) backends rocmTargets;
      # The names of the CPUs that this package supports.
      names = lib.toList variant.microarch;
      microarch = lib.concatStringsSep "+" names;
      has = backend: lib.elem backend backends;
      useWebUi = args.useWebUi or true;
      whole = wholeBecause args;
      # `programs.ccache` overrides the stdenv of its packages.
      parts = partsWith (builtins.intersectAttrs { stdenv = null; } args);

      dispatch = microarch == "dispatch";
      # Several backends or CPU variants in one package are only possible as modules.
      modules = dispatch || lib.length backends > 1;

      cudaPackages = args.cudaPackages or pkgs.cudaPackages;
      cudaCapabilities =
        if variant.cudaCapabilities == [ ] then
          cudaPackages.flags.cudaCapabilities
        else
          variant.cudaCapabilities;

      rocmPackages = args.rocmPackages or pkgs.rocmPackages;
      # The targets of this nixpkgs' ROCm libraries. `rocmPackages.gfx1151` has libraries for one
      # target, but its `gpuTargets`, for which upstream's package compiles, lists all.
      rocmLibraryTargets = rocmPackages.clr.localGpuTargets or rocmPackages.clr.gpuTargets;
      compiledRocmTargets = if rocmTargets == [ ] then rocmLibraryTargets else rocmTargets;

      # Sets all backends explicitly: upstream's defaults depend on nixpkgs.config (a host with
      # rocmSupport = true would get ROCm in its Vulkan build) and turn BLAS on, which llama-bench
      # then uses instead of the CPU.
      wanted =
        lib.genAttrs needs.switchedOff (_: false)
        // arguments.forUpstream args
        // lib.mapAttrs' (backend: argument: lib.nameValuePair argument (has backend)) needs.backends
        // lib.optionalAttrs (has "cuda") {
          # nixpkgs.config.cudaCapabilities would rebuild every other package that uses CUDA.
          cudaPackages = cudaPackages // {
            # Renamed by nixpkgs in 2026, and then by llama.cpp. Sets both names, because either
            # may be older.
            cccl = cudaPackages.cccl or cudaPackages.cuda_cccl;
            cuda_cccl = cudaPackages.cccl or cudaPackages.cuda_cccl;
            flags = cudaPackages.flags // {
              inherit cudaCapabilities;
              # Used by upstream; deprecated in nixpkgs.
              dropDot = withoutDot;
              # nixpkgs' replacement for both.
              cmakeCudaArchitecturesString = lib.concatMapStringsSep ";" withoutDot cudaCapabilities;
            };
          };
        }
        // lib.optionalAttrs (has "rocm" && compiledRocmTargets != rocmPackages.clr.gpuTargets) {
          rocmGpuTargets = lib.concatStringsSep ";" compiledRocmTargets;
        };

      optionsOf = name: microarchs.cmakeOptionsFor { inherit system name; };
      # With several CPUs, each module has its own options.
      cpuOptions = lib.optionalAttrs (!dispatch && lib.length names == 1) (optionsOf microarch);

      # ROCm uses CUDA's kernels.
      hasKvKernels = has "cuda" || has "rocm";
      kvOptions = lib.optionalAttrs hasKvKernels (kvKernels.optionsFor variant.kvCacheTypes);

      # nixpkgs' compiler with the linker and bundler that HIP requires. Upstream uses
      # rocmPackages.llvm.clang, which has neither (llama.cpp#15747).
      hipOptions = lib.optionalAttrs (has "rocm" && rocmPackages.clr ? hipClangPath) {
        CMAKE_HIP_COMPILER = "${rocmPackages.clr.hipClangPath}/clang++";
      };

      cmake =
        builtins.intersectAttrs declared (cpuOptions // kvOptions)
        // hipOptions
        // toolOptions buildInfo useWebUi
        // {
          GGML_NATIVE = false;
          GGML_BACKEND_DL = modules;
          GGML_CPU_ALL_VARIANTS = dispatch;
          # For libggml-base, which the modules need too.
          CMAKE_INSTALL_RPATH = "${placeholder "out"}/lib";
        }
        // lib.optionalAttrs modules {
          # The folder in which modules are installed and searched.
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
        # ggml selects one of these at start-up.
        microarchs = names;
        cudaCapabilities = lib.optionals (has "cuda") cudaCapabilities;
        cudaTargets = lib.optionals (has "cuda") (map cudaTargetOf cudaCapabilities);
        cudaVersion =
          if has "cuda" then cudaPackages.cudaMajorMinorVersion or cudaPackages.cudaVersion or null else null;
        rocmTargets = if has "rocm" then compiledRocmTargets else rocmTargets;
        rocmLibraryTargets = if has "rocm" then rocmLibraryTargets else null;
        cpuOptions = lib.mapAttrsToList (
          option: value: if value == true then option else "${option}=${value}"
        ) (lib.filterAttrs (_: value: value != false) cpuOptions);
        cmakeFlags = map asText flags;
        inherit (variant) extraCmakeFlags kvCacheTypes;
        # Null without such kernels.
        kvKernels = if hasKvKernels then kvKernels.builtWith (cmakeFlags.toAttrs flags) else null;
        inherit (buildInfo) rev build release;
        parts = [ ];
        # Why there are none although `modular` is true, or null.
        notSplit = if variant.modular then whole else null;
        listsInstructions = true; # See instructions.nix.
        # Arguments and options that this llama.cpp does not have.
        droppedArguments =
          lib.attrNames (removeAttrs wanted (lib.attrNames upstreamArguments))
          ++ lib.attrNames (removeAttrs (cpuOptions // kvOptions) (lib.attrNames declared));
      };

      package = (upstream.override (builtins.intersectAttrs upstreamArguments wanted)).overrideAttrs (
        finalAttrs: prev:
        {
          pname = "llama-cpp-${lib.replaceStrings [ "+" ":" ] [ "-" "-" ] name}";
          # The unfiltered source. Upstream filters it for each package, which takes a second of
          # evaluation and avoids no rebuild, because the flags contain the commit.
          src = source.outPath;
          cmakeFlags = lib.foldl' cmakeFlags.replace prev.cmakeFlags [
            (cmakeFlags.fromAttrs cmake)
            variant.extraCmakeFlags
          ];
          # Upstream's meta has llama-cli even if there is one program for all tools.
          meta = prev.meta // lib.optionalAttrs (declared ? LLAMA_BUILD_APP) { mainProgram = "llama"; };
          postInstall = (prev.postInstall or "") + import ./instructions.nix;
          postPatch = (prev.postPatch or "") + withoutCurrentDirectory + withTileConfig;
          passthru = (prev.passthru or { }) // {
            llamaCpp = manifestOf finalAttrs.cmakeFlags;
            tests = testsOf finalAttrs.finalPackage (manifestOf finalAttrs.cmakeFlags);
          };
        }
        // lib.optionalAttrs (!useWebUi && prev ? webui) {
          # Upstream sets it as an attribute, so it would still be built.
          webui = null;
        }
      );

      partsOf =
        map (
          name: parts.cpu name (if dispatch then null else builtins.intersectAttrs declared (optionsOf name))
        ) names
        ++ map (
          backend:
          parts.gpu backend (
            {
              cuda = {
                arguments = { inherit (wanted) cudaPackages; };
                targets = map (capability: "sm${withoutDot capability}") variant.cudaCapabilities;
              };
              rocm = {
                arguments = builtins.intersectAttrs { rocmGpuTargets = null; } wanted;
                targets = rocmTargets;
              };
              vulkan = { };
            }
            .${backend}
            // {
              options =
                lib.optionalAttrs (backend != "vulkan") (builtins.intersectAttrs declared kvOptions)
                // lib.optionalAttrs (backend == "rocm") hipOptions;
            }
          )
        ) (lib.remove "cpu" backends);

      joined =
        let
          tools = parts.tools useWebUi;
          all = [
            parts.ggml
            tools
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
            inherit package;
            tools = parts.revised tools;
            modules = partsOf;
            passthru = {
              llamaCpp = joinedManifest;
              parts = lib.listToAttrs (map (part: lib.nameValuePair part.pname part) all);
              tests = testsOf result joinedManifest;
            };
          };
        in
        # `overrideAttrs` applies to the variant as a single package.
        result // { inherit (package) overrideAttrs; };

      wrong = problems args lib.id;
      # Otherwise this would silently build a CPU package.
      unselectable =
        map
          (
            backend:
            "package.nix of this llama.cpp takes no ${needs.backends.${backend}}, which selects ${backend}"
          )
          (
            lib.filter (backend: !(upstreamArguments ? ${needs.backends.${backend}})) (
              lib.remove "cpu" backends
            )
          );
      found = if wrong == [ ] then unselectable else wrong;
    in
    if found != [ ] then
      throw "mkLlamaCpp: ${lib.concatStringsSep "\n" found}"
    else if whole == null then
      joined
    else
      package;
in
{
  # `mkLlamaCpp { … }` is the package; `mkLlamaCpp.problems` lists the errors of its arguments.
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
