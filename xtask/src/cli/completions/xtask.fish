# Completes `xtask` and `cargo xtask` in fish. Written by `xtask completions fish`.

function __xtask_candidates --argument-names program skipped
    set -l words (commandline -opc) (commandline -ct)
    set -e words[1..$skipped]
    set -l found ($program complete -- $words 2>/dev/null)
    if set -q found[1]
        string join \n -- $found
    else
        __fish_complete_path (commandline -ct)
    end
end

# What the last `cargo xtask` built: cargo itself might compile first.
function __xtask_of_cargo
    set -l manifest (cargo locate-project --workspace --message-format plain 2>/dev/null)
    set -q CARGO_TARGET_DIR; or set -l CARGO_TARGET_DIR (path dirname $manifest)/target
    echo $CARGO_TARGET_DIR/debug/xtask
end

complete -c xtask -f -a '(__xtask_candidates xtask 1)'
complete -c cargo -n '__fish_seen_subcommand_from xtask' -f -a '(__xtask_candidates (__xtask_of_cargo) 2)'
