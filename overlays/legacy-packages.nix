# All of nixpkgs with our overlay, `mkLlamaCpp` among it, and what only this
# repository asks for.
{ self }:
pkgs:
let
  inherit (pkgs.stdenv.hostPlatform) system;
  microarchs = import ./llama-cpp/microarch.nix { inherit (pkgs) lib; };
in
pkgs
// {
  # `nix build .#llama-cpp-for.znver4`: the CPU variant for one machine, without
  # a fleet around it.
  llama-cpp-for = pkgs.lib.genAttrs (microarchs.namesFor system) (
    microarch: pkgs.mkLlamaCpp { inherit microarch; }
  );

  # Upstream's package as its own flake builds it, for `xtask bench` to compare
  # with: plain SSE2.
  llama-cpp-upstream = self.inputs.llama-cpp.packages.${system}.default;

  llamafleetTests = import ../tests/nix { flake = self; };
}
