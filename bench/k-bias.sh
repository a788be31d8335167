#!/usr/bin/env bash
# What centering K does on a Qwen2-type model whose K bias is 20 times as long as its keys: 4-bit keys, recent window off.
# fp16+turbo4 shows what V alone costs. Writes bench/results/k-bias.txt. Needs the trained llama and Python 3.
# usage: bench/k-bias.sh [PROGRAM] [LLAMA_DIR] [TOKENS_FILE]
set -euo pipefail
cd "$(dirname "$0")/.."
program=${1:-build/release/mlxcel}
llama=${2:-../shared/fixtures/trained/llama}
tokens=${3:-../shared/fixtures/trained/val.tokens}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# measure MODEL WHERE: its perplexity in fp16, then the modes without centering and with it
measure() {
    printf '\n%s: fp16 ' "$2"
    "$program" perplexity -m "$1" --tokens-file "$tokens" --ctx 2048 --windows 4 2>/dev/null | grep '^perplexity'
    for center in off auto; do
        printf '%s: --kv-center %s --kv-recent 0 --kv-sink 0\n' "$2" "$center"
        "$program" perplexity -m "$1" --tokens-file "$tokens" --ctx 2048 --windows 4 --force-kv-mode \
            --compare int8,int8+turbo4,fp16+turbo4,turbo4 --kv-recent 0 --kv-sink 0 --kv-center "$center" 2>/dev/null
    done
}

{
    echo "# bench/k-bias.sh: the trained llama as qwen2, K bias 20 times the typical key; 4 windows of 2048 tokens"
    measure "$llama" "no bias"
    for where in slow fast all; do
        tools/add-k-bias.py "$llama" "$work/$where" 20 "$where"
        measure "$work/$where" "bias in $where coordinates"
    done
} | tee bench/results/k-bias.txt
