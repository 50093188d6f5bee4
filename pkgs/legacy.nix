# nixpkgs with this flake's overlay (`mkLlamaCpp` included), plus attributes for the
# command line.
{ self }:
pkgs:
let
  inherit (pkgs.stdenv.hostPlatform) system;
  microarchs = import ../overlays/llama-cpp/microarch.nix { inherit (pkgs) lib; };
in
pkgs
// {
  # `nix build .#llama-cpp-for.znver4`: the CPU variant of one microarchitecture, without a
  # fleet.
  llama-cpp-for = pkgs.lib.genAttrs (microarchs.namesFor system) (
    microarch: pkgs.mkLlamaCpp { inherit microarch; }
  );

  # Upstream's package as its own flake builds it (SSE2 only), for `xtask bench` to compare
  # with.
  llama-cpp-upstream = self.inputs.llama-cpp.packages.${system}.default;
}
