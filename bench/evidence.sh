#!/usr/bin/env bash
# Rewrites evidence/: each model of ../shared/fixtures/trained that the engine runs, at bf16 and, where MLX has its kind, at 4
# bits, at 4,096, 16,384 and 32,768 tokens (what they were trained at), in steps, each of which goes on where it was
# ended:
#   quality  fp16's predictions and each mode's on 16,384 tokens of text (one window of 32,768), and, up to 16,384, five
#            hidden keys at five depths. An hour of processor time; does not mind what else runs
#   speed    decode, modes in turns, 21 repetitions on one thread, and memory. Two minutes; wants a quiet machine
#   shapes   the same at the shapes of published models, with random weights of 4 bits, on all cores: speed alone, which
#            does not depend on the weights' values. Five minutes and 2 GB of disk; wants a quiet machine. SHAPES names more
#   files    evidence/MODEL.json, and evidence/speed/SHAPE.json, from the store and from what they say already: a part that
#            was measured anew replaces that part, and what the store does not have stays
#   table    figures by context, from the files into docs/evidence.md, as `files` does at its end; with CHECK=1 it is only
#            compared
# usage: bench/evidence.sh [quality|speed|shapes|files|table]     (default: quality, speed and files)
# STORE (build/evidence.db), MODELS (folders' names), CONTEXTS and THREADS narrow it down.
set -euo pipefail
cd "$(dirname "$0")/.."
program=${PROGRAM:-build/release/mlxcel}
trained=../shared/fixtures/trained
quantized=build/evidence-models
store=${STORE:-build/evidence.db}
contexts=${CONTEXTS:-4096 16384 32768}
steps=${1:-quality speed files}
shapes=${SHAPES:-qwen3-0.6b llama-3.2-1b lfm2-1.2b gemma-2-2b}
print_contexts() { # of 4,096, 16,384 and 32,768 tokens, from the files
    echo "| model | \`int8+turbo4\`: KL | \`turbo4\`: KL | \`int8+turbo4\`: decode, of fp16 | \`turbo4\`: decode, of fp16 | keys found by \`turbo4\`, by fp16 |"
    echo "|---|---|---|---|---|---|"
    "$program" report --format csv evidence/*.json | awk -F, '
        NR == 1 { for (i = 1; i <= NF; i++) column[$i] = i; next }
        $column["batch"] != 1 { next }
        {
            model = $column["model_name"]; key = model SUBSEP $column["plan"] SUBSEP $column["context"] SUBSEP $column["measure"]
            if (!(model in seen)) { seen[model]; models[++count] = model }
            value[key] = $column["value"]; repeats[key] = $column["repeats"]
        }
        function figure(model, plan, context, measure, format,   key) {
            key = model SUBSEP plan SUBSEP context SUBSEP measure
            return key in value ? sprintf(format, value[key]) : "-"
        }
        function three(model, plan, measure, format) {
            return figure(model, plan, 4096, measure, format) " / " figure(model, plan, 16384, measure, format) " / " \
                figure(model, plan, 32768, measure, format)
        }
        function keys(model, context,   key, share) {
            key = model SUBSEP "turbo4" SUBSEP context SUBSEP "retrieval"
            if (!(key in value)) return "-"
            share = value[model, "turbo4", context, "retrieval_fp16"]
            return sprintf("%d, %d of %d", value[key] * repeats[key] + 0.5, share * repeats[key] + 0.5, repeats[key])
        }
        END {
            for (i = 2; i <= count; i++)
                for (j = i; j > 1 && models[j] < models[j - 1]; j--) { t = models[j]; models[j] = models[j - 1]; models[j - 1] = t }
            for (i = 1; i <= count; i++)
                printf "| %s | %s | %s | %s | %s | %s / %s / %s |\n", models[i], three(models[i], "int8+turbo4", "kl_mean", "%.5f"),
                    three(models[i], "turbo4", "kl_mean", "%.5f"), three(models[i], "int8+turbo4", "decode_ratio", "%.2f"),
                    three(models[i], "turbo4", "decode_ratio", "%.2f"), keys(models[i], 4096), keys(models[i], 16384), keys(models[i], 32768)
        }'
}

write_table() {
    local table
    table=$(print_contexts)
    bench/into-docs.sh evidence.md "bench/evidence.sh table" <<<"$table"
}

if [ "$steps" = table ]; then # which needs the files alone
    write_table
    exit
fi
[ -d "$trained" ] || { echo "evidence: no $trained beside this checkout" >&2; exit 1; }
mkdir -p evidence/speed "$quantized" build/models

models=()
for model in "$trained"/*/; do
    name=$(basename "$model")
    [ -d "$quantized/$name-4bit" ] || "$program" quantize -m "$trained/$name" -o "$quantized/$name-4bit" >/dev/null 2>&1 ||
        echo "evidence: $name is not measured at 4 bits: mlxcel quantize does not write its kind"
    for folder in "$trained/$name" "$quantized/$name-4bit"; do
        [ -d "$folder" ] || continue
        case " ${MODELS:-$(basename "$folder")} " in *" $(basename "$folder") "*) models+=("$folder") ;; esac
    done
done

write_file() { # MODEL FILE, unless the store has nothing of it
    [ -f "$store" ] || return 0
    [ -n "$("$program" report --store "$store" -m "$1" --format csv 2>/dev/null | sed -n 2p)" ] || return 0
    old=()
    [ ! -f "$2" ] || old=("$2")
    "$program" report --store "$store" "${old[@]}" -m "$1" --format json -o "$2"
}

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
        [ "$step" != shapes ] || for shape in $shapes; do
            model=build/models/$shape-q4
            [ -d "$model" ] || build/release/tools/make-checkpoint "$shape" -o "$model" --bits 4 --group-size 64
            "$program" sweep -m "$model" --ctx "$context" --decode 4 --repeat 21 --store "$store"
        done
    done
    [ "$step" = files ] || continue
    for shape in $shapes; do write_file "$shape-q4" "evidence/speed/$shape.json"; done
    for model in "${models[@]}"; do write_file "$(basename "$model")" "evidence/$(basename "$model").json"; done
    write_table
done
