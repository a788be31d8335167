#!/usr/bin/env bash
# What each cache mode changes on the trained models: divergence from the fp16 cache, perplexity, first choice; with all
# protections off, with the defaults, and each protection alone. Writes bench/results/quality-MODEL.txt.
# usage: bench/quality.sh [MODEL...]     (folders under ../shared/fixtures/trained; default: llama qwen3 phi)
set -euo pipefail
cd "$(dirname "$0")/.."
program=build/release/mlxcel
trained=../shared/fixtures/trained
[ $# -gt 0 ] || set -- llama qwen3 phi
mkdir -p bench/results

compare() { # TITLE CTX WINDOWS MODES FLAGS...
    local title=$1 ctx=$2 windows=$3 modes=$4
    shift 4
    printf '\n%s (%s windows of %s tokens)\n' "$title" "$windows" "$ctx"
    "$program" perplexity -m "$trained/$model" --tokens-file "$trained/val.tokens" --ctx "$ctx" --windows "$windows" \
        --compare "$modes" --force-kv-mode "$@" 2>/dev/null
}

for model in "$@"; do
    {
        echo "# bench/quality.sh $model: KL in nats against the same model's fp16 cache; a small model, trained for minutes"
        compare "protections off: --kv-recent 0 --kv-sink 0 --kv-center off" 2048 8 all \
            --kv-recent 0 --kv-sink 0 --kv-center off
        compare "defaults" 2048 8 all
        compare "hot window alone: --kv-recent 64 --kv-sink 0 --kv-center off" 2048 8 int8+turbo4,turbo4 \
            --kv-recent 64 --kv-sink 0 --kv-center off
        compare "hot window of 128: --kv-recent 128" 2048 8 int8+turbo4,turbo4 --kv-recent 128
        compare "sinks alone: --kv-recent 0 --kv-sink 16 --kv-center off" 2048 8 int8+turbo4,turbo4 \
            --kv-recent 0 --kv-sink 16 --kv-center off
        compare "centering alone: --kv-recent 0 --kv-sink 0 --kv-center on" 2048 8 int8+turbo4,turbo4 \
            --kv-recent 0 --kv-sink 0 --kv-center on
        compare "boundary layers alone: --kv-recent 0 --kv-sink 0 --turbo-boundary-v 2" 2048 8 int8+turbo4,turbo4 \
            --kv-recent 0 --kv-sink 0 --kv-center off --turbo-boundary-v 2
        for rule in norm ls unbiased; do
            compare "scale rule $rule: --kv-recent 0 --kv-sink 0 --kv-center off --kv-scale-rule $rule" 2048 8 \
                fp16+turbo4,fp16+turbo3,turbo4 --kv-recent 0 --kv-sink 0 --kv-center off --kv-scale-rule $rule
        done
        compare "protections off, long" 8192 2 all --kv-recent 0 --kv-sink 0 --kv-center off
        compare "defaults, long" 8192 2 all
    } | tee "bench/results/quality-$model.txt"
done
