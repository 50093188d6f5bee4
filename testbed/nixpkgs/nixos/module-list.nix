# The NixOS modules that are always imported.
[
  ./modules/assertions.nix
  ./modules/nixpkgs.nix
  ./modules/system.nix
  ./modules/environment.nix
  ./modules/boot.nix
  ./modules/hardware.nix
  ./modules/networking.nix
  ./modules/nix.nix
  ./modules/programs.nix
  ./modules/users.nix
  ./modules/systemd.nix
  ./modules/services.nix
  ./modules/llama-cpp.nix
  ./modules/llama-swap.nix
]
