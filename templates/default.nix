# `nix flake init -t FLAKE`.
rec {
  default = fleet;

  fleet = {
    path = ./fleet;
    description = "A NixOS fleet whose llama.cpp is built for each machine's own silicon";
    welcomeText = ''
      A fleet without hosts. Add the machine that you sit at, or one that SSH reaches:

          nix run .#xtask -- new-host NAME
          nix run .#xtask -- new-host NAME --from root@ADDRESS

      then `check`, `build-all` and `bench NAME` in new-host's place. README.md has the rest.
    '';
  };
}
