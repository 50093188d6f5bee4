# The patch of AMX's tile configuration, for the llama.cpp revisions that have AMX.
''
  if [ -e ggml/src/ggml-cpu/amx/mmq.cpp ]; then
    sed -i -E -f ${./tile-config.sed} ggml/src/ggml-cpu/amx/mmq.cpp
  fi
''
