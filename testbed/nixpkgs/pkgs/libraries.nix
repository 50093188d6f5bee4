# Packages of libraries that are installed on the machine.
{ lib, pkgs }:
let
  inherit (pkgs) hostPackage;
in
{
  # OpenBLAS under the reference library's names, like Nixpkgs' `blas`, so that upstream's default
  # CPU build is measured at its best.
  blas = hostPackage {
    pname = "blas";
    debian = "libopenblas-dev";
    libraries = {
      "libblas.so" = "/usr/lib/*/libopenblas.so";
      "libcblas.so" = "/usr/lib/*/libopenblas.so";
    };
    headers = {
      "cblas.h" = "/usr/include/*/openblas-*/cblas.h /usr/include/*/cblas.h";
      "openblas_config.h" =
        "/usr/include/*/openblas-*/openblas_config.h /usr/include/*/openblas_config.h";
    };
    postInstall = ''
      mkdir -p "$out/lib/pkgconfig"
      cat >"$out/lib/pkgconfig/blas.pc" <<EOF
      Name: blas
      Version: 3
      Description: OpenBLAS under the reference library's name
      Libs: -L$out/lib -lblas
      Cflags: -I$out/include
      EOF
      cp "$out/lib/pkgconfig/blas.pc" "$out/lib/pkgconfig/cblas.pc"
    '';
    passthru = {
      implementation = "openblas";
      isILP64 = false;
    };
  };
  openblas = pkgs.blas;

  # Debian's headers are on the compiler's default path, and CMake builds without them if they are
  # missing, so there is nothing to link.
  openssl = hostPackage {
    pname = "openssl";
    debian = "libssl-dev";
    meta.license = lib.licenses.asl20;
  };
  curl = hostPackage {
    pname = "curl";
    debian = "libcurl4-openssl-dev";
    setupHook = ./hooks/curl.sh;
    meta.license = lib.licenses.curl;
  };
  mpi = hostPackage {
    pname = "openmpi";
    debian = "libopenmpi-dev";
    programs = [ "mpicc" ];
  };
  openmpi = pkgs.mpi;
  glibc = hostPackage { pname = "glibc"; } // {
    static = hostPackage {
      pname = "glibc-static";
      debian = "libc6-dev";
      libraries."libc.a" = "/usr/lib/*/libc.a";
    };
  };
  zlib = hostPackage {
    pname = "zlib";
    debian = "zlib1g-dev";
    headers."zlib.h" = "/usr/include/zlib.h";
  };

  vulkan-headers = hostPackage {
    pname = "vulkan-headers";
    help = "cargo xtask setup --vulkan";
    debian = "libvulkan-dev";
    # `cargo xtask setup --vulkan` provides newer ones than Debian 12's.
    headers = {
      vulkan = "/nix/var/llamafleet/vulkan/include/vulkan /usr/include/vulkan";
      vk_video = "/nix/var/llamafleet/vulkan/include/vk_video /usr/include/vk_video";
    };
  };
  vulkan-loader = hostPackage {
    pname = "vulkan-loader";
    help = "cargo xtask setup --vulkan";
    debian = "libvulkan-dev";
    libraries = {
      "libvulkan.so" = "/usr/lib/*/libvulkan.so";
      "libvulkan.so.1" = "/usr/lib/*/libvulkan.so.1";
    };
  };
  shaderc = hostPackage {
    pname = "shaderc";
    help = "cargo xtask setup --vulkan";
    debian = "glslc";
    programs = [ "glslc" ];
  };
  spirv-headers = hostPackage {
    pname = "spirv-headers";
    help = "cargo xtask setup --vulkan";
    debian = "spirv-headers";
    headers.spirv = "/usr/include/spirv";
  };
  mesa = hostPackage {
    pname = "mesa";
    help = "cargo xtask setup --vulkan";
    debian = "mesa-vulkan-drivers";
    passthru.drivers = pkgs.mesa;
  };
  libGL = hostPackage { pname = "libGL"; };
  libdrm = hostPackage { pname = "libdrm"; };
}
