# xtask as a package: the program, its completions and man pages, and the testbed, so
# that `--testbed` works without a checkout.
pkgs:
let
  inherit (pkgs) lib;
  root = ../.;
  # Only what it is made of: an edit of a host's file builds nothing anew.
  sources = [
    "Cargo.lock"
    "Cargo.toml"
    "overlays/llama-cpp/microarch.json"
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
in
pkgs.rustPlatform.buildRustPackage {
  pname = "xtask";
  version = (lib.importTOML (root + "/xtask/Cargo.toml")).package.version;
  src = builtins.path {
    name = "xtask-source";
    path = root;
    filter = isSource;
  };
  cargoLock.lockFile = root + "/Cargo.lock";
  nativeBuildInputs = [ pkgs.installShellFiles ];

  # The tests run Nix, which a build cannot.
  doCheck = false;

  # Read when it is compiled: where --testbed finds the stand-ins.
  env.LLAMAFLEET_SHARE = "${placeholder "out"}/share/llamafleet";

  postInstall = ''
    mkdir -p "$out/share/llamafleet"
    cp -r testbed "$out/share/llamafleet/"
    for shell in bash fish zsh; do
      "$out/bin/xtask" completions "$shell" > "xtask.$shell"
    done
    installShellCompletion xtask.{bash,fish,zsh}
    "$out/bin/xtask" completions man --out-dir man
    installManPage man/*.1
  '';

  meta = {
    description = "Checks, builds and benchmarks a NixOS fleet's llama.cpp";
    license = lib.licenses.mit;
    mainProgram = "xtask";
    platforms = lib.platforms.linux;
  };
}
