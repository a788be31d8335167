#!/usr/bin/env bash
# Rewrites evidence/: quality, speed, bytes and memory of every mode on each trained model that the engine runs. Kept in a
# store, so that it goes on where it was ended. On an otherwise idle machine; takes the better part of an hour.
# usage: bench/evidence.sh [MODEL...]     (folders under ../shared/fixtures/trained; default: all)
set -euo pipefail
cd "$(dirname "$0")/.."
program=build/release/mlxcel
trained=../shared/fixtures/trained
store=${STORE:-build/evidence.db}
[ -d "$trained" ] || { echo "evidence: no $trained beside this checkout" >&2; exit 1; }
[ $# -gt 0 ] || set -- "$trained"/*/
mkdir -p evidence
for model in "$@"; do
    model=$(basename "$model")
    if ! "$program" perplexity -m "$trained/$model" --tokens-file "$trained/val.tokens" --ctx 16 -w 1 >/dev/null 2>&1; then
        echo "evidence: the engine does not run $model: left out"
        continue
    fi
    for ctx in 4096 16384 32768; do
        "$program" sweep -m "$trained/$model" -f "$trained/val.txt" --ctx "$ctx" --store "$store"
    done
    "$program" report --store "$store" -m "$model" --format json -o "evidence/$model.json"
done
