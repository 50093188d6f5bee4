# Patches AMX's tile configuration in llama.cpp revisions with AMX.
''
  if [ -e ggml/src/ggml-cpu/amx/mmq.cpp ]; then
    sed -i -E -f ${./tile-config.sed} ggml/src/ggml-cpu/amx/mmq.cpp
  fi
''
