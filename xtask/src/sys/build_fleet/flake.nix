# Builds of known length, for `cargo xtask perf build`: each host's package is a shell
# script that works or waits, and prints as a compilation does.
{
  outputs = _: {
    fleet = { };
    nixosConfigurations = builtins.listToAttrs (
      builtins.genList (n: {
        name = "h${toString n}";
        value = {
          options.programs.llama-cpp.manifest = true;
          config.programs.llama-cpp = {
            enable = true;
            manifest = {
              variant = "cpu-perf-${toString n}";
              backends = [ "cpu" ];
              microarch = "dispatch";
              system = "@system@";
              cmakeFlags = [
                "-DGGML_BACKEND_DL=ON"
                "-DGGML_CPU_ALL_VARIANTS=ON"
              ];
              rev = null;
              build = null;
            };
            package = derivation {
              name = "llama-cpp-perf-${toString n}";
              system = "@system@";
              # Another round is another derivation.
              round = "@round@";
              builder = "/bin/sh";
              PATH = "/usr/bin:/bin:/run/current-system/sw/bin";
              args = [
                "-c"
                ''
                  step=0
                  while [ $step -lt @steps@ ]; do
                    step=$((step + 1))
                    echo "[$step/@steps@] Building CXX object ggml/src/CMakeFiles/ggml-cpu.dir/ggml-cpu/ops-$step.cpp.o"
                    line=1
                    while [ $line -lt @lines@ ]; do
                      line=$((line + 1))
                      echo "/usr/lib/gcc/include/avx512fintrin.h:14149: note: $line |                     (__v16sf)"
                    done
                    @step@
                  done
                  echo > $out
                ''
              ];
            };
          };
        };
      }) @hosts@
    );
  };
}
