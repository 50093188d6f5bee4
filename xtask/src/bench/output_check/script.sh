# Runs where the variant is measured, under any POSIX sh: puts one text through the reference
# build, then through the other one, which prints how far it is from that; then both complete
# a prompt.
# $1, $2: the folders of their programs; $3 model; $4 text; $5 tokens at a time; $6 how many
# times; $7 prompt; $8 tokens to complete it with; then arguments for the second build alone.
# bench/output_check/rules.rs reads what it prints.
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
# Where the machine is busy, llama.cpp of 2026 can end before it has printed everything
# (ggml-org/llama.cpp#22142): then again, below too.
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
        # The end is an empty line.
        [ -s "$dir/said" ] && [ -z "$(tail -n 1 "$dir/said")" ] && break
    done
    cat "$dir/said"
    echo
}
# Of 2025, llama-cli.
for program in llama-completion llama-cli; do
    if [ -x "$right/$program" ] && [ -x "$other/$program" ]; then
        echo "#llamafleet reference-text"
        complete "$right/$program"
        echo "#llamafleet text"
        complete "$other/$program" "$@"
        break
    fi
done
