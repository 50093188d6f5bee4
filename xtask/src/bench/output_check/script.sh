# Runs where the variant is measured, under any POSIX sh: puts one text through the build
# that is held to be right, then through the other, which is told how far it is from that.
# $1, $2: their llama-perplexity; $3 model; $4 text; $5 tokens at a time; $6 how many times;
# then arguments for the second build alone. bench/output_check/rules.rs reads what it prints.
right=$1 other=$2 model=$3 text=$4 context=$5 chunks=$6
shift 6
dir=$(mktemp -d) || exit 1
trap 'rm -rf -- "$dir"' EXIT
trap 'exit 143' HUP INT TERM
echo '#llamafleet reference'
"$right" -m "$model" -p "$text" -c "$context" -b "$context" --chunks "$chunks" \
    --kl-divergence-base "$dir/base" >"$dir/said" || exit
[ -s "$dir/base" ] || {
    echo "llama-perplexity wrote no probabilities" >&2
    exit 1
}
for way in "prompt $context" 'generation 1'; do
    echo "#llamafleet ${way% *}"
    # Where the machine is busy, llama.cpp of 2026 can end before it has said everything
    # (ggml-org/llama.cpp#22142): then again.
    for _ in 1 2 3 4 5 6 7 8; do
        "$other" -m "$model" -c "$context" -b "${way#* }" --kl-divergence \
            --kl-divergence-base "$dir/base" "$@" >"$dir/said" || exit
        grep -q '^Same top p:' "$dir/said" && break
    done
    cat "$dir/said"
done
