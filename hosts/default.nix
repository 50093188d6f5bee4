# The fleet, one row for each host. Plain data: `nix eval .#.fleet` does not evaluate nixpkgs.
# (Without the second dot, Nix looks for a package of that name first.)
#
#   system    Nix system of the host
#   target    SSH destination, for xtask
#   hardware  module of nixos-hardware, or null
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
