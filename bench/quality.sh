#!/usr/bin/env bash
# What each cache mode changes on the trained models: divergence from the fp16 cache, perplexity, first choice; with all
# protections off, with the defaults, and each protection alone; then how many hidden words are found again.
# Where protections are off, --kv-all-coded has a token's codes read from the start, by its own query too, as the
# independent figures in kv-quality.json do; without it the newest tokens, up to 16, are read in fp16.
# Writes bench/results/quality-MODEL.txt.
# usage: bench/quality.sh [MODEL...]     (folders under ../shared/fixtures/trained; default: llama qwen3 phi)
set -euo pipefail
cd "$(dirname "$0")/.."
program=build/release/mlxcel
trained=../shared/fixtures/trained
[ $# -gt 0 ] || set -- llama qwen3 phi
mkdir -p bench/results

compare() { # TITLE CTX WINDOWS MODES FLAGS...: the flags are part of the title
    local title=$1 ctx=$2 windows=$3 modes=$4
    shift 4
    printf '\n%s%s (%s windows of %s tokens)\n' "$title" "${*:+: $*}" "$windows" "$ctx"
    "$program" perplexity -m "$trained/$model" --tokens-file "$trained/val.tokens" --ctx "$ctx" --windows "$windows" \
        --compare "$modes" --force-kv-mode "$@" 2>/dev/null
}

# The signs of the rotations are random: mean and standard deviation over eight draws, the first of which is the one in
# use. Seed 0 means that one.
draws() { # TITLE CTX WINDOWS MODES FLAGS...
    local title=$1 ctx=$2 windows=$3 modes=$4 seed
    shift 4
    printf '\n%s, eight draws of signs%s (%s windows of %s tokens)\n' "$title" "${*:+: $*}" "$windows" "$ctx"
    printf '%-17s %19s  %20s  %15s\n' mode 'KL mean' 'perplexity %' 'top-1 %'
    for seed in 0 1 2 3 4 5 6 7; do
        "$program" perplexity -m "$trained/$model" --tokens-file "$trained/val.tokens" --ctx "$ctx" \
            --windows "$windows" --compare "$modes" --force-kv-mode --kv-sign-seed "$seed" --json "$@" 2>/dev/null
    done | awk -F '[:,]' '
        /"mode":/ { mode = $2; gsub(/[ "]/, "", mode); if (!(mode in count)) order[++modes] = mode; count[mode]++ }
        /"(kl_mean|perplexity_change_pct|top1)":/ {
            key = $1
            gsub(/[ "]/, "", key)
            value = key == "top1" ? 100 * $2 : $2 + 0
            sum[mode, key] += value
            square[mode, key] += value * value
        }
        function deviation(mode, key, n) {
            n = count[mode]
            n = (square[mode, key] - sum[mode, key] ^ 2 / n) / (n - 1)
            return n > 0 ? sqrt(n) : 0
        }
        END {
            for (i = 1; i <= modes; i++) {
                mode = order[i]
                n = count[mode]
                printf "%-17s %.5f +- %.5f   %+.3f +- %.3f     %.2f +- %.2f\n", mode, sum[mode, "kl_mean"] / n,
                    deviation(mode, "kl_mean"), sum[mode, "perplexity_change_pct"] / n,
                    deviation(mode, "perplexity_change_pct"), sum[mode, "top1"] / n, deviation(mode, "top1")
            }
        }'
}

all_off=(--kv-all-coded --kv-recent 0 --kv-sink 0 --kv-center off)

# A latent is key and value in one: modes that keep them in two ways run int8 there.
latent() {
    compare "protections off" 2048 8 int8,turbo4 "${all_off[@]}"
    draws "protections off" 2048 8 turbo4 "${all_off[@]}"
    compare "defaults" 2048 8 int8,turbo4
    draws "defaults" 2048 8 turbo4
    compare "recent window of 128" 2048 8 turbo4 --kv-recent 128
    for rule in norm ls unbiased; do
        compare "scale rule $rule" 2048 8 turbo4 "${all_off[@]}" --kv-scale-rule $rule
    done
    compare "protections off, long" 8192 2 int8,turbo4 "${all_off[@]}"
    compare "defaults, long" 8192 2 int8,turbo4
    printf '\npasskey: words hidden in a long text and found again, defaults\n'
    "$program" passkey -m "$trained/$model" "$trained/$model/passkey.json" --force-kv-mode --modes fp16,int8,turbo4 \
        --lengths 1024,4096 2>/dev/null
}

heads() {
    compare "protections off" 2048 8 all "${all_off[@]}"
    draws "protections off" 2048 8 int8,int8+turbo4,fp16+turbo4,fp16+turbo3,turbo4 "${all_off[@]}"
    compare "defaults" 2048 8 all
    draws "defaults" 2048 8 int8,int8+turbo4,fp16+turbo4,fp16+turbo3,turbo4
    compare "recent window alone" 2048 8 int8+turbo4,turbo4 --kv-recent 64 --kv-sink 0 --kv-center off
    compare "recent window of 128" 2048 8 int8+turbo4,turbo4 --kv-recent 128
    compare "own block alone" 2048 8 int8+turbo4,turbo4 --kv-recent 0 --kv-sink 0 --kv-center off
    compare "sinks alone" 2048 8 int8+turbo4,turbo4 --kv-all-coded --kv-recent 0 --kv-sink 16 --kv-center off
    compare "centering alone" 2048 8 int8+turbo4,turbo4 --kv-all-coded --kv-recent 0 --kv-sink 0 --kv-center on
    compare "boundary layers alone" 2048 8 int8+turbo4,turbo4 "${all_off[@]}" --turbo-boundary-v 2
    for rule in norm ls unbiased; do
        compare "scale rule $rule" 2048 8 fp16+turbo4,fp16+turbo3,turbo4 "${all_off[@]}" --kv-scale-rule $rule
    done
    compare "protections off, long" 8192 2 all "${all_off[@]}"
    compare "defaults, long" 8192 2 all
    printf '\npasskey: words hidden in a long text and found again, defaults\n'
    "$program" passkey -m "$trained/$model" "$trained/$model/passkey.json" --force-kv-mode --modes all \
        --lengths 1024,4096 2>/dev/null
}

for model in "$@"; do
    {
        echo "# bench/quality.sh $model: KL in nats against the same model's fp16 cache; a small model, trained for minutes"
        if grep -q kv_lora_rank "$trained/$model/config.json"; then latent; else heads; fi
    } | tee "bench/results/quality-$model.txt"
done
