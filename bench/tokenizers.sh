#!/usr/bin/env bash
# What opening a tokenizer costs (the whole command on a one-line text, median of 9 runs) and how fast it encodes on one
# core: this repository's documents and sources, and the texts of tests/data in many languages, 50 times over. Writes
# bench/results/tokenizers.txt. The bounds are 400 ms and 3 MB/s. Published tokenizers are looked for in
# .cache/tokenizers/NAME.tokenizer.json.
# usage: bench/tokenizers.sh [BUILD_DIR]
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build/release}
runs=9
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
mkdir -p bench/results
echo 'Hello world, this is a test.' >"$work/line"
cat README.md docs/*.md src/*/*.[ch] >"$work/sources"
LC_ALL=C.UTF-8 printf '%b' "$(cat tests/data/tokenizers/texts.json)" >"$work/once" # \u00e9 becomes é
for _ in {1..50}; do cat "$work/once"; done >"$work/languages"

{
    echo "# bench/tokenizers.sh: open = mlxcel tokenize of one line, median of $runs runs; encode in processor time"
    echo "# this repository's documents and sources ($(stat -c %s "$work/sources") bytes), then many languages" \
        "($(stat -c %s "$work/languages") bytes)"
    echo "# $(sed -n 's/^model name[^:]*: //p;T;q' /proc/cpuinfo), $(nproc) cpus, $(date +%F), $("$build/mlxcel" --version)"
    for tokenizer in .cache/tokenizers/*.tokenizer.json tests/data/tokenizers/*.tokenizer.json; do
        [ -f "$tokenizer" ] || continue
        name=$(basename "$tokenizer" .tokenizer.json)
        printf '%-12s %5.1f MB  open    ' "$name" "$(stat -c %s "$tokenizer")e-6"
        "$build/bench/bench_advice" $runs "$build/mlxcel" tokenize --tokenizer "$tokenizer" -f "$work/line" --ids
        printf '%-12s           encode' "$name"
        "$build/bench/bench_tokenizer" $runs "$tokenizer" "$work/sources" "$work/languages"
    done
} | tee bench/results/tokenizers.txt
