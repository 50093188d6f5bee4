# `nix flake init -t FLAKE`.
rec {
  default = fleet;

  fleet = {
    path = ./fleet;
    description = "A NixOS fleet with llama.cpp built for each machine's CPU and GPU";
    welcomeText = ''
      A fleet without hosts. Add this machine, or one that you reach by SSH:

          nix run .#xtask -- new-host NAME
          nix run .#xtask -- new-host NAME --from root@ADDRESS

      then run `check --full`, `build-all` and `bench NAME` the same way. README.md has the rest,
      and how to install the host.
    '';
  };
}
