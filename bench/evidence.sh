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
#   table    figures by mode, by context and by shape, from the files into docs/evidence.md, as `files` does at its end; with
#            CHECK=1 they are only compared
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

# What the tables begin with: value, error and repeats of MODEL, PLAN, CONTEXT, MEASURE, and the models in order, from
# `report --format csv`.
read_figures='
    function note(   key) {
        if (!($column["model_name"] in seen)) { seen[$column["model_name"]]; models[++count] = $column["model_name"] }
        key = $column["model_name"] SUBSEP $column["plan"] SUBSEP $column["context"] SUBSEP $column["measure"]
        value[key] = $column["value"]; error[key] = $column["error"]; repeats[key] = $column["repeats"]
    }
    function order(   i, j, t) {
        for (i = 2; i <= count; i++)
            for (j = i; j > 1 && models[j] < models[j - 1]; j--) { t = models[j]; models[j] = models[j - 1]; models[j - 1] = t }
    }
    function figure(model, plan, context, measure, format,   key) {
        key = model SUBSEP plan SUBSEP context SUBSEP measure
        return key in value ? sprintf(format, value[key], error[key]) : "-"
    }
    function three(model, plan, measure, format) {
        return figure(model, plan, 4096, measure, format) " / " figure(model, plan, 16384, measure, format) " / " \
            figure(model, plan, 32768, measure, format)
    }
    function share(model, plan, context, measure,   key) {
        key = model SUBSEP plan SUBSEP context SUBSEP measure
        return key in value ? sprintf("%d of %d", value[key] * repeats[key] + 0.5, repeats[key]) : "-"
    }
    /^model_fingerprint,/ { for (i = 1; i <= NF; i++) column[$i] = i; csv = 1; next }
    csv && $column["batch"] == 1 { note() }
    END { order() }'

print_modes() { # each mode at 4,096 tokens, on the models' own weights
    echo "| model | mode | B/token | KL mean | top-1 % | perplexity % | greedy same | keys | decode, of fp16 | grade |"
    echo "|---|---|---|---|---|---|---|---|---|---|"
    { "$program" report --format markdown --ctx 4096 evidence/*.json && "$program" report --format csv evidence/*.json; } |
        awk -F, "$read_figures"'
        /^## .* on / { gsub(/\\/, ""); split($0, words, " "); model = words[2] } # as markdown escapes it
        /^\| .* \|$/ { cells = split($0, cell, / *\| */); split(cell[2], mode, ","); if (cells == 13) grade[model, mode[1]] = cell[12] }
        END {
            plans = split("int8 int8+turbo4 fp16+turbo4 fp16+turbo3 turbo4 turbo4-delegated", plan, " ")
            for (i = 1; i <= count; i++) for (p = 1; p <= plans; p++) {
                m = models[i]; key = m SUBSEP plan[p] SUBSEP 4096
                if (m ~ /-4bit$/ || !((key SUBSEP "kl_mean") in value)) continue
                printf "| %s | %s | %d | %.5f | %.2f | %+.2f | %s | %s | %s | %s |\n", m, plan[p], value[key, "bytes_per_token"],
                    value[key, "kl_mean"], 100 * value[key, "top1"], 100 * value[key, "perplexity_change"],
                    share(m, plan[p], 4096, "greedy_same"), share(m, plan[p], 4096, "retrieval"),
                    figure(m, plan[p], 4096, "decode_ratio", "%.2f"), grade[m, plan[p]]
            }
        }'
}

print_contexts() { # of 4,096, 16,384 and 32,768 tokens
    echo "| model | \`int8+turbo4\`: KL | \`turbo4\`: KL | \`int8+turbo4\`: decode, of fp16 | \`turbo4\`: decode, of fp16 | keys found by \`turbo4\`, by fp16 |"
    echo "|---|---|---|---|---|---|"
    "$program" report --format csv evidence/*.json | awk -F, "$read_figures"'
        function keys(model, context,   found, whole) {
            found = share(model, "turbo4", context, "retrieval"); whole = share(model, "turbo4", context, "retrieval_fp16")
            sub(/ of .*/, "", found)
            return found == "-" ? "-" : found ", " whole
        }
        END {
            for (i = 1; i <= count; i++)
                printf "| %s | %s | %s | %s | %s | %s / %s / %s |\n", models[i], three(models[i], "int8+turbo4", "kl_mean", "%.5f"),
                    three(models[i], "turbo4", "kl_mean", "%.5f"), three(models[i], "int8+turbo4", "decode_ratio", "%.2f"),
                    three(models[i], "turbo4", "decode_ratio", "%.2f"), keys(models[i], 4096), keys(models[i], 16384), keys(models[i], 32768)
        }'
}

print_shapes() { # decode speed over fp16's, and its error
    echo "| shape | \`int8\` | \`int8+turbo4\` | \`turbo4\` |"
    echo "|---|---|---|---|"
    "$program" report --format csv evidence/speed/*.json | awk -F, "$read_figures"'
        END {
            for (i = 1; i <= count; i++) {
                name = models[i]; sub(/-q4$/, "", name)
                printf "| %s | %s | %s | %s |\n", name, three(models[i], "int8", "decode_ratio", "%.2f ± %.2f"),
                    three(models[i], "int8+turbo4", "decode_ratio", "%.2f ± %.2f"), three(models[i], "turbo4", "decode_ratio", "%.2f ± %.2f")
            }
        }'
}

write_tables() {
    local of table
    for of in modes contexts shapes; do
        table=$(print_$of)
        bench/into-docs.sh evidence.md "bench/evidence.sh table: $of" <<<"$table"
    done
}

if [ "$steps" = table ]; then # which needs the files alone
    write_tables
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
    write_tables
done
