# NixOS finds GPU drivers in one directory, which programs get as run path.
NIX_LDFLAGS="${NIX_LDFLAGS-} -rpath /run/opengl-driver/lib"
