#!/usr/bin/env bash
# What a plan for each layer gains over a uniform mode of the same bytes, on the trained models. Writes
# bench/results/calibrate.txt; the plans themselves go to build/plans/.
# usage: bench/calibrate.sh [MODEL...]     (folders under ../shared/fixtures/trained)
set -euo pipefail
cd "$(dirname "$0")/.."
program=build/release/mlxcel
trained=../shared/fixtures/trained
[ $# -gt 0 ] || set -- llama qwen3 phi gpt_oss qwen3_moe gemma3_text qwen3_5_text
windows="-w 4 --refine 16 --checks 16"
mkdir -p build/plans bench/results
{
    echo "# bench/calibrate.sh $*: mlxcel calibrate --ctx 1024 $windows --like MODE"
    for model in "$@"; do
        for like in turbo4 int8+turbo4; do
            printf '\n%s, in the bytes of %s\n' "$model" "$like"
            # shellcheck disable=SC2086 # windows are words
            "$program" calibrate -m "$trained/$model" --tokens-file "$trained/val.tokens" --ctx 1024 $windows \
                --like "$like" --no-record --work "build/plans/$model.work" -o "build/plans/$model-$like.json" \
                2>/dev/null | sed '$d'
        done
    done
} >bench/results/calibrate.txt
