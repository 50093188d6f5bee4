# Platforms: facts that follow from a system string.
{ lib }:
let
  bits =
    cpu:
    if
      builtins.elem cpu [
        "i686"
        "armv7l"
      ]
    then
      32
    else
      64;
  families = {
    x86_64 = "x86";
    i686 = "x86";
    aarch64 = "arm";
    armv7l = "arm";
    riscv64 = "riscv";
  };
in
rec {
  doubles = import ./platforms.nix { inherit lib; };
  flakeExposed = [
    "x86_64-linux"
    "aarch64-linux"
    "x86_64-darwin"
    "armv6l-linux"
    "armv7l-linux"
    "i686-linux"
    "aarch64-darwin"
    "powerpc64le-linux"
    "riscv64-linux"
    "x86_64-freebsd"
  ];
  systemToAttrs =
    systemOrArgs: if builtins.isAttrs systemOrArgs then systemOrArgs else { system = systemOrArgs; };

  # A string or `{ system = …; gcc.arch = …; }` with all facts that follow from it.
  elaborate =
    systemOrArgs:
    let
      args = systemToAttrs systemOrArgs;
      system = args.system or (builtins.head (lib.splitString "-" args.config) + "-linux");
      parts = lib.splitString "-" system;
      cpu = builtins.elemAt parts 0;
      kernel = builtins.elemAt parts 1;
      linux = kernel == "linux";
      darwin = kernel == "darwin";
      final = rec {
        inherit system;
        config =
          if darwin then
            "${if cpu == "aarch64" then "arm64" else cpu}-apple-darwin"
          else if kernel == "windows" then
            "${cpu}-w64-mingw32"
          else
            "${cpu}-unknown-linux-gnu";
        parsed = {
          _type = "system";
          cpu = {
            _type = "cpu-type";
            name = cpu;
            bits = bits cpu;
            family = families.${cpu} or cpu;
          };
          kernel = {
            _type = "kernel";
            name = kernel;
          };
          vendor.name = if darwin then "apple" else "unknown";
          abi.name = if linux then "gnu" else "unknown";
        };
        isLinux = linux;
        isDarwin = darwin;
        isMacOS = darwin;
        isWindows = kernel == "windows";
        isMinGW = isWindows;
        isUnix = linux || darwin;
        isx86_64 = cpu == "x86_64";
        isx86_32 = cpu == "i686";
        isi686 = isx86_32;
        isx86 = isx86_64 || isx86_32;
        isAarch64 = cpu == "aarch64";
        isAarch32 = cpu == "armv7l";
        isAarch = isAarch64 || isAarch32;
        isArmv7 = isAarch32;
        isRiscV = lib.hasPrefix "riscv" cpu;
        isRiscV64 = cpu == "riscv64";
        is64bit = parsed.cpu.bits == 64;
        is32bit = !is64bit;
        isLittleEndian = true;
        isBigEndian = false;
        isGnu = linux;
        isMusl = false;
        isStatic = false;
        isElf = linux;
        isMachO = darwin;
        isBSD = false;
        isFreeBSD = false;
        isWasm = false;
        libc =
          if linux then
            "glibc"
          else if darwin then
            "libSystem"
          else
            "msvcrt";
        linuxArch =
          {
            aarch64 = "arm64";
            x86_64 = "x86_64";
          }
          .${cpu} or cpu;
        uname = {
          system = if darwin then "Darwin" else "Linux";
          processor = if darwin && cpu == "aarch64" then "arm64" else cpu;
          release = null;
        };
        extensions = {
          executable = lib.optionalString isWindows ".exe";
          library = sharedLibrary;
          inherit sharedLibrary;
          staticLibrary = ".a";
        };
        sharedLibrary =
          if darwin then
            ".dylib"
          else if isWindows then
            ".dll"
          else
            ".so";
        hasSharedLibraries = true;
        gcc = { };
        rustc = { };
        canExecute = platform: platform.system == system;
        emulatorAvailable = _: false;
      }
      // args;
    in
    assert lib.assertMsg (
      builtins.length parts == 2
    ) "`${system}' is not a system such as `x86_64-linux'";
    final
    // {
      # So that a platform can be used as a string.
      __toString = platform: platform.config;
    };
}
