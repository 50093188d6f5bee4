#!/bin/bash
# Runs the toolkit's nvcc, with ccache when it compiles. Its host compiler is the wrapped
# g++ in PATH.
nvcc=@root@/bin/nvcc
for argument in "$@"; do
  if [[ $argument == -c ]]; then
    # shellcheck source=with-ccache.sh
    source @with_ccache@ "$nvcc" "$@"
  fi
done
exec "$nvcc" "$@"
