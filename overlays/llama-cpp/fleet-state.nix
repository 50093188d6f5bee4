# Reads the files that `cargo xtask update` writes to the root of a fleet: llama.cpp's build numbers
# and releases, and the hosts that are pinned to an earlier llama.cpp.
fleet:
let
  # The second path is that of earlier versions.
  read =
    places: default:
    let
      found = builtins.filter builtins.pathExists (map (place: fleet + "/${place}") places);
    in
    if fleet == null || found == [ ] then
      default
    else
      builtins.fromJSON (builtins.readFile (builtins.head found));

  pin = read [ "pin.json" "overlays/llama-cpp/pin.json" ] { builds = { }; };
in
{
  inherit (pin) builds;
  releases = pin.releases or { };

  # Keyed by the revision in flake.lock, then by host. The entries of a revision do not apply if
  # flake.lock is changed by other means.
  pinnedHosts =
    (read [ "pinned_hosts.json" "overlays/llama-cpp/held.json" ] {
      holds = { };
    }).holds;
}
