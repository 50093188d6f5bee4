#!/bin/bash
# ggml runs every compilation through a `ccache` that it finds on PATH. The
# compiler wrapper does so itself, with all flags known; one of them is enough.
exec "$@"
