# `pkgs.stable.…`, for what the unstable channel has broken.
{ nixpkgs-stable }:
final: _prev: {
  stable = import nixpkgs-stable {
    inherit (final.stdenv.hostPlatform) system;
    config.allowUnfree = true;
  };
}
