# Whether nixpkgs refuses the CUDA libraries, read from their meta to avoid the long error message
# of a refused derivation. For other reasons, such as a broken library, nixpkgs' message is shown.
{ pkgs }:
let
  inherit (pkgs) lib;
  metas = map (library: library.meta) [
    pkgs.cudaPackages.cuda_cudart
    pkgs.cudaPackages.libcublas
  ];
  is = verdict: meta: meta.${verdict} or false;
  isRefusedAsUnfree =
    meta:
    is "unfree" meta
    && !(meta.available or true)
    && !lib.any (verdict: is verdict meta) [
      "broken"
      "insecure"
      "unsupported"
    ];
in
{
  cudaIsUnsupported = lib.any (is "unsupported") metas;
  cudaIsUnfree = !(pkgs.config.allowUnfree or false) && lib.any isRefusedAsUnfree metas;
}
