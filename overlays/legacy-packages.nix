# All of nixpkgs with our overlay, `mkLlamaCpp` among it, and what only this
# repository asks for.
{ self }:
pkgs:
pkgs
// {
  # Upstream's package as its own flake builds it, for `xtask bench` to compare
  # with: plain SSE2.
  llama-cpp-upstream = self.inputs.llama-cpp.packages.${pkgs.stdenv.hostPlatform.system}.default;

  llamafleetTests = import ../tests/nix { flake = self; };
}
