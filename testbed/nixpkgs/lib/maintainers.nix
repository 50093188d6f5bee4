# Names that upstream's package.nix refers to; nobody maintains a stand-in.
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
