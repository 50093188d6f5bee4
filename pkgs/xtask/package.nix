# xtask: the program, its completions and man pages, and the testbed, so that `--testbed`
# works without a checkout.
{
  lib,
  installShellFiles,
  runCommand,
  rustPlatform,
}:
let
  root = ../..;
  # Only the files that the build reads, so that an edit of a host does not rebuild xtask.
  sources = [
    "Cargo.lock"
    "Cargo.toml"
    "overlays/llama-cpp/microarch.json"
    "overlays/llama-cpp/needs.json"
    "overlays/llama-cpp/tile-config.sed"
    "testbed"
    "xtask"
  ];
  isSource =
    path: _type:
    let
      name = lib.removePrefix (toString root + "/") (toString path);
    in
    lib.any (
      source: name == source || lib.hasPrefix "${source}/" name || lib.hasPrefix "${name}/" source
    ) sources;

  xtask = rustPlatform.buildRustPackage {
    pname = "xtask";
    version = (lib.importTOML (root + "/xtask/Cargo.toml")).package.version;
    src = builtins.path {
      name = "xtask-source";
      path = root;
      filter = isSource;
    };
    cargoLock.lockFile = root + "/Cargo.lock";
    nativeBuildInputs = [ installShellFiles ];
    buildFeatures = [ "man" ];

    # The tests run Nix, which does not work inside a build.
    doCheck = false;

    # Compiled in, so that --testbed finds the stand-ins.
    env.LLAMAFLEET_SHARE = "${placeholder "out"}/share/llamafleet";

    postInstall = ''
      mkdir -p "$out/share/llamafleet"
      cp -r testbed "$out/share/llamafleet/"
      for shell in bash fish zsh; do
        "$out/bin/xtask" completions "$shell" > "xtask.$shell"
      done
      installShellCompletion xtask.{bash,fish,zsh}
      "$out/bin/xtask" man man
      installManPage man/*.1
    '';

    passthru.tests.installed = runCommand "xtask-installed" { nativeBuildInputs = [ xtask ]; } ''
      xtask --help > "$out"
      bash -n ${xtask}/share/bash-completion/completions/xtask*
      ls ${xtask}/share/man/man1/xtask.1*
      test -f ${xtask}/share/llamafleet/testbed/nixpkgs/flake.nix
    '';

    meta = {
      description = "Checks, builds and benchmarks a NixOS fleet's llama.cpp";
      license = lib.licenses.mit;
      mainProgram = "xtask";
      platforms = lib.platforms.linux;
    };
  };
in
xtask
