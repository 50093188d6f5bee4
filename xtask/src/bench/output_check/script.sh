# Runs on the target in any POSIX sh: runs the reference build on a text, then the other build,
# which prints its divergence from the first; then both complete a prompt.
# $1, $2: folders of the builds' programs; $3: model; $4: text; $5: tokens per chunk; $6: number of
# chunks; $7: prompt; $8: tokens to generate; then arguments for the second build only.
# bench/output_check/rules.rs parses the output.
right=$1 other=$2 model=$3 text=$4 context=$5 chunks=$6 prompt=$7 tokens=$8
shift 8
dir=$(mktemp -d) || exit 1
trap 'rm -rf -- "$dir"' EXIT
trap 'exit 143' HUP INT TERM
echo '#llamafleet reference'
"$right/llama-perplexity" -m "$model" -p "$text" -c "$context" -b "$context" --chunks "$chunks" \
    --kl-divergence-base "$dir/base" >"$dir/said" || exit
[ -s "$dir/base" ] || {
    echo "llama-perplexity wrote no probabilities" >&2
    exit 1
}
# On a busy machine, llama.cpp of 2026 can exit before it has printed everything
# (ggml-org/llama.cpp#22142), so it runs again, also below.
for way in "prompt $context" 'generation 1'; do
    echo "#llamafleet ${way% *}"
    for _ in 1 2 3 4 5 6 7 8; do
        "$other/llama-perplexity" -m "$model" -c "$context" -b "${way#* }" --kl-divergence \
            --kl-divergence-base "$dir/base" "$@" >"$dir/said" || exit
        grep -q '^Same top p:' "$dir/said" && break
    done
    cat "$dir/said"
done
complete() {
    for _ in 1 2 3 4 5 6 7 8; do
        "$@" -m "$model" -c "$context" -p "$prompt" -n "$tokens" --temp 0 --seed 1 -no-cnv \
            --no-display-prompt --no-warmup </dev/null >"$dir/said" || exit
        # Complete output ends with an empty line.
        [ -s "$dir/said" ] && [ -z "$(tail -n 1 "$dir/said")" ] && break
    done
    cat "$dir/said"
    echo
}
# Revisions of 2025 have llama-cli.
for program in llama-completion llama-cli; do
    if [ -x "$right/$program" ] && [ -x "$other/$program" ]; then
        echo "#llamafleet reference-text"
        complete "$right/$program"
        echo "#llamafleet text"
        complete "$other/$program" "$@"
        break
    fi
done
