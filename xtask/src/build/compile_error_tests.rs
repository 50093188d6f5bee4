//! Tests with logs of failed builds, reduced to the lines around the error: each names the line
//! that an expert calls the cause.

use super::*;

fn of(log: &str) -> Option<String> {
    first(log.lines().map(str::to_owned))
}

/// Asserts for each log which line is its first error.
fn assert_causes(logs: &[(&str, &str)]) {
    for (log, cause) in logs {
        assert_eq!(of(log).as_deref(), Some(*cause), "{log}");
    }
}

// Messages of gcc 12.2, CMake 3.25 and GNU ld 2.40.
#[test]
fn the_first_error_of_each_tool_is_found() {
    let gcc = "[7/71] Building CXX object ggml/src/error.cpp.o\nggml/src/ggml.c:12:1: warning: x [-Werror=x]\nggml/src/ggml.c:40:10: fatal error: nothere.h: No such file or directory\n   40 | #include \"nothere.h\"\ncompilation terminated.\n[9/71] z\ny.c:1:1: error: later";
    assert_eq!(
        of(gcc).unwrap(),
        "ggml/src/ggml.c:40:10: fatal error: nothere.h: No such file or directory"
    );
    let cmake = "-- Found Git\nCMake Error at ggml/src/ggml-vulkan/CMakeLists.txt:10 (find_package):\n\n  Could NOT find Vulkan\n";
    assert_eq!(
        of(cmake).unwrap(),
        "CMake Error at ggml/src/ggml-vulkan/CMakeLists.txt:10 (find_package): Could NOT find Vulkan"
    );
    let linker = "/usr/bin/ld: a.o: in function `main':\na.cpp:(.text+0x5): undefined reference to `llama_nothing()'";
    assert!(of(linker).unwrap().ends_with("undefined reference to `llama_nothing()'"));
}

#[test]
fn warnings_and_file_names_are_not_errors() {
    assert_eq!(of("[1/9] Building error.cpp\nx.c:1: warning: y [-Werror=z]\n0 errors"), None);
    assert_eq!(of(""), None);
    for log in [
        // Source below a warning, of gcc and of nvcc.
        "a.cpp:3:9: warning: unused variable [-Wunused]\n    3 |   fprintf(f, \"%s: error: no\");\n      |   ^~~~~",
        "a.cu(3): warning #177-D: variable \"y\" was declared but never referenced\n      puts(\"main: error: no\");\n           ^\n\nRemark: The warnings can be suppressed",
        "CMake Warning at ui.cmake:9 (message):\n  UI: error: no assets\n\n",
        "/bin/ld: warning: libcuda.so.1, needed by libggml-cuda.so, not found",
        "/bin/ld: skipping incompatible /lib/libm.so when searching for -lm",
        "fatal: not a git repository (or any of the parent directories): .git",
    ] {
        assert_eq!(of(log), None);
    }
}

#[test]
fn errors_of_cuda() {
    assert_causes(&[
        (
            "-- Using CUDA architectures: 120a\nCMake Error at /share/CMakeTestCUDACompiler.cmake:59 (message):\n  The CUDA compiler\n\n    \"/bin/nvcc\"\n\n  is not able to compile a simple test program.\n\n  It fails with the following output:\n\n    Change Dir: '/build/x'\n    \n    [1/2] Building CUDA object main.cu.o\n    FAILED: main.cu.o \n    /bin/nvcc -x cu -c main.cu -o main.cu.o\n    nvcc fatal   : Unsupported gpu architecture 'compute_120a'\n    ninja: build stopped: subcommand failed.\n    \n    \n\n  CMake will not be able to correctly generate this project.\nCall Stack (most recent call first):\n  ggml/src/ggml-cuda/CMakeLists.txt:26 (enable_language)\n\n\n-- Configuring incomplete, errors occurred!",
            "CMake Error at /share/CMakeTestCUDACompiler.cmake:59 (message): nvcc fatal   : Unsupported gpu architecture 'compute_120a'",
        ),
        (
            "[ 2%] Building CUDA object acc.cu.o\nnvcc fatal   : Unsupported gpu architecture 'compute_120'\ngmake[2]: *** [build.make:752: acc.cu.o] Error 1",
            "nvcc fatal   : Unsupported gpu architecture 'compute_120'",
        ),
        (
            "[26/230] Building CUDA object mmq.cu.o\nFAILED: mmq.cu.o \n/bin/nvcc -c mmq.cu\nnvcc error   : 'cicc' died due to signal 9 (Kill signal)\nninja: build stopped: subcommand failed.",
            "nvcc error   : 'cicc' died due to signal 9 (Kill signal)",
        ),
        (
            "[26/230] Building CUDA object mmq.cu.o\nFAILED: [code=137] ggml/src/mmq.cu.o \n/bin/nvcc -c mmq.cu\nKilled\n[27/230] Building CUDA object fattn.cu.o\nninja: build stopped: subcommand failed.",
            "ggml/src/mmq.cu.o: Killed",
        ),
        (
            "ptxas /build/a.ptx, line 2184; error   : Feature 'cvt with .e4m3x2' requires .target sm_89 or higher\nptxas fatal   : Ptx assembly aborted due to errors",
            "ptxas /build/a.ptx, line 2184; error   : Feature 'cvt with .e4m3x2' requires .target sm_89 or higher",
        ),
        (
            "nvlink error   : Undefined reference to '_Z3foov' in 'a.cu.o'",
            "nvlink error   : Undefined reference to '_Z3foov' in 'a.cu.o'",
        ),
        (
            "/build/source/ggml-cuda.cu(626): error: identifier \"__hmax2\" is undefined\n\n1 error detected in the compilation of \"ggml-cuda.cu\".",
            "/build/source/ggml-cuda.cu(626): error: identifier \"__hmax2\" is undefined",
        ),
        (
            "/include/bits/mathcalls.h(79): error: exception specification is incompatible with that of previous function \"cospi\"",
            "/include/bits/mathcalls.h(79): error: exception specification is incompatible with that of previous function \"cospi\"",
        ),
        (
            "In file included from /include/cuda_runtime.h:82:\n/include/crt/host_config.h:143:2: error: #error -- unsupported GNU version! gcc versions later than 13 are not supported!\n  143 | #error -- unsupported GNU version!",
            "/include/crt/host_config.h:143:2: error: #error -- unsupported GNU version! gcc versions later than 13 are not supported!",
        ),
        (
            "/include/iterator_facade.h(252) (col. 9): catastrophic error: error while writing generated C file: No space left on device\n\n1 catastrophic error detected",
            "/include/iterator_facade.h(252) (col. 9): catastrophic error: error while writing generated C file: No space left on device",
        ),
        (
            "-- CUDA Toolkit found\n-- The CUDA compiler identification is unknown\n\n\nCMake Error at ggml/src/ggml-cuda/CMakeLists.txt:26 (enable_language):\n  No CMAKE_CUDA_COMPILER could be found.\n\n  Tell CMake where to find the compiler by setting either the environment\n  variable \"CUDACXX\" or the CMake cache entry",
            "CMake Error at ggml/src/ggml-cuda/CMakeLists.txt:26 (enable_language): No CMAKE_CUDA_COMPILER could be found.",
        ),
    ]);
}

#[test]
fn errors_of_rocm_and_vulkan() {
    assert_causes(&[
        (
            "CMake Error at /share/CMakeTestHIPCompiler.cmake:73 (message):\n  The HIP compiler\n\n    \"/bin/clang\"\n\n  is not able to compile a simple test program.\n\n  It fails with the following output:\n\n    clang: error: cannot find ROCm device library; provide its path via '--rocm-path'\n\nCall Stack (most recent call first):",
            "CMake Error at /share/CMakeTestHIPCompiler.cmake:73 (message): clang: error: cannot find ROCm device library; provide its path via '--rocm-path'",
        ),
        (
            "CMake Error at ggml/src/ggml-hip/CMakeLists.txt:39 (find_package):\n  By not providing \"Findhip.cmake\" in CMAKE_MODULE_PATH this project has\n  asked CMake to find a package configuration file provided by \"hip\", but\n  CMake did not find one.\n\n  Could not find a package",
            "CMake Error at ggml/src/ggml-hip/CMakeLists.txt:39 (find_package): By not providing \"Findhip.cmake\" in CMAKE_MODULE_PATH this project has asked CMake to find a package configuration file provided by \"hip\", but CMake did not find one.",
        ),
        (
            "[12/99] Building HIP object out-prod.cu.o\nIn file included from /s/out-prod.cu:2:\n/s/vendors/cuda.h:3:10: fatal error: 'cuda_runtime.h' file not found\n#include <cuda_runtime.h>\n         ^~~~~~~~~~~~~~~~\n1 error generated when compiling for gfx906.",
            "/s/vendors/cuda.h:3:10: fatal error: 'cuda_runtime.h' file not found",
        ),
        (
            "clang-14: error: invalid target ID 'gfx1100'; format is a processor name followed by an optional list",
            "clang-14: error: invalid target ID 'gfx1100'; format is a processor name followed by an optional list",
        ),
        (
            "ld.lld: error: undefined symbol: main\n>>> referenced by crt1.o:(_start)\nclang: error: linker command failed with exit code 1 (use -v to see invocation)",
            "ld.lld: error: undefined symbol: main",
        ),
        ("LLVM ERROR: out of memory\nAllocation failed\nStack dump:", "LLVM ERROR: out of memory"),
        (
            "[200/624] Generate vulkan shaders for mul_mm.comp\ncannot compile flash_attn_f32_f16_cm2 (exit code 1)\n\n/bin/glslc -fshader-stage=compute flash_attn_cm2.comp\n\nshaderc: internal error: compilation succeeded but failed to optimize: Invalid capability operand: 5447",
            "shaderc: internal error: compilation succeeded but failed to optimize: Invalid capability operand: 5447",
        ),
        (
            "FAILED: ggml-vulkan.cpp.o \n/bin/g++ -c ggml-vulkan.cpp\n/build/source/ggml-vulkan.cpp:2072:101: note: in definition of macro 'CREATE_MM'\n 2072 |         x(\"a: error: b\")\n/build/source/ggml-vulkan.cpp:2110:48: error: 'matmul_id_bf16_aligned_cm2_len' was not declared in this scope",
            "/build/source/ggml-vulkan.cpp:2110:48: error: 'matmul_id_bf16_aligned_cm2_len' was not declared in this scope",
        ),
        (
            "/build/source/ggml/src/ggml-vulkan/ggml-vulkan.cpp:14:10: fatal error: spirv/unified1/spirv.hpp: No such file or directory",
            "/build/source/ggml/src/ggml-vulkan/ggml-vulkan.cpp:14:10: fatal error: spirv/unified1/spirv.hpp: No such file or directory",
        ),
        (
            "[ 16%] Generate vulkan shaders\n/bin/sh: vulkan-shaders-gen: command not found\nmake[2]: *** [build.make:75: x.hpp] Error 127\nmake: *** [Makefile:146: all] Error 2",
            "/bin/sh: vulkan-shaders-gen: command not found",
        ),
        (
            "[5/9] Generate vulkan shaders\nFAILED: x.hpp x.cpp\ncd /build && vulkan-shaders-gen\nterminate called after throwing an instance of 'std::runtime_error'\n  what():  Failed to fork process\nAborted (core dumped)\n[6/9] Building a.o\n[7/9] Building b.o",
            "x.hpp: Aborted (core dumped)",
        ),
    ]);
}

#[test]
fn errors_of_compilers_and_linkers() {
    assert_causes(&[
        (
            "/build/cc.s: Assembler messages:\n/build/cc.s:14392: Error: no such instruction: `vpdpbusd %ymm1,%ymm2,%ymm3'",
            "/build/cc.s:14392: Error: no such instruction: `vpdpbusd %ymm1,%ymm2,%ymm3'",
        ),
        (
            "g++: fatal error: Killed signal terminated program cc1plus\ncompilation terminated.\ngmake[2]: *** [httplib.cpp.o] Error 1\n-- UI: npm install failed",
            "g++: fatal error: Killed signal terminated program cc1plus",
        ),
        (
            "[1/9] a.o\nFAILED: a.o \ng++ -c a.cpp\n\ncc1plus: out of memory allocating 65536 bytes\n[2/9] b.o",
            "a.o: cc1plus: out of memory allocating 65536 bytes",
        ),
        (
            "nvcc fatal : Failed to preprocess host compiler properties.",
            "nvcc fatal : Failed to preprocess host compiler properties.",
        ),
        (
            "during GIMPLE pass: loopinit\na.cpp: In function 'f':\na.cpp:16159:21: internal compiler error: Segmentation fault",
            "a.cpp:16159:21: internal compiler error: Segmentation fault",
        ),
        (
            "/bin/ld: cannot find -lcuda: No such file or directory\ncollect2: error: ld returned 1 exit status",
            "/bin/ld: cannot find -lcuda: No such file or directory",
        ),
        (
            "/bin/ld: a.o: undefined reference to symbol 'dlsym@@GLIBC_2.2.5'\n/bin/ld: /lib/libdl.so.2: error adding symbols: DSO missing from command line\ncollect2: error: ld returned 1 exit status",
            "/bin/ld: a.o: undefined reference to symbol 'dlsym@@GLIBC_2.2.5'",
        ),
        (
            "/bin/ld: b.o: in function `ggml_init':\nb.c:(.text+0x0): multiple definition of `ggml_init'; a.o:a.c:(.text+0x0): first defined here\ncollect2: error: ld returned 1 exit status",
            "b.c:(.text+0x0): multiple definition of `ggml_init'; a.o:a.c:(.text+0x0): first defined here",
        ),
        (
            "/bin/ld: final link failed: No space left on device\ncollect2: error: ld returned 1 exit status",
            "/bin/ld: final link failed: No space left on device",
        ),
        (
            "[3/9] Linking libllama.so\nFAILED: bin/libllama.so \n: && /bin/g++ -shared\ncollect2: error: ld returned 1 exit status",
            "bin/libllama.so: collect2: error: ld returned 1 exit status",
        ),
        (
            "cc1plus: error: bad value 'znver5' for '-march=' switch",
            "cc1plus: error: bad value 'znver5' for '-march=' switch",
        ),
        (
            "error: unknown target CPU 'znver6'\nnote: valid target CPU values are: nocona",
            "error: unknown target CPU 'znver6'",
        ),
        (
            "make[2]: *** No rule to make target '/usr/lib/librt.a', needed by 'libggml-cuda.so'.  Stop.\nmake[1]: *** [all] Error 2",
            "make[2]: *** No rule to make target '/usr/lib/librt.a', needed by 'libggml-cuda.so'.  Stop.",
        ),
        (
            "ninja: error: '/lib/libcuda.so', needed by 'bin/llama-cli', missing and no known rule to make it",
            "ninja: error: '/lib/libcuda.so', needed by 'bin/llama-cli', missing and no known rule to make it",
        ),
        (
            "make[2]: *** [a.make:79: a.o] Error 1\nmake: *** [all] Error 2",
            "make[2]: *** [a.make:79: a.o] Error 1",
        ),
    ]);
}

#[test]
fn errors_of_configure_fetch_patch_and_install() {
    assert_causes(&[
        (
            "-- Could NOT find CURL (missing: CURL_LIBRARY)\nCMake Error at common/CMakeLists.txt:90 (message):\n  Could NOT find CURL.  Hint: to disable this feature, set\n  -DLLAMA_CURL=OFF\n\n\n-- Configuring incomplete, errors occurred!",
            "CMake Error at common/CMakeLists.txt:90 (message): Could NOT find CURL.  Hint: to disable this feature, set -DLLAMA_CURL=OFF",
        ),
        (
            "CMake Error: CMake was unable to find a build program corresponding to \"Ninja\".\nCMake Error: CMAKE_C_COMPILER not set, after EnableLanguage",
            "CMake Error: CMake was unable to find a build program corresponding to \"Ninja\".",
        ),
        (
            "[733/821] Building WebUI assets\n-- WebUI: npm not found, skipping npm build and trying HF Bucket download\n-- WebUI: failed to download index.html: \"Could not resolve hostname\"\nCMake Warning at /build/webui-download.cmake:208 (message):\n  WebUI: failed to download assets from HF Bucket\n\n\n[734/821] Generating loading.html.hpp\nFAILED: tools/server/loading.html.hpp \ncd /build && cmake -P xxd.cmake\nCMake Error at /build/source/scripts/xxd.cmake:8 (file):\n  file failed to open for reading (No such file or directory):\n\n    /build/source/tools/ui/dist/loading.html\n\n\nninja: build stopped: subcommand failed.",
            "CMake Error at /build/source/scripts/xxd.cmake:8 (file): file failed to open for reading (No such file or directory): /build/source/tools/ui/dist/loading.html",
        ),
        (
            "Executing npmConfigHook\nnpm error code ENOTCACHED\nnpm error request to https://x.org/vite failed: cache mode is 'only-if-cached' but no cached response is available.\nnpm error A complete log of this run can be found in: /build/x\n\nERROR: npm failed to install dependencies",
            "npm error request to https://x.org/vite failed: cache mode is 'only-if-cached' but no cached response is available.",
        ),
        (
            "> vite build\n\nerror during build:\n[vite]: Rollup failed to resolve import \"dexie\" from \"src/x.ts\".\nnpm error code 1\nnpm error path /build/ui",
            "error during build: [vite]: Rollup failed to resolve import \"dexie\" from \"src/x.ts\".",
        ),
        (
            "src/app.ts(12,3): error TS2304: Cannot find name 'foo'.",
            "src/app.ts(12,3): error TS2304: Cannot find name 'foo'.",
        ),
        (
            "> vite build\n\nsh: line 1: vite: command not found\nnpm error Lifecycle script `build` failed with error:\nnpm error code 127\nnpm error command sh -c vite build",
            "sh: line 1: vite: command not found",
        ),
        ("patch: **** malformed patch at line 12: x", "patch: **** malformed patch at line 12: x"),
        (
            "npm error code ENOENT\nCMake Warning at ui.cmake:1 (message):\n  UI: no assets\n\n[9/9] a.o\na.cpp:1:1: error: 'x' was not declared",
            "a.cpp:1:1: error: 'x' was not declared",
        ),
        (
            "trying https://x.org/a.tar.gz\ncurl: (22) The requested URL returned error: 404\nerror: cannot download source from any mirror",
            "curl: (22) The requested URL returned error: 404",
        ),
        (
            "Initialized empty Git repository\nfatal: unable to access 'https://x.org/a/': Could not resolve host: x.org\nUnable to checkout deae5ee from https://x.org/a.",
            "fatal: unable to access 'https://x.org/a/': Could not resolve host: x.org",
        ),
        (
            "applying patch /nix/store/x-disable_bfloat16.patch\npatching file ggml/CMakeLists.txt\nReversed (or previously applied) patch detected!  Assume -R? [n] \nApply anyway? [n] \nSkipping patch.\n1 out of 1 hunk ignored -- saving rejects to file ggml/CMakeLists.txt.rej",
            "1 out of 1 hunk ignored -- saving rejects to file ggml/CMakeLists.txt.rej",
        ),
        (
            "patching file a.cpp\nHunk #1 succeeded at 191.\nHunk #2 FAILED at 612.\n1 out of 2 hunks FAILED -- saving rejects to file a.cpp.rej",
            "1 out of 2 hunks FAILED -- saving rejects to file a.cpp.rej",
        ),
        (
            "substituteStream() in derivation llama-cpp: ERROR: pattern SET\\(X doesn't match anything in file 'CMakeLists.txt'",
            "substituteStream() in derivation llama-cpp: ERROR: pattern SET\\(X doesn't match anything in file 'CMakeLists.txt'",
        ),
        (
            "@phase patchPhase\nchmod: cannot access 'bin/x': No such file or directory",
            "chmod: cannot access 'bin/x': No such file or directory",
        ),
        (
            "auto-patchelf: 3 dependencies could not be satisfied\nwarn: auto-patchelf ignoring missing libcuda.so.1 wanted by /nix/store/x\nerror: auto-patchelf could not satisfy dependency libcudnn.so.8 wanted by /nix/store/y",
            "error: auto-patchelf could not satisfy dependency libcudnn.so.8 wanted by /nix/store/y",
        ),
        (
            "checking for references to /build/ in /nix/store/x...\nRPATH of binary /nix/store/x/bin/llama contains a forbidden reference to /build/",
            "RPATH of binary /nix/store/x/bin/llama contains a forbidden reference to /build/",
        ),
        (
            "Traceback (most recent call last):\n  File \"a.py\", line 3, in <module>\n    import gguf\nModuleNotFoundError: No module named 'gguf'",
            "ModuleNotFoundError: No module named 'gguf'",
        ),
        (
            "cp: error writing '/nix/store/x/lib/a.so': No space left on device",
            "cp: error writing '/nix/store/x/lib/a.so': No space left on device",
        ),
    ]);
}

/// Two linker failures are not alike because of the linker's last line.
#[test]
fn what_only_repeats_a_failure_is_not_among_all_errors() {
    let log = "ld.lld: error: undefined symbol: f\nclang: error: linker command failed with exit code 1\na.c:1:1: error: b\ncollect2: error: ld returned 1 exit status";
    let errors: Vec<String> = all(log.lines().map(str::to_owned)).collect();
    assert_eq!(errors, ["ld.lld: error: undefined symbol: f", "a.c:1:1: error: b"]);
}
