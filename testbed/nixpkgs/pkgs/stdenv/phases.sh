# Functions of the builder: inputs, phases, `substituteInPlace` and the like.

addToSearchPath() {
  local variable=$1 directory=$2
  if [[ -d $directory ]]; then
    export "$variable=${!variable:+${!variable}:}$directory"
  fi
}

declare -A seenInputs
addInput() {
  local pkg=$1 file
  [[ -z ${seenInputs[$pkg]-} && -e $pkg ]] || return 0
  seenInputs[$pkg]=1
  if [[ -f $pkg ]]; then
    # A setup hook that is a file.
    source "$pkg"
    return
  fi
  # Before the machine's programs, since packages are often wrappers of those.
  [[ ! -d $pkg/bin ]] || export PATH="$pkg/bin:$PATH"
  [[ ! -d $pkg/include ]] || NIX_CFLAGS_COMPILE="${NIX_CFLAGS_COMPILE-} -isystem $pkg/include"
  [[ ! -d $pkg/lib ]] || NIX_LDFLAGS="${NIX_LDFLAGS-} -L$pkg/lib -rpath $pkg/lib"
  addToSearchPath PKG_CONFIG_PATH "$pkg/lib/pkgconfig"
  addToSearchPath PKG_CONFIG_PATH "$pkg/share/pkgconfig"
  addToSearchPath CMAKE_PREFIX_PATH "$pkg"
  local propagated
  for file in "$pkg"/nix-support/propagated-build-inputs "$pkg"/nix-support/propagated-native-build-inputs; do
    [[ -f $file ]] || continue
    for propagated in $(<"$file"); do
      addInput "$propagated"
    done
  done
  if [[ -f $pkg/nix-support/setup-hook ]]; then
    source "$pkg/nix-support/setup-hook"
  fi
}

runHook() {
  local hook=$1 name
  shift
  # First the functions that setup hooks registered, then the package's own.
  local -n registered="${hook}Hooks" 2>/dev/null || true
  for name in ${registered[@]+"${registered[@]}"}; do
    "$name" "$@"
  done
  if declare -F "$hook" >/dev/null; then
    "$hook" "$@"
  elif [[ -n ${!hook-} ]]; then
    eval "${!hook}"
  fi
}

showPhaseHeader() {
  echo "Running phase: $1"
  # For Nix's progress bar and internal-json log.
  [[ -z ${NIX_LOG_FD-} ]] || echo "@nix { \"action\": \"setPhase\", \"phase\": \"$1\" }" >&"$NIX_LOG_FD"
}

runPhase() {
  local phase=$1
  [[ $phase != checkPhase || -n ${doCheck-} ]] || return 0
  local skip="dont${phase^}"
  skip=${skip%Phase}
  [[ -z ${!skip-} ]] || return 0
  showPhaseHeader "$phase"
  if [[ -n ${!phase-} ]]; then
    # A string from the package, or the name of a hook's function.
    eval "${!phase}"
  else
    "$phase"
  fi
  if [[ $phase == unpackPhase ]]; then
    cd "${sourceRoot:-.}"
  fi
}

genericBuild() {
  local phase
  for phase in ${phases:-unpackPhase patchPhase ${preConfigurePhases-} configurePhase buildPhase checkPhase installPhase fixupPhase}; do
    runPhase "$phase"
  done
}

unpackPhase() {
  runHook preUnpack
  local source name
  if [[ -z ${src-}${srcs-} ]]; then
    echo "variable \$src or \$srcs should point to the source" >&2
    exit 1
  fi
  for source in ${srcs:-$src}; do
    if [[ -d $source ]]; then
      name=$(stripHash "$source")
      cp -r --preserve=mode,timestamps --reflink=auto "$source" "$name"
      chmod -R u+w "$name"
      : "${sourceRoot:=$name}"
    elif [[ $source == *.tar* || $source == *.tgz ]]; then
      tar -xf "$source"
    else
      echo "do not know how to unpack source archive $source" >&2
      exit 1
    fi
  done
  if [[ -z ${sourceRoot-} ]]; then
    local unpacked=(*/)
    sourceRoot=${unpacked[0]%/}
  fi
  echo "source root is $sourceRoot"
  runHook postUnpack
}

stripHash() {
  local name
  name=$(basename "$1")
  if [[ $name =~ ^[a-z0-9]{32}-(.*)$ ]]; then
    name=${BASH_REMATCH[1]}
  fi
  echo "$name"
}

patchPhase() {
  runHook prePatch
  local patch
  for patch in ${patches-}; do
    echo "applying patch $patch"
    patch ${patchFlags:--p1} <"$patch"
  done
  runHook postPatch
}

configurePhase() {
  runHook preConfigure
  local arguments=()
  if [[ -x ./configure ]]; then
    concatTo arguments configureFlags configureFlagsArray
    ./configure --prefix="$out" "${arguments[@]}"
  fi
  runHook postConfigure
}

buildPhase() {
  runHook preBuild
  local arguments=()
  concatTo arguments makeFlags makeFlagsArray buildFlags buildFlagsArray
  if [[ -e Makefile || -e makefile || -n ${makefile-} ]]; then
    make ${enableParallelBuilding:+-j"$NIX_BUILD_CORES"} ${makefile:+-f "$makefile"} "${arguments[@]}"
  else
    echo "no Makefile or custom buildPhase, doing nothing"
  fi
  runHook postBuild
}

checkPhase() {
  runHook preCheck
  make ${checkTarget:-check}
  runHook postCheck
}

installPhase() {
  runHook preInstall
  if [[ -e Makefile || -e makefile ]]; then
    make ${installTargets:-install} prefix="$out"
  fi
  runHook postInstall
}

fixupPhase() {
  local output
  runHook preFixup
  for output in $outputs; do
    [[ ! -d ${!output} ]] || chmod -R u+w "${!output}"
  done
  writeSupport propagated-build-inputs "${propagatedBuildInputs-}"
  writeSupport propagated-native-build-inputs "${propagatedNativeBuildInputs-}"
  if [[ -n ${setupHook-} ]]; then
    mkdir -p "$out/nix-support"
    cp "$setupHook" "$out/nix-support/setup-hook"
  fi
  runHook postFixup
}

writeSupport() {
  if [[ -n $2 ]]; then
    mkdir -p "$out/nix-support"
    echo "$2" >"$out/nix-support/$1"
  fi
}

# concatTo ARRAY NAME…: words of string variables, elements of array variables.
concatTo() {
  local -n target=$1
  shift
  local name words
  for name in "$@"; do
    if [[ $(declare -p "$name" 2>/dev/null) == "declare -a"* ]]; then
      local -n elements=$name
      target+=("${elements[@]}")
      unset -n elements
    elif [[ -n ${!name-} ]]; then
      # An unquoted expansion would treat `*` as a pattern.
      read -r -d '' -a words <<<"${!name}" || true
      target+=("${words[@]}")
    fi
  done
}

appendToVar() {
  local name=$1
  shift
  declare -g "$name=${!name:+${!name} }$*"
}

prependToVar() {
  local name=$1
  shift
  declare -g "$name=$*${!name:+ ${!name}}"
}

substituteInPlace() {
  local files=() file
  while [[ $# -gt 0 && $1 != --* ]]; do
    files+=("$1")
    shift
  done
  for file in "${files[@]}"; do
    substitute "$file" "$file" "$@"
  done
}

substitute() {
  local input=$1 output=$2 content pattern replacement
  shift 2
  if [[ ! -f $input ]]; then
    echo "substitute(): ERROR: file '$input' does not exist" >&2
    return 1
  fi
  # The sentinel keeps trailing newlines, which `$(…)` would drop.
  content=$(cat "$input" && echo .)
  content=${content%.}
  while [[ $# -gt 0 ]]; do
    case $1 in
      --replace | --replace-fail | --replace-warn | --replace-quiet)
        pattern=$2 replacement=$3
        if [[ $content != *"$pattern"* ]]; then
          case $1 in
            --replace-fail)
              echo "substituteStream() in derivation $name: ERROR: pattern $pattern doesn't match anything in file '$input'" >&2
              return 1
              ;;
            --replace-quiet) ;;
            *) echo "substituteStream() in derivation $name: WARNING: pattern $pattern doesn't match anything in file '$input'" >&2 ;;
          esac
        fi
        content=${content//"$pattern"/"$replacement"}
        shift 3
        ;;
      --subst-var)
        content=${content//"@$2@"/"${!2}"}
        shift 2
        ;;
      --subst-var-by)
        content=${content//"@$2@"/"$3"}
        shift 3
        ;;
      *)
        echo "substitute(): ERROR: Invalid command line argument: $1" >&2
        return 1
        ;;
    esac
  done
  printf '%s' "$content" >"$output"
}
