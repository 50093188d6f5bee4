#!/bin/bash
# The machine's compiler as Nixpkgs' cc-wrapper would run it: no -march=native,
# the inputs' headers and libraries, a run path to the libraries of the package.
# ccache goes last, when every flag is known, so that it sees them all.
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

# A bare `-v` or `--version` must stay one: linker flags would make it link.
if [[ -n $inputs ]]; then
  # shellcheck disable=SC2206 # these are words
  arguments+=(${NIX_CFLAGS_COMPILE-})
  # __FILE__ without the name of the build's directory, which differs between
  # variants: the code would too, and nothing would be found in the cache.
  [[ -z ${NIX_BUILD_TOP-} ]] || arguments+=("-ffile-prefix-map=$NIX_BUILD_TOP=.")
  if [[ -n $links ]]; then
    for word in ${NIX_LDFLAGS-}; do
      arguments+=("-Wl,$word")
    done
  fi
fi

# Compiled files are kept across builds where the machine lets us: a variant of
# the same source then compiles only what its options touch.
cache=/nix/var/llamafleet/ccache
if [[ -n $inputs && -z $links && -x /usr/bin/ccache ]] && { [[ -d $cache ]] || mkdir -p -m 1777 "$cache" 2>/dev/null; } && [[ -w $cache ]]; then
  export CCACHE_DIR=$cache CCACHE_MAXSIZE=4G CCACHE_NOHASHDIR=1 CCACHE_UMASK=000
  export CCACHE_BASEDIR=${NIX_BUILD_TOP:-} CCACHE_TEMPDIR=${NIX_BUILD_TOP:+$NIX_BUILD_TOP/.ccache-tmp}
  exec /usr/bin/ccache "$program" "${arguments[@]}"
fi
exec "$program" "${arguments[@]}"
