#!/usr/bin/env bash
# What a plan for each layer gains over a uniform mode of the same bytes, on the trained models. Writes
# bench/results/calibrate.txt; the plans themselves go to build/plans/.
# usage: bench/calibrate.sh [MODEL...]     (folders under ../shared/fixtures/trained)
set -euo pipefail
cd "$(dirname "$0")/.."
program=build/release/mlxcel
trained=../shared/fixtures/trained
[ $# -gt 0 ] || set -- llama qwen3 phi gpt_oss qwen3_moe gemma3_text qwen3_5_text
mkdir -p build/plans bench/results
{
    echo "# bench/calibrate.sh $*: mlxcel calibrate --ctx 1024 -w 4 --checks 4 --like MODE"
    for model in "$@"; do
        for like in turbo4 int8+turbo4; do
            printf '\n%s, in the bytes of %s\n' "$model" "$like"
            "$program" calibrate -m "$trained/$model" --tokens-file "$trained/val.tokens" --ctx 1024 -w 4 --checks 4 \
                --like "$like" --no-record -o "build/plans/$model-$like.json" 2>/dev/null | sed '$d'
        done
    done
} >bench/results/calibrate.txt
