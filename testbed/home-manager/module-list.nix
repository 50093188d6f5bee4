# The home-manager modules that are always imported.
[
  ./modules/home.nix
  ./modules/programs.nix
]
