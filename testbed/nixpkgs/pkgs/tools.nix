# Packages of programs that are installed on the machine.
{ lib, pkgs }:
let
  hostPackage = import ./host-package.nix { inherit lib pkgs; };
  tool =
    pname: programs: debian:
    hostPackage { inherit pname programs debian; };
  wrapped = program: ''
    substitute ${./stdenv/cc-wrapper.sh} "$out/bin/${program}" --subst-var-by program /usr/bin/${program} \
      --subst-var-by with_ccache ${./stdenv/with-ccache.sh}
    chmod +x "$out/bin/${program}"
  '';
in
{
  inherit hostPackage;

  gcc = pkgs.stdenvNoCC.mkDerivation {
    pname = "gcc-wrapper";
    version = "0-host";
    phases = "installPhase";
    installPhase = ''
      for program in gcc g++; do
        if [[ ! -x /usr/bin/$program ]]; then
          echo "testbed: the compiler needs the Debian package build-essential: apt-get install build-essential" >&2
          exit 1
        fi
      done
      mkdir -p "$out/bin"
      ${wrapped "gcc"}
      ${wrapped "g++"}
      ln -s gcc "$out/bin/cc"
      ln -s g++ "$out/bin/c++"
      cp ${./stdenv/ccache-passthrough.sh} "$out/bin/ccache"
      chmod +x "$out/bin/ccache"
    '';
    passthru = {
      isGNU = true;
      isClang = false;
      # Nixpkgs' name for the compiler inside the wrapper.
      cc = hostPackage {
        pname = "gcc";
        programs = [ "gcc" ];
        libraries."libstdc++.so.6" = "/usr/lib/*/libstdc++.so.6";
        debian = "build-essential";
      };
      targetPrefix = "";
    };
    meta.mainProgram = "gcc";
  };
  gcc-unwrapped = pkgs.gcc.cc;

  cmake = hostPackage {
    pname = "cmake";
    programs = [
      "cmake"
      "ctest"
      "cpack"
    ];
    setupHook = ./hooks/cmake.sh;
  };
  ninja = hostPackage {
    pname = "ninja";
    programs = [ "ninja" ];
    debian = "ninja-build";
    setupHook = ./hooks/ninja.sh;
  };
  pkg-config = tool "pkg-config" [ "pkg-config" ] "pkg-config";
  gnumake = tool "gnumake" [ "make" ] "make";
  git = tool "git" [ "git" ] "git";
  gitMinimal = pkgs.git;
  ccache = tool "ccache" [ "ccache" ] "ccache";
  bash = tool "bash" [ "bash" ] "bash" // {
    shellPath = "/bin/bash";
  };
  bashInteractive = pkgs.bash;
  runtimeShell = "/bin/bash";
  coreutils = tool "coreutils" [
    "cat"
    "cp"
    "env"
    "ls"
    "mkdir"
    "mv"
    "nproc"
    "printf"
    "rm"
    "sleep"
    "timeout"
    "tr"
    "wc"
  ] "coreutils";
  gnused = tool "gnused" [ "sed" ] "sed";
  gnugrep = tool "gnugrep" [ "grep" ] "grep";
  gawk = tool "gawk" [ "awk" ] "gawk";
  findutils = tool "findutils" [ "find" "xargs" ] "findutils";
  gnutar = tool "gnutar" [ "tar" ] "tar";
  gzip = tool "gzip" [ "gzip" ] "gzip";
  util-linux = tool "util-linux" [ "lscpu" ] "util-linux";
  procps = tool "procps" [ "pgrep" ] "procps";
  pciutils = tool "pciutils" [ "lspci" ] "pciutils";
  openssh = tool "openssh" [ "ssh" "scp" ] "openssh-client";
  hello = pkgs.writeShellScriptBin "hello" "echo 'Hello, world!'";
  htop = tool "htop" [ "htop" ] "htop";
  btop = tool "btop" [ "btop" ] "btop";
  jq = tool "jq" [ "jq" ] "jq";
  ripgrep = tool "ripgrep" [ "rg" ] "ripgrep";
  vim = tool "vim" [ "vim" ] "vim";
  firefox = tool "firefox" [ "firefox" ] "firefox-esr";
  tmux = tool "tmux" [ "tmux" ] "tmux";
  vulkan-tools = tool "vulkan-tools" [ "vulkaninfo" ] "vulkan-tools";
  clinfo = tool "clinfo" [ "clinfo" ] "clinfo";
  rustc = tool "rustc" [ "rustc" ] "rustc";
  cargo = tool "cargo" [ "cargo" ] "cargo";
  clippy = tool "clippy" [ "clippy-driver" ] "rust-clippy";
  rustfmt = tool "rustfmt" [ "rustfmt" ] "rustfmt";
  rust-analyzer = tool "rust-analyzer" [ "rust-analyzer" ] "rust-analyzer";
  nix = tool "nix" [ "nix" ] "nix-bin" // {
    version = "2.26";
  };
  # Not in Debian; only for the evaluation of a flake's `formatter` and dev shell.
  deadnix = tool "deadnix" [ "deadnix" ] "(none: deadnix)";
  nixfmt = tool "nixfmt" [ "nixfmt" ] "(none: nixfmt)";
  nixfmt-rfc-style = pkgs.nixfmt;
  nixfmt-tree = pkgs.nixfmt;
}
