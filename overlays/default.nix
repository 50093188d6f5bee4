# The overlays of this flake.
{ inputs }:
rec {
  default = llama-cpp;

  llama-cpp = import ./llama-cpp { inherit (inputs) llama-cpp; };

  # `pkgs.stable.…`, for what the unstable channel has broken.
  stable = final: _prev: {
    stable = import inputs.nixpkgs-stable {
      inherit (final.stdenv.hostPlatform) system;
      config.allowUnfree = true;
    };
  };
}
