# Builds a variant from parts, each a derivation with only the source that it needs: ggml without
# backends, a loadable module for each backend, llama.cpp's hardware-independent library and tools,
# and the package that joins them. Hosts and revisions share equal parts.
#
# No part contains the revision, so that a revision that changes no part's source compiles nothing:
# `revised` writes the revision into the tools.
#
# Every part is upstream's package, with other dependencies, compilers and hooks by `.override`, and
# another source, flags and targets by `.overrideAttrs`. CUDA's module may be compiled with an older
# compiler than the tools: they use ggml's C interface, and the tools' libstdc++ is loaded first.
{
  lib,
  runCommand,
  runCommandCC,
  source,
  # The source of each part, see sources.nix.
  sources,
  # Upstream's package with these arguments, and all other backends off.
  upstreamWith,
  # The CMake options that this llama.cpp declares.
  declared,
  buildInfo,
  # The CMake options of the tools, for a revision and a web UI, and patches of ggml.
  toolOptions,
  withoutCurrentDirectory,
  withTileConfig,
  # The argument of upstream's package that selects each backend.
  selectedBy,
  # ccache and its cache folder with `programs.ccache`, otherwise null.
  cache,
}:
let
  cmakeFlags = import ./cmake-flags.nix { inherit lib; };

  # ggml's version, if it has one, which changes less often than llama.cpp's revision.
  # Otherwise upstream's package would pass the revision to the web UI.
  version =
    let
      text = builtins.readFile "${source}/ggml/CMakeLists.txt";
      number =
        name:
        let
          found = builtins.match ".*set\\(GGML_VERSION_${name} ([0-9]+)\\).*" text;
        in
        if found == null then "0" else lib.head found;
    in
    lib.concatMapStringsSep "." number [
      "MAJOR"
      "MINOR"
      "PATCH"
    ];

  # Placeholders with which the tools are compiled instead of a revision: a text longer than any
  # commit, and a number that is no other constant.
  unrevised = {
    commit = "commit_of_this_build";
    build = 1524742647;
  };

  # Upstream's package with these arguments, without backends and revision.
  withArguments = arguments: upstreamWith ({ llamaVersion = version; } // arguments);

  # A build of ggml alone requires a file that llama.cpp's tree does not have.
  postPatch = ''
    touch ggml/ggml.pc.in
  ''
  + withoutCurrentDirectory;

  # Options of ggml that llama.cpp turns on with `set(GGML_LLAMAFILE_DEFAULT ON)` and the like, and
  # that are off in ggml alone. Without GGML_LLAMAFILE, q8_0 prompts are a third slower.
  defaults =
    let
      matches = lib.filter lib.isList (
        builtins.split "set\\((GGML_[A-Z0-9_]+)_DEFAULT ON\\)" (
          builtins.readFile "${source}/CMakeLists.txt"
        )
      );
    in
    builtins.intersectAttrs declared (lib.genAttrs (map lib.head matches) (_: true));

  ggmlFlags =
    flags: options:
    cmakeFlags.replace
      (lib.filter (
        flag:
        lib.any (prefix: lib.hasPrefix "-D${prefix}" flag) [
          "BUILD_"
          "CMAKE_"
          "GGML_"
        ]
      ) flags)
      (
        cmakeFlags.fromAttrs (
          {
            GGML_NATIVE = false;
            GGML_BACKEND_DL = true;
            GGML_BUILD_EXAMPLES = false;
            GGML_BUILD_TESTS = false;
            GGML_CPU = false;
          }
          // defaults
          // options
        )
      );

  common = prev: {
    inherit postPatch;
    cmakeDir = "../ggml";
    outputs = [ "out" ];
    postInstall = "";
    # Upstream sets it as an attribute, so it would still be built.
    webui = null;
    passthru = { };
    meta = removeAttrs prev.meta [ "mainProgram" ];
  };

  ggml = (withArguments { useWebUi = false; }).overrideAttrs (
    prev:
    common prev
    // {
      pname = "ggml";
      src = sources.ggml;
      cmakeFlags = ggmlFlags prev.cmakeFlags { CMAKE_INSTALL_RPATH = "${placeholder "out"}/lib"; };
    }
  );

  # A module for one backend, from its `source`, `arguments` of upstream's package, CMake `options`
  # and Ninja `targets`.
  module =
    {
      name,
      arguments ? { },
      source,
      options,
      targets,
      morePatches ? "",
    }:
    (withArguments (arguments // { useWebUi = false; })).overrideAttrs (
      prev:
      common prev
      // {
        pname = "ggml-${lib.replaceStrings [ ":" "+" ] [ "-" "-" ] name}";
        postPatch = postPatch + morePatches;
        src = source;
        cmakeFlags = ggmlFlags prev.cmakeFlags (
          {
            # The module is copied from the build folder, so it needs its final RPATH, which has
            # the tools' libggml-base.
            CMAKE_BUILD_WITH_INSTALL_RPATH = true;
            CMAKE_INSTALL_RPATH = "${ggml}/lib";
            CMAKE_SKIP_BUILD_RPATH = false;
          }
          // options
        );
        ninjaFlags = targets;
        installPhase = ''
          runHook preInstall
          install -D --target-directory "$out/lib/ggml" bin/libggml-*.so
          ${lib.optionalString (options ? GGML_CPU) (import ./instructions.nix)}
          runHook postInstall
        '';
      }
    );

  # The Ninja target of each GPU backend.
  targetOf = {
    cuda = "ggml-cuda";
    rocm = "ggml-hip";
    vulkan = "ggml-vulkan";
  };

  # The libraries, and the tools in a separate output, which each variant copies. They still print
  # placeholders instead of a revision.
  tools =
    useWebUi:
    (withArguments { inherit useWebUi; }).overrideAttrs (
      prev:
      {
        pname = "llama-cpp-tools";
        src = sources.tools;
        outputs = [
          "out"
          "tools"
        ];
        buildInputs = prev.buildInputs ++ [ ggml ];
        # Earlier revisions patch Metal's source in ggml, which is not in this source.
        postPatch = lib.optionalString (!lib.hasInfix "/ggml/" (prev.postPatch or "")) prev.postPatch;
        cmakeFlags = cmakeFlags.replace prev.cmakeFlags (
          cmakeFlags.fromAttrs (
            toolOptions unrevised useWebUi
            // {
              LLAMA_USE_SYSTEM_GGML = true;
              CMAKE_INSTALL_RPATH = "${placeholder "out"}/lib";
            }
          )
        );
        postInstall = (prev.postInstall or "") + ''
          mkdir -p "$tools"
          mv "$out/bin" "$tools/"
          # One folder to search: a program starts a few percent faster.
          ln -s ${ggml}/lib/libggml*.so* "$out/lib/"
        '';
        passthru = { };
      }
      // lib.optionalAttrs (!useWebUi && prev ? webui) { webui = null; }
    );

  # A copy of the tools that prints this revision. Replaces each placeholder with a text of the same
  # length, so that the layout of binaries does not change.
  revised =
    tools:
    let
      prefix = "llama-cpp-";
      room = lib.stringLength tools.name - lib.stringLength prefix;
      digits = lib.substring 0 room (buildInfo.rev + lib.concatStrings (lib.genList (_: "0") room));
    in
    runCommand (prefix + digits)
      {
        inherit (tools) outputs;
        inherit (buildInfo) commit build;
        disallowedReferences = tools.all;
      }
      ''
        # A number as it is in memory.
        bytes() {
          for shift in 0 8 16 24; do
            printf '\\x%02x' "$(($1 >> shift & 255))"
          done
        }
        cp --recursive --no-preserve=ownership ${tools} "$out"
        cp --recursive --no-preserve=ownership ${tools.tools} "$tools"
        chmod --recursive u+w "$out" "$tools"
        missing=$((${toString (lib.stringLength unrevised.commit)} - ''${#commit}))
        end=$(printf '\\x00%.0s' $(seq "$missing"))
        find "$out" "$tools" -type f | while read -r file; do
          isBinary=
          [ "$(head --bytes=4 "$file")" != $'\x7fELF' ] || isBinary=yes
          LC_ALL=C sed --in-place \
            -e "s|${tools}|$out|g" \
            -e "s|${tools.tools}|$tools|g" \
            -e "s|${unrevised.commit}|$commit''${isBinary:+$end}|g" \
            -e "s|$(bytes ${toString unrevised.build})|$(bytes "$build")|g" \
            -e "s|${toString unrevised.build}|$build|g" \
            "$file"
        done
        if ! grep --recursive --quiet --text --fixed-strings "$commit" "$out/lib" "$tools/bin"; then
          echo "nothing in ${tools.name} prints the commit" >&2
          exit 1
        fi
      '';

  # Measures the memory bandwidth of the machine that runs it, for `xtask bench`.
  memoryBandwidth = runCommandCC "memory-bandwidth" { } ''
    mkdir -p "$out/bin"
    # -s: the symbols would name the source, which is in the store.
    ''${CC:-cc} -O3 -s -pthread -o "$out/bin/memory-bandwidth" ${./memory-bandwidth.c}
  '';
in
{
  inherit ggml tools revised;

  # The combined flags of the parts: each flag once, and on if any part has it on. Without the
  # defaults that llama.cpp sets when it is built as one package.
  flagsOf =
    all:
    let
      isPlace = flag: lib.hasInfix "RPATH" (cmakeFlags.nameOf flag);
      isDefault = flag: defaults ? ${cmakeFlags.nameOf flag};
      isOff = flag: builtins.match ".*=(FALSE|OFF)" flag != null;
      byName = lib.groupBy cmakeFlags.nameOf (
        lib.filter (flag: cmakeFlags.nameOf flag != null && !isPlace flag && !isDefault flag) (
          cmakeFlags.replace (lib.concatMap (part: part.cmakeFlags) all) (
            cmakeFlags.fromAttrs (toolOptions buildInfo true)
          )
        )
      );
    in
    map (flags: lib.findFirst (flag: !isOff flag) (lib.head flags) flags) (lib.attrValues byName);

  # Why this llama.cpp cannot be split, or null.
  problem =
    let
      missing = lib.filter (option: !(declared ? ${option})) [
        "GGML_BACKEND_DL"
        "GGML_CPU"
        "LLAMA_USE_SYSTEM_GGML"
      ];
    in
    if missing == [ ] then null else "this llama.cpp has no CMake option ${lib.head missing}";

  # `options` is null for all modules of this architecture.
  cpu =
    microarch: options:
    let
      isNamed = options != null && !(options ? GGML_CPU_ARM_ARCH);
    in
    module {
      name = "cpu-${microarch}";
      source = sources.cpu;
      options = {
        GGML_CPU = true;
        GGML_CPU_ALL_VARIANTS = options == null;
      }
      // lib.optionalAttrs (options != null) options;
      # Separate names allow several modules in one package. On x86, a named module can tell ggml
      # whether it runs on this CPU; ggml finds other modules only by the plain name.
      morePatches =
        withTileConfig
        + lib.optionalString isNamed ''
          sed -i 's/ggml_add_cpu_backend_variant_impl("")/ggml_add_cpu_backend_variant_impl("${microarch}")/' \
            ggml/src/CMakeLists.txt
        '';
      targets = lib.optional (options != null) (if isNamed then "ggml-cpu-${microarch}" else "ggml-cpu");
    };

  # `targets` are the GPUs in the part's name.
  gpu =
    backend:
    {
      arguments ? { },
      options,
      targets ? [ ],
    }:
    (module {
      name = lib.concatStringsSep "-" ([ backend ] ++ targets);
      arguments = arguments // {
        ${selectedBy.${backend}} = true;
      };
      source = sources.${backend};
      inherit options;
      targets = [ targetOf.${backend} ];
    }).overrideAttrs
      (
        prev:
        # These use other compilers than stdenv, which ggml runs with ccache if it finds it.
        lib.optionalAttrs (cache != null && backend != "vulkan") {
          nativeBuildInputs = prev.nativeBuildInputs ++ [ cache.ccache ];
          CCACHE_COMPRESS = "1";
          CCACHE_DIR = cache.directory;
          CCACHE_UMASK = "007";
        }
      );

  # The package. ggml looks for modules in the real folder of the running program, so each package
  # has copies of the tools.
  join =
    {
      # The variant as a single package.
      package,
      tools,
      modules,
      passthru,
    }:
    runCommand "${package.pname}-${buildInfo.version}"
      {
        inherit (package) pname meta;
        inherit (buildInfo) version;
        # What dev shells (`inputsFrom`) and the flakes of users read.
        passthru = passthru // {
          inherit (package)
            buildInputs
            cmakeFlags
            nativeBuildInputs
            src
            ;
        };
      }
      ''
        folder=libexec/llama-cpp
        mkdir -p "$out/bin" "$out/$folder"
        cp ${tools.tools}/bin/* "$out/$folder/"
        for tool in "$out/$folder"/*; do
          ln -s "../$folder/''${tool##*/}" "$out/bin/"
        done
        mkdir "$out/nix-support"
        for module in ${toString modules}; do
          ln -s "$module"/lib/ggml/*.so "$out/$folder/"
          if [ -e "$module/nix-support/ggml-cpu-instructions" ]; then
            cat "$module/nix-support/ggml-cpu-instructions" >> "$out/nix-support/ggml-cpu-instructions"
          fi
        done
        # ggml loads a module of several twice, first for its score, and one with this name
        # once. It refuses a module of either kind on a CPU that lacks a feature.
        cpus=("$out/$folder"/libggml-cpu*.so)
        if [ "''${#cpus[@]}" = 1 ]; then
          ln -s --force "$(readlink "''${cpus[0]}")" "$out/$folder/libggml-cpu.so"
          [ "''${cpus[0]}" = "$out/$folder/libggml-cpu.so" ] || rm "''${cpus[0]}"
        fi
        # Not in the folder whose files ggml looks at.
        ln -s ${memoryBandwidth}/bin/memory-bandwidth "$out/libexec/"
        cp --recursive --symbolic-link --no-preserve=mode --force \
          ${ggml}/lib ${ggml}/include ${tools}/lib ${tools}/include "$out/"
      '';
}
