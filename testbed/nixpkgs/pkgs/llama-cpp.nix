# Nixpkgs' llama-cpp: its arguments, flags and meta, without the source.
{
  lib,
  config,
  stdenv,
  fetchFromGitHub,
  cmake,
  ninja,
  pkg-config,
  git,
  blas,
  openssl,
  cudaPackages,
  rocmPackages,
  shaderc,
  vulkan-headers,
  vulkan-loader,
  autoAddDriverRunpath,
  cudaSupport ? config.cudaSupport,
  rocmSupport ? config.rocmSupport,
  rocmGpuTargets ? rocmPackages.clr.gpuTargets,
  openclSupport ? false,
  vulkanSupport ? false,
  rpcSupport ? false,
  metalSupport ? false,
  blasSupport ? lib.all (x: !x) [
    cudaSupport
    rocmSupport
    openclSupport
    vulkanSupport
  ],
}:
let
  effectiveStdenv = if cudaSupport then cudaPackages.backendStdenv else stdenv;
in
effectiveStdenv.mkDerivation (finalAttrs: {
  pname = "llama-cpp";
  version = "6981";

  src = fetchFromGitHub {
    owner = "ggml-org";
    repo = "llama.cpp";
    tag = "b${finalAttrs.version}";
  };

  nativeBuildInputs = [
    cmake
    ninja
    pkg-config
    git
  ]
  ++ lib.optionals cudaSupport [
    cudaPackages.cuda_nvcc
    autoAddDriverRunpath
  ];
  buildInputs =
    lib.optionals cudaSupport [
      cudaPackages.cuda_cccl
      cudaPackages.cuda_cudart
      cudaPackages.libcublas
    ]
    ++ lib.optionals rocmSupport [
      rocmPackages.clr
      rocmPackages.hipblas
      rocmPackages.rocblas
    ]
    ++ lib.optionals blasSupport [ blas ]
    ++ lib.optionals vulkanSupport [
      shaderc
      vulkan-headers
      vulkan-loader
    ]
    ++ [ openssl ];

  cmakeFlags = [
    (lib.cmakeBool "GGML_NATIVE" false)
    (lib.cmakeBool "LLAMA_BUILD_SERVER" true)
    (lib.cmakeBool "BUILD_SHARED_LIBS" true)
    (lib.cmakeBool "GGML_BLAS" blasSupport)
    (lib.cmakeBool "GGML_CUDA" cudaSupport)
    (lib.cmakeBool "GGML_HIP" rocmSupport)
    (lib.cmakeBool "GGML_METAL" metalSupport)
    (lib.cmakeBool "GGML_OPENCL" openclSupport)
    (lib.cmakeBool "GGML_RPC" rpcSupport)
    (lib.cmakeBool "GGML_VULKAN" vulkanSupport)
  ]
  ++ lib.optionals cudaSupport [
    (lib.cmakeFeature "CMAKE_CUDA_ARCHITECTURES" cudaPackages.flags.cmakeCudaArchitecturesString)
  ]
  ++ lib.optionals rocmSupport [
    (lib.cmakeFeature "CMAKE_HIP_ARCHITECTURES" (lib.concatStringsSep ";" rocmGpuTargets))
  ];

  meta = {
    description = "Inference of Meta's LLaMA model (and others) in pure C/C++";
    homepage = "https://github.com/ggml-org/llama.cpp";
    license = lib.licenses.mit;
    mainProgram = "llama";
    platforms = lib.platforms.unix;
    badPlatforms = lib.optionals (cudaSupport || openclSupport) lib.platforms.darwin;
    broken = metalSupport && !effectiveStdenv.hostPlatform.isDarwin;
  };
})
