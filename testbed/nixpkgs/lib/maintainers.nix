# The maintainers that llama.cpp's package.nix refers to.
{ lib }:
lib.genAttrs
  [
    "SomeoneSerge"
    "ditsuke"
    "philiptaron"
  ]
  (name: {
    inherit name;
    github = name;
    githubId = 0;
  })
