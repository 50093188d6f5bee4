# Completes `xtask` and `cargo xtask` in bash. Written by `xtask completions bash`.

_xtask_candidates() {
    local program=$1 line
    shift
    COMPREPLY=()
    while IFS= read -r line; do
        COMPREPLY+=("${line%%$'\t'*}")
    done < <("$program" complete -- "$@" 2>/dev/null)
}

_xtask() {
    _xtask_candidates "$1" "${COMP_WORDS[@]:1:COMP_CWORD}"
}

# Asks what the last `cargo xtask` built: cargo itself might compile first.
_xtask_of_cargo() {
    if [[ ${COMP_WORDS[1]} == xtask ]] && ((COMP_CWORD > 1)); then
        local manifest
        manifest=$(cargo locate-project --workspace --message-format plain 2>/dev/null)
        _xtask_candidates "${CARGO_TARGET_DIR:-${manifest%/*}/target}/debug/xtask" \
            "${COMP_WORDS[@]:2:COMP_CWORD-1}"
        return
    fi
    if ! declare -F _cargo >/dev/null; then
        source "$(rustc --print sysroot 2>/dev/null)/etc/bash_completion.d/cargo" 2>/dev/null
        complete -o bashdefault -o default -F _xtask_of_cargo cargo
    fi
    ! declare -F _cargo >/dev/null || _cargo "$@"
}

complete -o bashdefault -o default -F _xtask xtask
complete -o bashdefault -o default -F _xtask_of_cargo cargo
