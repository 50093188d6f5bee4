#!/bin/bash
# Runs the machine's compiler like Nixpkgs' cc-wrapper: without -march=native, with the
# inputs' headers and libraries, and with a run path to the package's libraries.
# ccache comes last, so that it sees every flag.
program=@program@

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

if [[ -n $inputs && -z $links ]]; then
  # shellcheck source=with-ccache.sh
  source @with_ccache@ "$program" "${arguments[@]}"
fi
exec "$program" "${arguments[@]}"
