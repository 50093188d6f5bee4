# The parts of a variant, and the variants that are built as one package.
{ lib, pkgs, ... }:
let
  make = pkgs.mkLlamaCpp;
  several = {
    microarch = [
      "znver4"
      "znver5"
    ];
  };
  flagsOf = package: package.llamaCpp.cmakeFlags;
  has = flag: package: lib.elem flag (flagsOf package);
  passes = name: package: lib.any (flag: lib.hasPrefix "-D${name}:" flag) (flagsOf package);
  tigerlake = make {
    backends = [ "cuda" ];
    microarch = "tigerlake";
    cudaCapabilities = [ "7.5" ];
  };
in
{
  "hosts share the parts that are the same" = {
    expr =
      let
        drvPaths = package: map (part: part.drvPath) package.llamaCpp.parts;
        shared = lib.intersectLists (drvPaths tigerlake) (
          drvPaths (make {
            backends = [ "cuda" ];
            microarch = "znver4";
            cudaCapabilities = [ "7.5" ];
          })
        );
      in
      map (
        name: lib.any (part: part.name == name && lib.elem part.drvPath shared) tigerlake.llamaCpp.parts
      ) (lib.attrNames tigerlake.parts);
    # Sorted by name. Only the CPU's part differs.
    expected = [
      true
      false
      true
      true
    ];
  };
  "what applies to all of llama.cpp is built as one package" = {
    expr =
      map
        (args: {
          split = (make args).llamaCpp.parts != [ ];
          isReported = (make args).llamaCpp.notSplit != null;
          whole = (make args).drvPath == (make (args // { modular = false; })).drvPath;
        })
        [
          { extraCmakeFlags = [ "-DGGML_OPENMP=OFF" ]; }
          { useBlas = true; }
          { modular = false; }
        ];
    expected =
      map
        (isReported: {
          inherit isReported;
          split = false;
          whole = true;
        })
        [
          true
          true
          false
        ];
  };
  "a portable package chooses at start-up, as one package too" = {
    expr =
      lib.all
        (
          flag:
          has flag (make {
            modular = false;
          })
        )
        [
          "-DGGML_BACKEND_DL:BOOL=TRUE"
          "-DGGML_CPU_ALL_VARIANTS:BOOL=TRUE"
          "-DGGML_BACKEND_DIR:STRING=$out/lib/ggml"
          "-DCMAKE_INSTALL_RPATH:STRING=$out/lib"
        ];
    expected = true;
  };
  "modules are not looked for in the current directory" = {
    expr = lib.all (package: lib.hasInfix "ggml-backend-reg.cpp" package.postPatch) [
      pkgs.llama-cpp-cpu.parts.ggml
      (make { modular = false; })
      (tigerlake.override { modular = false; })
    ];
    expected = true;
  };
  "AMX's tile configuration is stored, in CPU modules and whole packages alone" = {
    expr = map (package: lib.hasInfix "amx/mmq.cpp" package.postPatch) [
      tigerlake.parts.ggml-cpu-tigerlake
      (tigerlake.override { modular = false; })
      pkgs.llama-cpp-cpu.parts.ggml
    ];
    expected = [
      true
      true
      false
    ];
  };
  # CMake stops at GGML_BACKEND_DIR without GGML_BACKEND_DL.
  "an exact variant as one package has no modules" = {
    expr =
      let
        package = tigerlake.override { modular = false; };
      in
      [
        (has "-DGGML_BACKEND_DL:BOOL=FALSE" package)
        (passes "GGML_BACKEND_DIR" package)
      ];
    expected = [
      true
      false
    ];
  };
  "a list of CPUs is one package with a module for each" = {
    expr =
      let
        package = make {
          microarch = [
            "znver4"
            "tigerlake"
            "znver4"
          ];
        };
      in
      {
        inherit (package.llamaCpp) variant microarchs cpuOptions;
        parts = lib.attrNames package.parts;
        # Whether the parts are those of the packages for one CPU.
        shared =
          package.parts.ggml-cpu-tigerlake.drvPath == (make { microarch = "tigerlake"; })
          .parts.ggml-cpu-tigerlake.drvPath;
        one = (make { microarch = [ "znver4" ]; }).drvPath == (make { microarch = "znver4"; }).drvPath;
      };
    expected = {
      variant = "cpu-tigerlake+znver4";
      microarchs = [
        "tigerlake"
        "znver4"
      ];
      cpuOptions = [ ];
      parts = [
        "ggml"
        "ggml-cpu-tigerlake"
        "ggml-cpu-znver4"
        "llama-cpp-tools"
      ];
      shared = true;
      one = true;
    };
  };
  # For `inputsFrom` of a dev shell, and assertions about flags.
  "its inputs and flags are those of a single package" = {
    expr = {
      inputs = map (input: "${input}") (tigerlake.buildInputs ++ tigerlake.nativeBuildInputs);
      inherit (tigerlake) cmakeFlags;
    };
    expected =
      let
        single = tigerlake.overrideAttrs { };
      in
      {
        inputs = map (input: "${input}") (single.buildInputs ++ single.nativeBuildInputs);
        inherit (single) cmakeFlags;
      };
  };
  "a list that cannot be says why" = {
    expr =
      map (args: lib.length (pkgs.mkLlamaCpp.problems args lib.id)) [
        { microarch = [ ]; }
        {
          microarch = [
            "dispatch"
            "znver4"
          ];
        }
        {
          microarch = [
            "znver4"
            "coffeelaek"
          ];
        }
        # The module turns these into assertions.
        (several // { extraCmakeFlags = [ "-DGGML_OPENMP=OFF" ]; })
        (several // { modular = false; })
        (several // { useBlas = true; })
        several
      ]
      ++ [ (builtins.tryEval (make (several // { modular = false; })).drvPath).success ];
    expected = [
      1
      1
      1
      1
      1
      1
      0
      false
    ];
  };
  # As a separate project, ggml has other defaults than within llama.cpp.
  "what llama.cpp turns on in ggml is on in every part of it" = {
    expr =
      lib.all
        (
          flag:
          lib.all (part: lib.elem flag part.cmakeFlags) (
            lib.attrValues (removeAttrs tigerlake.parts [ "llama-cpp-tools" ])
          )
        )
        [
          "-DGGML_LLAMAFILE:BOOL=TRUE"
          "-DGGML_CUDA_GRAPHS:BOOL=TRUE"
        ];
    expected = true;
  };
}
