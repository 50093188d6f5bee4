# The fleet, one row a host; `xtask new-host NAME` adds one. Plain data.
#
#   system  what Nix calls the platform
#   target  where xtask reaches the host by SSH
{
}
