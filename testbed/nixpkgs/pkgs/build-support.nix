# `runCommand`, `writeText` and the other small builders; fetchers that always fail.
{ lib, pkgs }:
let
  inherit (pkgs) stdenv stdenvNoCC;

  runCommandWith =
    stdenv: name: env: buildCommand:
    stdenv.mkDerivation ({ inherit name buildCommand; } // env);

  # Fetchers fail at build time, because there is no network. Packages that are only evaluated,
  # such as Nixpkgs' llama-cpp, still work.
  fetcher =
    kind: describe: args:
    stdenvNoCC.mkDerivation {
      name = args.name or "source";
      buildCommand = ''
        echo ${lib.escapeShellArg "the testbed fetches nothing: ${kind} of ${describe args}"} >&2
        exit 1
      '';
      passthru = {
        inherit (args) rev tag;
      };
    };
in
{
  runCommand = runCommandWith stdenvNoCC;
  runCommandNoCC = runCommandWith stdenvNoCC;
  runCommandCC = runCommandWith stdenv;
  runCommandLocal =
    name: env:
    runCommandWith stdenvNoCC name (
      {
        preferLocalBuild = true;
        allowSubstitutes = false;
      }
      // env
    );

  writeTextFile =
    {
      name,
      text,
      executable ? false,
      destination ? "",
      checkPhase ? "",
      meta ? { },
      passthru ? { },
      derivationArgs ? { },
    }:
    pkgs.runCommandLocal name
      (
        {
          inherit text meta passthru;
          passAsFile = [ "text" ] ++ derivationArgs.passAsFile or [ ];
        }
        // removeAttrs derivationArgs [ "passAsFile" ]
      )
      ''
        target=$out${lib.escapeShellArg destination}
        mkdir -p "$(dirname "$target")"
        cp "$textPath" "$target"
        ${lib.optionalString executable ''chmod +x "$target"''}
        ${checkPhase}
      '';
  writeText = name: text: pkgs.writeTextFile { inherit name text; };

  # A test with virtual machines. Its systems can be evaluated, but it cannot run. As in Nixpkgs,
  # the nodes have the packages that the test was called with.
  testers.runNixOSTest =
    {
      name,
      nodes,
      testScript,
    }:
    let
      systems = lib.mapAttrs (
        host: module:
        (import ../nixos/eval-config.nix {
          inherit lib;
          modules = [
            ../nixos/modules/read-only-pkgs.nix
            {
              options.virtualisation.memorySize = lib.mkOption { type = lib.types.ints.positive; };
              config = {
                nixpkgs.pkgs = pkgs;
                networking.hostName = host;
                boot.loader.grub.device = "/dev/vda";
                fileSystems."/".device = "/dev/vda";
              };
            }
            module
          ];
        }).config.system.build.toplevel
      ) nodes;
    in
    pkgs.runCommandLocal "vm-test-run-${name}" {
      inherit testScript;
      nodes = lib.attrValues systems;
      passthru = { inherit nodes; };
    } "echo 'testbed: there are no virtual machines' >&2; exit 1";
  writeTextDir =
    path: text:
    pkgs.writeTextFile {
      name = baseNameOf path;
      inherit text;
      destination = "/${path}";
    };
  writeScript =
    name: text:
    pkgs.writeTextFile {
      inherit name text;
      executable = true;
    };
  writeScriptBin =
    name: text:
    pkgs.writeTextFile {
      inherit name text;
      executable = true;
      destination = "/bin/${name}";
      meta.mainProgram = name;
    };
  writeShellScript = name: text: pkgs.writeScript name "#!/bin/bash\n${text}";
  writeShellScriptBin = name: text: pkgs.writeScriptBin name "#!/bin/bash\n${text}";
  writeShellApplication =
    {
      name,
      text,
      runtimeInputs ? [ ],
      runtimeEnv ? { },
      bashOptions ? [
        "errexit"
        "nounset"
        "pipefail"
      ],
      meta ? { },
      # No check phase: the testbed has no shellcheck.
      checkPhase ? null,
      excludeShellChecks ? [ ],
      extraShellCheckFlags ? [ ],
      inheritPath ? true,
      passthru ? { },
      derivationArgs ? { },
    }:
    pkgs.writeTextFile {
      inherit name derivationArgs passthru;
      executable = true;
      destination = "/bin/${name}";
      meta = {
        mainProgram = name;
      }
      // meta;
      text = lib.concatLines (
        [ "#!/bin/bash" ]
        ++ map (option: "set -o ${option}") bashOptions
        ++ lib.mapAttrsToList (key: value: "export ${lib.toShellVar key value}") runtimeEnv
        ++ lib.optional (runtimeInputs != [ ]) ''export PATH="${lib.makeBinPath runtimeInputs}:$PATH"''
        ++ [ text ]
      );
    };

  symlinkJoin =
    args@{
      name ? "${args.pname}-${args.version}",
      paths,
      postBuild ? "",
      stripPrefix ? "",
      ...
    }:
    pkgs.runCommandLocal name
      (removeAttrs args [
        "name"
        "postBuild"
        "stripPrefix"
      ])
      ''
        mkdir -p "$out"
        for path in $paths; do
          [[ ! -d $path${stripPrefix} ]] || cp -rsf --no-preserve=mode "$path${stripPrefix}/." "$out/"
        done
        ${postBuild}
      '';
  buildEnv =
    {
      name,
      paths,
      pathsToLink ? [ "/" ],
      postBuild ? "",
      ignoreCollisions ? false,
      extraOutputsToInstall ? [ ],
      meta ? { },
      passthru ? { },
      ...
    }:
    pkgs.symlinkJoin {
      inherit
        name
        postBuild
        meta
        passthru
        ;
      paths = lib.filter (path: path != null) paths;
    };
  linkFarm =
    name: entries:
    pkgs.runCommandLocal name { } ''
      mkdir -p "$out"
      ${lib.concatMapStrings
        (entry: ''
          mkdir -p "$out/$(dirname ${lib.escapeShellArg entry.name})"
          ln -s ${lib.escapeShellArg "${entry.path}"} "$out/"${lib.escapeShellArg entry.name}
        '')
        (
          if lib.isAttrs entries then
            lib.mapAttrsToList (name: path: { inherit name path; }) entries
          else
            entries
        )
      }
    '';
  linkFarmFromDrvs =
    name: drvs:
    pkgs.linkFarm name (
      map (drv: {
        inherit (drv) name;
        path = drv;
      }) drvs
    );
  emptyFile = pkgs.runCommandLocal "empty-file" { } ''touch "$out"'';
  emptyDirectory = pkgs.runCommandLocal "empty-directory" { } ''mkdir "$out"'';

  mkShell =
    args@{
      name ? "nix-shell",
      packages ? [ ],
      inputsFrom ? [ ],
      ...
    }:
    let
      inputsOf =
        list:
        args.${list} or [ ]
        ++ lib.concatMap (drv: lib.filter (x: lib.isDerivation x) (drv.${list} or [ ])) inputsFrom;
    in
    stdenv.mkDerivation (
      removeAttrs args [
        "inputsFrom"
        "packages"
      ]
      // {
        inherit name;
        nativeBuildInputs = packages ++ inputsOf "nativeBuildInputs";
        buildInputs = inputsOf "buildInputs";
        dontUnpack = true;
        installPhase = ''mkdir -p "$out"'';
      }
    );
  mkShellNoCC = pkgs.mkShell;

  makeSetupHook =
    {
      name,
      propagatedBuildInputs ? [ ],
      passthru ? { },
      meta ? { },
      ...
    }:
    script:
    pkgs.runCommandLocal name { inherit meta passthru; } ''
      mkdir -p "$out/nix-support"
      cp ${script} "$out/nix-support/setup-hook"
      ${lib.optionalString (propagatedBuildInputs != [ ]) ''
        echo ${toString propagatedBuildInputs} >"$out/nix-support/propagated-build-inputs"
      ''}
    '';
  installShellFiles = pkgs.makeSetupHook {
    name = "install-shell-files";
  } ./hooks/install-shell-files.sh;
  makeWrapper = pkgs.makeSetupHook { name = "make-wrapper-hook"; } ./hooks/make-wrapper.sh;
  makeBinaryWrapper = pkgs.makeWrapper;

  formats = import ./formats.nix { inherit lib pkgs; };

  fetchurl = fetcher "fetchurl" (args: args.url or (lib.head args.urls));
  fetchzip = fetcher "fetchzip" (args: args.url);
  fetchgit = fetcher "fetchgit" (args: args.url);
  fetchpatch = fetcher "fetchpatch" (args: args.url);
  fetchFromGitHub = fetcher "fetchFromGitHub" (args: "${args.owner}/${args.repo}");
}
