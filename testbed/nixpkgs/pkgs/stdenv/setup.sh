# The builder: sets up the environment from the inputs, then runs the phases.
# A derivation does not name the versions of the machine's tools, so that its store path
# is the same on every machine.
set -eo pipefail
shopt -s nullglob

export PATH=/usr/bin:/bin
export HOME=/homeless-shelter
export TERM=dumb
export LC_ALL=C.UTF-8
# As in Nixpkgs. ggml turns GGML_NATIVE off if this is set.
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-315532800}
# The compiler wrapper drops -march=native, as Nixpkgs' does.
export NIX_ENFORCE_NO_NATIVE=${NIX_ENFORCE_NO_NATIVE-1}
if ((${NIX_BUILD_CORES:-0} <= 0)); then
  NIX_BUILD_CORES=$(nproc)
fi
export NIX_BUILD_CORES
: "${outputs:=out}"

# shellcheck source=phases.sh
source "$stdenvHooks"

for input in $stdenvCC $nativeBuildInputs $propagatedNativeBuildInputs $buildInputs $propagatedBuildInputs; do
  addInput "$input"
done
if [[ -z ${NIX_DONT_SET_RPATH-} && -n ${out-} ]]; then
  NIX_LDFLAGS="-rpath ${lib:-$out}/lib ${NIX_LDFLAGS-}"
fi
export NIX_LDFLAGS NIX_CFLAGS_COMPILE PKG_CONFIG_PATH CMAKE_PREFIX_PATH

if [[ -n ${buildCommand-} ]]; then
  eval "$buildCommand"
else
  genericBuild
fi
