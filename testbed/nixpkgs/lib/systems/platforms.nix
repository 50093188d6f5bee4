# Lists of system strings for `meta.platforms`.
{ lib }:
rec {
  linux = [
    "x86_64-linux"
    "aarch64-linux"
    "i686-linux"
    "armv7l-linux"
    "riscv64-linux"
  ];
  darwin = [
    "x86_64-darwin"
    "aarch64-darwin"
  ];
  windows = [ "x86_64-windows" ];
  unix = linux ++ darwin;
  all = unix ++ windows;
  none = [ ];
  x86_64 = lib.filter (lib.hasPrefix "x86_64-") all;
  x86 = x86_64 ++ [ "i686-linux" ];
  aarch64 = lib.filter (lib.hasPrefix "aarch64-") all;
  gnu = linux;
  mesaPlatforms = linux;
}
