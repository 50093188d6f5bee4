# Adds the directory of NixOS's GPU drivers to the run path.
NIX_LDFLAGS="${NIX_LDFLAGS-} -rpath /run/opengl-driver/lib"
