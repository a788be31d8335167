#!/usr/bin/env bash
# Which width the bundled model takes: perplexity of the trained original and of 8, 6 and 4 bits, on held-out text.
# Writes bench/results/bundled-model.txt. Needs the original.
# usage: bench/bundled-model.sh [PROGRAM] [ORIGINAL_DIR] [TOKENS_FILE]
set -euo pipefail
cd "$(dirname "$0")/.."
program=${1:-build/release/mlxcel}
original=${2:-../shared/fixtures/trained/llama}
tokens=${3:-../shared/fixtures/trained/val.tokens}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

measure() { # NAME DIR
    "$program" perplexity -m "$2" --tokens-file "$tokens" --ctx 2048 --windows 8 --json |
        awk -v name="$1" -v bytes="$(stat -c %s "$2/model.safetensors")" -F'[:,]' '
            /"mean_nll"/ { nll = $2 }
            /"perplexity"/ { ppl = $2 }
            END { printf "%-9s %10d %10.5f %12.4f\n", name, bytes, nll, ppl }'
}

{
    echo "# bench/bundled-model.sh: the trained llama of 7.3 M parameters, 8 windows of 2048 tokens, $("$program" --version)"
    printf '%-9s %10s %10s %12s\n' weights bytes "mean nll" perplexity
    measure bfloat16 "$original"
    for bits in 8 6 4; do
        "$program" quantize -m "$original" -o "$work/q$bits" --bits $bits --group-size 64 >/dev/null
        measure "$bits bits" "$work/q$bits"
    done
} | awk '{ print } $1 == "bfloat16" { base = $NF } / bits / { printf "          perplexity %+.2f %%\n", 100 * ($NF / base - 1) }' |
    tee bench/results/bundled-model.txt
