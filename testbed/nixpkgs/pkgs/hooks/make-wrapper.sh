# `makeWrapper` and `wrapProgram`, for --set, --set-default, --prefix, --suffix
# and --add-flags.
makeWrapper() {
  local original=$1 wrapper=$2 variable separator value
  shift 2
  mkdir -p "$(dirname "$wrapper")"
  {
    echo "#!/bin/bash -e"
    local flags=
    while [[ $# -gt 0 ]]; do
      case $1 in
        --set)
          printf 'export %s=%q\n' "$2" "$3"
          shift 3
          ;;
        --set-default)
          printf 'export %s=${%s-%q}\n' "$2" "$2" "$3"
          shift 3
          ;;
        --unset)
          printf 'unset %s\n' "$2"
          shift 2
          ;;
        --prefix)
          variable=$2 separator=$3 value=$4
          printf 'export %s=%q${%s:+%q$%s}\n' "$variable" "$value" "$variable" "$separator" "$variable"
          shift 4
          ;;
        --suffix)
          variable=$2 separator=$3 value=$4
          printf 'export %s=${%s:+$%s%q}%q\n' "$variable" "$variable" "$variable" "$separator" "$value"
          shift 4
          ;;
        --add-flags)
          flags+=" $2"
          shift 2
          ;;
        *)
          echo "makeWrapper doesn't understand the arg $1" >&2
          return 1
          ;;
      esac
    done
    printf 'exec -a "$0" %q%s "$@"\n' "$original" "$flags"
  } >"$wrapper"
  chmod +x "$wrapper"
}

wrapProgram() {
  local program=$1 hidden
  hidden=$(dirname "$program")/.$(basename "$program")-wrapped
  shift
  mv "$program" "$hidden"
  makeWrapper "$hidden" "$program" "$@"
}
