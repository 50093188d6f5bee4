# Python and Node.js for llama.cpp's Nix files, Rust for xtask.
{ lib, pkgs }:
let
  pythonModule =
    pname:
    pkgs.stdenvNoCC.mkDerivation {
      inherit pname;
      version = "0-host";
      buildCommand = ''
        echo "the testbed has no Python packages: ${pname} evaluates but cannot be built here" >&2
        exit 1
      '';
    };
in
{
  python3 = pkgs.hostPackage {
    pname = "python3";
    programs = [ "python3" ];
    passthru.pkgs = pkgs.python3Packages;
  };
  python3Packages =
    lib.genAttrs [
      "docstring-parser"
      "gitpython"
      "matplotlib"
      "numpy"
      "openai"
      "poetry-core"
      "prometheus-client"
      "protobuf"
      "pydantic"
      "pytest"
      "pytestCheckHook"
      "pyyaml"
      "requests"
      "sentencepiece"
      "tabulate"
      "tiktoken"
      "torchWithoutCuda"
      "tqdm"
      "transformers"
    ] pythonModule
    // {
      python = pkgs.python3;
      buildPythonPackage =
        args:
        pkgs.stdenv.mkDerivation (
          removeAttrs (lib.toFunction args { }) [
            "dependencies"
            "nativeCheckInputs"
            "pyproject"
            "pythonImportsCheck"
          ]
          // {
            buildPhase = ''
              echo "the testbed cannot build Python packages" >&2
              exit 1
            '';
          }
        );
      buildPythonApplication = pkgs.python3Packages.buildPythonPackage;
    };

  # `npm` writes an empty web UI under the file names that llama.cpp's CMake expects: the
  # real one needs packages from a registry.
  nodejs = pkgs.runCommandLocal "nodejs-stand-in" { meta.mainProgram = "node"; } ''
    mkdir -p "$out/bin"
    cp ${./hooks/npm.sh} "$out/bin/npm"
    chmod +x "$out/bin/npm"
  '';
  importNpmLock = {
    linkNodeModulesHook = pkgs.makeSetupHook {
      name = "link-node-modules-hook";
    } ./hooks/node-modules.sh;
    buildNodeModules =
      { npmRoot, nodejs, ... }:
      pkgs.runCommandLocal "node-modules-stand-in" { inherit nodejs; } ''
        test -f ${npmRoot + "/package-lock.json"}
        mkdir -p "$out/node_modules"
      '';
    npmConfigHook = pkgs.makeSetupHook { name = "npm-config-hook"; } ./hooks/node-modules.sh;
  };

  # Uses the machine's Cargo and crates, and downloads missing crates during the build. Not
  # optimised, because the build only has to work.
  rustPlatform.buildRustPackage =
    args:
    pkgs.stdenv.mkDerivation (
      removeAttrs args [ "cargoLock" ]
      // {
        buildPhase = ''
          home=$(getent passwd "$(id -u)" | cut -d: -f6)
          export CARGO_HOME="$home/.cargo" RUSTUP_HOME="$home/.rustup"
          PATH="$CARGO_HOME/bin:$PATH"
          if ! command -v cargo >/dev/null; then
            echo "testbed: cargo is neither in PATH nor in $home/.cargo/bin" >&2
            exit 1
          fi
          export CARGO_TARGET_DIR=$PWD/target
          cargo build --locked --bins
        '';
        installPhase = ''
          mkdir -p "$out/bin"
          find target/debug -maxdepth 1 -type f -executable -exec install -t "$out/bin" {} +
          runHook postInstall
        '';
      }
    );
}
