#compdef xtask
# Completes `xtask` and `cargo xtask` in zsh. Written by `xtask completions zsh`.

_xtask_candidates() {
    local -a found
    found=(${(f)"$("$1" complete -- "${(@)@[2,-1]}" 2>/dev/null)"})
    if ((!$#found)); then
        _files
        return
    fi
    found=("${(@)found//:/\\:}")
    found=("${(@)found/$'\t'/:}")
    _describe -t candidates xtask found
}

_xtask() {
    _xtask_candidates "$words[1]" "${(@)words[2,CURRENT]}"
}

# cargo's own completion calls this. Asks what the last `cargo xtask` built: cargo itself
# might compile first.
_cargo-xtask() {
    local manifest
    manifest=$(cargo locate-project --workspace --message-format plain 2>/dev/null)
    _xtask_candidates "${CARGO_TARGET_DIR:-${manifest:h}/target}/debug/xtask" "${(@)words[2,CURRENT]}"
}

if [[ $funcstack[1] == _xtask ]]; then
    _xtask "$@"
else
    compdef _xtask xtask
fi
