# The fleet, one row a host. Plain data: `nix eval .#.fleet` evaluates no nixpkgs.
# (Without the second dot Nix looks among the packages first, and needs one.)
#
#   system    what Nix calls the platform
#   target    where xtask reaches the host by SSH
#   hardware  its profile in nixos-hardware, or null
{
  carbon = {
    system = "x86_64-linux";
    target = "carbon";
    hardware = "framework-13-7040-amd";
  };
  beryllium = {
    system = "x86_64-linux";
    target = "beryllium";
    hardware = "framework-13-7040-amd";
  };
  boron = {
    system = "x86_64-linux";
    target = "boron";
    hardware = null;
  };
  nitrogen = {
    system = "x86_64-linux";
    target = "nitrogen";
    hardware = null;
  };
}
