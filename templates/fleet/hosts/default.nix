# The fleet, one row for each host; `xtask new-host NAME` adds one. Plain data.
#
#   system  Nix system of the host
#   target  SSH destination, for xtask
{
}
