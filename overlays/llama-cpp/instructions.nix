# Shell code for an install phase: lists the instruction sets that the code of each CPU module uses,
# and those that llama.cpp declares for the modules of "dispatch". `xtask build-all` compares them.
# Disassembles the modules instead of running them, because the builder may have another CPU.
''
  mkdir -p "$out/nix-support"
  {
    for module in "$out"/lib/libggml-cpu*.so "$out"/lib/ggml/libggml-cpu*.so; do
      if [ -e "$module" ]; then
        "''${OBJDUMP:-objdump}" --disassemble --no-show-raw-insn "$module" \
          | awk -v "module=''${module##*/}" -f ${./instructions.awk}
      fi
    done
    sed -n 's/^ *ggml_add_cpu_backend_variant(\([a-z0-9_.]*\) *\([A-Z0-9_ ]*\)).*/libggml-cpu-\1.so promises \2/p' \
      "$src/ggml/src/CMakeLists.txt"
  } > "$out/nix-support/ggml-cpu-instructions"
''
