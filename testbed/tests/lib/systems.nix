# Platforms.
helpers:
with helpers;
let
  x86 = lib.systems.elaborate "x86_64-linux";
  arm = lib.systems.elaborate { system = "aarch64-linux"; };
  mac = lib.systems.elaborate "aarch64-darwin";
  facts = p: [
    p.system
    p.isLinux
    p.isDarwin
    p.isx86_64
    p.isAarch64
    p.isStatic
    p.is64bit
    p.isGnu
    p.config
    p.parsed.cpu.name
    p.parsed.kernel.name
  ];
in
{
  x86 = equal (facts x86) [
    "x86_64-linux"
    true
    false
    true
    false
    false
    true
    true
    "x86_64-unknown-linux-gnu"
    "x86_64"
    "linux"
  ];
  arm = equal (facts arm) [
    "aarch64-linux"
    true
    false
    false
    true
    false
    true
    true
    "aarch64-unknown-linux-gnu"
    "aarch64"
    "linux"
  ];
  mac = equal (facts mac) [
    "aarch64-darwin"
    false
    true
    false
    true
    false
    true
    false
    "arm64-apple-darwin"
    "aarch64"
    "darwin"
  ];
  again = equal (facts (lib.systems.elaborate x86)) (facts x86);
  canExecute = equal [ (x86.canExecute x86) (x86.canExecute arm) ] [ true false ];
  platforms =
    equal
      [
        (lib.elem "x86_64-linux" lib.platforms.linux)
        (lib.elem "x86_64-linux" lib.platforms.darwin)
        (lib.elem "aarch64-darwin" lib.platforms.unix)
      ]
      [ true false true ];
  availableOn =
    equal
      [
        (lib.meta.availableOn x86 { })
        (lib.meta.availableOn x86 { meta.platforms = [ "aarch64-linux" ]; })
        (lib.meta.availableOn x86 { meta.badPlatforms = [ "x86_64-linux" ]; })
        (lib.meta.platformMatch x86 { cpu.name = "x86_64"; })
      ]
      [ true false false true ];
  extensions = equal [ x86.extensions.sharedLibrary mac.extensions.sharedLibrary ] [ ".so" ".dylib" ];
  gccArch =
    equal
      (lib.systems.elaborate {
        system = "x86_64-linux";
        gcc.arch = "znver4";
      }).gcc.arch
      "znver4";
}
