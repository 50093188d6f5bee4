#!/bin/bash
# ggml compiles with the `ccache` that it finds in PATH. The compiler wrapper already uses
# ccache, so this one only runs the compiler.
exec "$@"
