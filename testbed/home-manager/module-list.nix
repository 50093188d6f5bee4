# home-manager modules that every user has.
[
  ./modules/home.nix
  ./modules/programs.nix
]
