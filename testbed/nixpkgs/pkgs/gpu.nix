# CUDA and ROCm: they evaluate as in Nixpkgs, and a build fails with what is missing.
{ lib, pkgs }:
let
  inherit (pkgs) config stdenvNoCC;

  absent =
    what:
    {
      pname,
      version,
      meta,
      passthru ? { },
    }:
    stdenvNoCC.mkDerivation {
      inherit pname version passthru;
      buildCommand = ''
        echo "the testbed has no ${what}: ${pname} evaluates but cannot be built here" >&2
        exit 1
      '';
      inherit meta;
    };

  cudaPackage =
    version: pname:
    absent "CUDA toolkit" {
      inherit pname version;
      meta = {
        description = "Stand-in for a part of the CUDA toolkit";
        license = lib.licenses.nvidiaCudaRedist;
        platforms = [
          "x86_64-linux"
          "aarch64-linux"
        ];
      };
    };

  # Nixpkgs' default where `config.cudaCapabilities` is not set.
  defaultCapabilities = [
    "7.5"
    "8.0"
    "8.6"
    "8.9"
    "9.0"
    "10.0"
    "12.0"
  ];

  makeFlags =
    cudaCapabilities:
    let
      dropDots = lib.replaceStrings [ "." ] [ "" ];
      architectures = map dropDots cudaCapabilities;
    in
    {
      inherit cudaCapabilities dropDots;
      dropDot = dropDots;
      cudaForwardCompat = config.cudaForwardCompat;
      enableForwardCompat = config.cudaForwardCompat;
      realArches = map (a: "sm_${a}") architectures;
      virtualArches = map (a: "compute_${a}") architectures;
      archNames = [ ];
      cmakeCudaArchitecturesString = lib.concatStringsSep ";" architectures;
      gencode = map (a: "-gencode=arch=compute_${a},code=sm_${a}") architectures;
      gencodeString = lib.concatMapStringsSep " " (
        a: "-gencode=arch=compute_${a},code=sm_${a}"
      ) architectures;
    };

  cudaScope =
    version:
    lib.makeScope pkgs.newScope (
      self:
      {
        cudaMajorMinorVersion = version;
        cudaMajorVersion = lib.versions.major version;
        cudaVersion = version;
        cudaOlder = lib.versionOlder version;
        cudaAtLeast = lib.versionAtLeast version;
        flags = makeFlags (config.cudaCapabilities or defaultCapabilities);
        cudaFlags = self.flags;
        backendStdenv = pkgs.stdenv;
        cudatoolkit = self.cuda_nvcc;
        cccl = self.cuda_cccl;
      }
      // lib.genAttrs [
        "cuda_cccl"
        "cuda_cudart"
        "cuda_nvcc"
        "cuda_nvml_dev"
        "cuda_nvrtc"
        "cudnn"
        "libcublas"
        "libcusparse"
        "nccl"
      ] (cudaPackage version)
    );

  rocmPackage =
    pname: passthru:
    absent "ROCm" {
      inherit pname passthru;
      version = "7.0.2";
      meta = {
        description = "Stand-in for a part of ROCm";
        license = lib.licenses.mit;
        platforms = [ "x86_64-linux" ];
      };
    };
  gpuTargets = [
    "gfx900"
    "gfx906"
    "gfx908"
    "gfx90a"
    "gfx942"
    "gfx1010"
    "gfx1030"
    "gfx1100"
    "gfx1101"
    "gfx1102"
    "gfx1151"
    "gfx1200"
    "gfx1201"
  ];
in
{
  cudaPackages = pkgs.cudaPackages_12;
  cudaPackages_12 = cudaScope "12.9";
  cudaPackages_13 = cudaScope "13.0";
  autoAddDriverRunpath = pkgs.makeSetupHook {
    name = "auto-add-driver-runpath-hook";
  } ./hooks/driver-runpath.sh;
  addDriverRunpath = pkgs.autoAddDriverRunpath // {
    driverLink = "/run/opengl-driver";
  };

  rocmPackages = lib.makeScope pkgs.newScope (
    _self:
    lib.genAttrs [
      "hipblas"
      "rocblas"
      "rocminfo"
      "rocm-device-libs"
      "rocm-smi"
      "rocwmma"
    ] (pname: rocmPackage pname { })
    // {
      clr = rocmPackage "clr" { inherit gpuTargets; } // {
        icd = rocmPackage "clr-icd" { };
      };
      llvm = {
        clang = rocmPackage "clang" { };
        rocmcxx = rocmPackage "rocmcxx" { };
      };
    }
  );
  rocmPackages_6 = pkgs.rocmPackages;
}
