# CUDA and ROCm from the files that `cargo xtask setup --cuda` and `--rocm` unpack. Without them,
# the packages evaluate as in Nixpkgs, and a build fails with the command to run.
{ lib, pkgs }:
let
  inherit (pkgs) config stdenvNoCC;

  # A part of a toolkit. `root` is a link that setup creates, so that paths are the same on every
  # machine.
  toolkitPackage =
    { name, root }:
    {
      pname,
      version,
      meta,
      installPhase,
      passthru ? { },
    }:
    stdenvNoCC.mkDerivation {
      inherit
        pname
        version
        passthru
        meta
        ;
      phases = "installPhase fixupPhase";
      installPhase = ''
        if [[ ! -d ${root}/ ]]; then
          echo "testbed: ${pname} ${version} needs ${root}: cargo xtask setup --${name}" >&2
          exit 1
        fi
        mkdir -p "$out"
        # The wheels have the version that programs load, and not the name to link with.
        linkLibrary() {
          local file=(${root}/lib/$1.so.*)
          mkdir -p "$out/lib"
          ln -s "''${file[0]}" "$out/lib/"
          ln -s "$(basename "''${file[0]}")" "$out/lib/$1.so"
        }
        ${installPhase}
      '';
    };

  cudaPackage =
    version: pname: installPhase:
    toolkitPackage
      {
        name = "cuda";
        root = cudaRoot;
      }
      {
        inherit pname version;
        installPhase = if version == provided then installPhase else absent "CUDA ${version}";
        meta = {
          description = "Part of the CUDA toolkit";
          license = lib.licenses.nvidiaCudaRedist;
          platforms = [
            "x86_64-linux"
            "aarch64-linux"
          ];
        };
      };
  # PyPI has no compiler for an older version.
  provided = "13.4";
  cudaRoot = "/nix/var/llamafleet/cuda-${provided}";

  absent = pname: ''
    echo "the testbed has no ${pname}: it evaluates but cannot be built here" >&2
    exit 1
  '';

  # Nixpkgs' default if `config.cudaCapabilities` is not set.
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
      // lib.mapAttrs (cudaPackage version) {
        # In the folder of nvcc, which finds them there.
        cuda_cccl = "";
        cuda_nvcc = ''
          mkdir "$out/bin"
          substitute ${./stdenv/nvcc-wrapper.sh} "$out/bin/nvcc" --subst-var-by root ${cudaRoot} \
            --subst-var-by with_ccache ${./stdenv/with-ccache.sh}
          chmod +x "$out/bin/nvcc"
        '';
        cuda_cuobjdump = ''
          mkdir "$out/bin"
          ln -s ${cudaRoot}/bin/cuobjdump "$out/bin/"
        '';
        # With a stub of the driver to link against, like NVIDIA's: every function, but no GPU.
        cuda_cudart = ''
          mkdir -p "$out/lib/stubs"
          ln -s ${cudaRoot}/include "$out/include"
          linkLibrary libcudart
          gcc -E -P ${cudaRoot}/include/cuda.h |
            sed -nE 's/^.*CUresult (cu[A-Za-z0-9_]+)\(.*$/int \1(void) { return 34; }/p' | sort -u >driver.c
          gcc -shared -fPIC -fno-builtin -Wl,-soname,libcuda.so.1 -o "$out/lib/stubs/libcuda.so" driver.c
        '';
        cuda_nvml_dev = absent "cuda_nvml_dev";
        cuda_nvrtc = absent "cuda_nvrtc";
        cudnn = absent "cudnn";
        libcublas = ''
          linkLibrary libcublas
          linkLibrary libcublasLt
        '';
        libcusparse = absent "libcusparse";
        nccl = absent "nccl";
      }
    );

  rocmRoot = "/nix/var/llamafleet/rocm";
  clangRoot = "${rocmRoot}/usr/lib/llvm-21";
  # Debian's ROCm has its headers in one folder with those of its C library, so each package links
  # only its own. CMake's files refer to the other files by relative paths.
  rocmPackage =
    pname:
    {
      headers ? [ ],
      libraries ? [ ],
      modules ? [ ],
      installPhase ? "",
      passthru ? { },
    }:
    toolkitPackage
      {
        name = "rocm";
        root = rocmRoot;
      }
      {
        inherit pname passthru;
        version = "6.4";
        installPhase = ''
          lib=lib/x86_64-linux-gnu
          mkdir -p "$out/$lib/cmake" "$out/include" "$out/bin"
          for header in ${toString headers}; do
            ln -s ${rocmRoot}/usr/include/$header "$out/include/"
          done
          for library in ${toString libraries}; do
            ln -s ${rocmRoot}/usr/$lib/$library.so* "$out/$lib/"
            # The run path names this folder.
            ln -s ${rocmRoot}/usr/$lib/$library.so* "$out/lib/"
          done
          for module in ${toString modules}; do
            cp -r ${rocmRoot}/usr/$lib/cmake/$module "$out/$lib/cmake/"
          done
          # The ones that CMake itself looks for here.
          for module in ${toString modules}; do
            mkdir -p "$out/lib/cmake/$module"
            echo "include(\"$out/$lib/cmake/$module/$module-config.cmake\")" \
              >"$out/lib/cmake/$module/$module-config.cmake"
          done
          ${installPhase}
        '';
        meta = {
          description = "Part of ROCm";
          license = lib.licenses.mit;
          platforms = [ "x86_64-linux" ];
        };
      };

  hipClang = rocmPackage "hipClang" {
    installPhase = ''
      ln -s ${clangRoot}/bin/* "$out/bin/"
      for program in clang clang++; do
        rm "$out/bin/$program"
        substitute ${./stdenv/cc-wrapper.sh} "$out/bin/$program" \
          --subst-var-by program ${clangRoot}/bin/$program \
          --subst-var-by with_ccache ${./stdenv/with-ccache.sh}
        chmod +x "$out/bin/$program"
      done
    '';
  };
  clr = rocmPackage "clr" {
    headers = [
      "amd_comgr"
      "hip"
      "hsa"
    ];
    libraries = [
      "libamd_comgr"
      "libamdhip64"
      "libhiprtc"
      "libhsa-runtime64"
    ];
    modules = [
      "amd_comgr"
      "hip"
      "hip-lang"
      "hiprtc"
      "hsa-runtime64"
    ];
    installPhase = ''
      ln -s ${rocmRoot}/usr/bin/{hipcc,hipconfig} "$out/bin/"
      mkdir -p "$out/share" "$out/nix-support"
      ln -s ${rocmRoot}/usr/share/hip "$out/share/"
      ln -s ${hipClang} "$out/llvm"
      cat >"$out/nix-support/setup-hook" <<EOF
      export HIP_PATH=$out HIP_PLATFORM=amd HIP_CLANG_PATH=${hipClang}/bin
      # Its libraries need a newer C library than the machine's may be.
      NIX_LDFLAGS+=" --allow-shlib-undefined"
      EOF
    '';
    passthru = {
      inherit gpuTargets;
      # Its compiler has linker and bundler in the same folder, unlike llvm.clang.
      hipClangPath = "${hipClang}/bin";
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
  cudaPackages = pkgs.cudaPackages_13;
  cudaPackages_12 = cudaScope "12.9";
  cudaPackages_13 = cudaScope provided;
  autoAddDriverRunpath = pkgs.makeSetupHook {
    name = "auto-add-driver-runpath-hook";
  } ./hooks/driver-runpath.sh;
  addDriverRunpath = pkgs.autoAddDriverRunpath // {
    driverLink = "/run/opengl-driver";
  };

  rocmPackages = lib.makeScope pkgs.newScope (
    _self:
    lib.mapAttrs rocmPackage {
      hipblas = {
        headers = [
          "hipblas"
          "hipblas-common"
        ];
        libraries = [ "libhipblas" ];
        modules = [
          "hipblas"
          "hipblas-common"
        ];
      };
      rocblas = {
        headers = [ "rocblas" ];
        libraries = [ "librocblas" ];
        modules = [ "rocblas" ];
      };
      rocm-device-libs.installPhase = ''
        ln -s ${clangRoot}/lib/clang/*/amdgcn "$out/"
      '';
      rocminfo.installPhase = absent "rocminfo";
      rocm-smi.installPhase = absent "rocm-smi";
      rocwmma.installPhase = absent "rocwmma";
    }
    // {
      clr = clr // {
        icd = rocmPackage "clr-icd" { installPhase = absent "clr-icd"; };
      };
      # As in Nixpkgs, it cannot build ROCm programs.
      llvm.clang = rocmPackage "clang" {
        installPhase = ''
          cat >"$out/bin/clang" <<'EOF'
          #!/bin/bash
          echo 'clang: error: unable to execute command: Executable "lld" doesn'"'"'t exist!' >&2
          exit 1
          EOF
          chmod +x "$out/bin/clang"
          ln -s clang "$out/bin/clang++"
        '';
      };
    }
  );
  rocmPackages_6 = pkgs.rocmPackages;
}
