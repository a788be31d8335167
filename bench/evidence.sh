#!/usr/bin/env bash
# Rewrites evidence/: each model of ../shared/fixtures/trained that the engine runs, at bf16 and, where MLX has its kind, at 4
# bits, at 4,096, 16,384 and 32,768 tokens (what they were trained at), in three steps, each of which goes on where it was
# ended:
#   quality  fp16's predictions and each mode's on 16,384 tokens of text (one window of 32,768), and, up to 16,384, five
#            hidden keys at five depths. An hour of processor time; does not mind what else runs
#   speed    decode, modes in turns, 21 repetitions on one thread, and memory. Two minutes; wants a quiet machine
#   files    evidence/MODEL.json from the store
# usage: bench/evidence.sh [quality|speed|files]     (default: all three)
# STORE (build/evidence.db), MODELS (folders' names), CONTEXTS and THREADS narrow it down.
set -euo pipefail
cd "$(dirname "$0")/.."
program=build/release/mlxcel
trained=../shared/fixtures/trained
quantized=build/evidence-models
store=${STORE:-build/evidence.db}
contexts=${CONTEXTS:-4096 16384 32768}
steps=${1:-quality speed files}
[ -d "$trained" ] || { echo "evidence: no $trained beside this checkout" >&2; exit 1; }
mkdir -p evidence "$quantized"

models=()
for model in "$trained"/*/; do
    name=$(basename "$model")
    [ -d "$quantized/$name-4bit" ] || nice -n 10 "$program" quantize -m "$trained/$name" -o "$quantized/$name-4bit" || true
    for folder in "$trained/$name" "$quantized/$name-4bit"; do
        [ -d "$folder" ] || continue
        case " ${MODELS:-$(basename "$folder")} " in *" $(basename "$folder") "*) models+=("$folder") ;; esac
    done
done

for step in $steps; do
    for context in $contexts; do
        for model in "${models[@]}"; do
            case $step in
            quality)
                nice -n 10 "$program" sweep -m "$model" -f "$trained/val.txt" --ctx "$context" --batch 0 --store "$store" \
                    --windows $((context < 16384 ? 16384 / context : 1)) --greedy 64 --retrieval $((context <= 16384)) \
                    ${THREADS:+--threads "$THREADS"} ;;
            speed) "$program" sweep -m "$model" --ctx "$context" --repeat 21 --threads 1 --store "$store" ;;
            esac
        done
    done
    [ "$step" != files ] || for model in "${models[@]}"; do
        "$program" report --store "$store" -m "$(basename "$model")" --format json -o "evidence/$(basename "$model").json"
    done
done
