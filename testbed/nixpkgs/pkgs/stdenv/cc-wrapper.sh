#!/bin/bash
# Runs the machine's compiler like Nixpkgs' cc-wrapper: without -march=native, with the
# inputs' headers and libraries, and with a run path to the package's libraries.
# ccache comes last, so that it sees every flag.
program=/usr/bin/@program@

arguments=()
links=1
inputs=
for argument in "$@"; do
  case $argument in
    -march=native | -mtune=native | -mcpu=native)
      if [[ ${NIX_ENFORCE_NO_NATIVE-} == 1 ]]; then
        echo "warning: Skipping impure flag $argument because NIX_ENFORCE_NO_NATIVE is set" >&2
        continue
      fi
      ;;
    -c | -S | -E | -M | -MM | -fsyntax-only) links= ;;
    -?*) ;;
    *) inputs=1 ;;
  esac
  arguments+=("$argument")
done

# `-v` and `--version` get no linker flags, which would make the compiler link.
if [[ -n $inputs ]]; then
  # shellcheck disable=SC2206 # these are words
  arguments+=(${NIX_CFLAGS_COMPILE-})
  # Removes the build directory from __FILE__. It differs between variants, so that
  # nothing would be found in ccache.
  [[ -z ${NIX_BUILD_TOP-} ]] || arguments+=("-ffile-prefix-map=$NIX_BUILD_TOP=.")
  if [[ -n $links ]]; then
    for word in ${NIX_LDFLAGS-}; do
      arguments+=("-Wl,$word")
    done
  fi
fi

# ccache, if its folder is writable: another variant of the same source then compiles
# only what its options change.
cache=/nix/var/llamafleet/ccache
if [[ -n $inputs && -z $links && -x /usr/bin/ccache ]] && { [[ -d $cache ]] || mkdir -p -m 1777 "$cache" 2>/dev/null; } && [[ -w $cache ]]; then
  export CCACHE_DIR=$cache CCACHE_MAXSIZE=4G CCACHE_NOHASHDIR=1 CCACHE_UMASK=000
  export CCACHE_BASEDIR=${NIX_BUILD_TOP:-} CCACHE_TEMPDIR=${NIX_BUILD_TOP:+$NIX_BUILD_TOP/.ccache-tmp}
  exec /usr/bin/ccache "$program" "${arguments[@]}"
fi
exec "$program" "${arguments[@]}"
