#!/usr/bin/env bash
# What a plan for each layer gains over a uniform mode of the same bytes, on the trained models, in steps:
#   plans    makes them (build/plans/) and measures what they lose: bench/results/calibrate.txt. Ten minutes of processor
#            time; does not mind what else runs, and goes on where it was ended
#   speed    decode of plan and mode in turns, on one thread: bench/results/calibrate-speed.txt. Two minutes; wants a
#            quiet machine
#   table    of both files, into docs/evidence.md, with what holds of each: at most 0.7 of the mode's KL (or nine tenths of
#            its bytes at no more), predicted within a factor of 1.5, decode at most 5 % slower than the mode's at both depths
# usage: bench/calibrate.sh [plans|speed|table]     (default: all)
# With CHECK=1 the table is only compared. MODELS (folders under ../shared/fixtures/trained) and THREADS narrow it down.
set -euo pipefail
cd "$(dirname "$0")/.."
program=build/release/mlxcel
trained=../shared/fixtures/trained
steps=${1:-plans speed table}
models=${MODELS:-llama qwen3 phi gpt_oss qwen3_moe gemma3_text qwen3_5_text}
windows="-w 4 --refine 16 --checks 16"
experts="-w 16 --refine 16 --checks 16" # a router's choice that flips makes four windows too few
repeat=61
mkdir -p build/plans bench/results

make_plans() {
    echo "# bench/calibrate.sh plans: mlxcel calibrate --ctx 1024 $windows --like MODE; with experts $experts"
    for model in $models; do
        for like in turbo4 int8+turbo4; do
            section=build/plans/$model-$like
            asked=$windows
            ! grep -qE '"num_(local_)?experts"' "$trained/$model/config.json" || asked=$experts
            # shellcheck disable=SC2086 # windows are words
            [ -f "$section.txt" ] || {
                "$program" calibrate -m "$trained/$model" --tokens-file "$trained/val.tokens" --ctx 1024 $asked --like "$like" \
                    --no-record --work "build/plans/$model.work" -o "$section.json" ${THREADS:+--threads "$THREADS"} \
                    2>/dev/null >"$section.new" && mv "$section.new" "$section.txt"
            }
            printf '\n%s, in the bytes of %s\n' "$model" "$like"
            sed '$d' "$section.txt"
        done
    done
}

time_plans() {
    echo "# bench/calibrate.sh speed: decode of the plans that calibrate.txt shows beside the mode whose bytes they take, tok/s"
    echo "# mlxcel bench --modes MODE,PLAN --fill random --prefill 0 --decode 16 --repeat $repeat --threads 1, medians"
    printf '%-13s %-12s %7s %9s %9s %6s\n' model "in bytes of" depth mode plan ratio
    for model in $models; do
        for like in turbo4 int8+turbo4; do
            "$program" bench -m "$trained/$model" --modes "$like,build/plans/$model-$like.json" --force-kv-mode --fill random \
                --prefill 0 --decode 16 --depth 4096,16384 --repeat "$repeat" --threads 1 --csv |
                awk -F, -v model="$model" -v like="$like" '
                    NR == 1 { for (i = 1; i <= NF; i++) column[$i] = i; next }
                    $column["mode"] == like { mode[$column["depth"]] = $column["decode_tok_s"]; next }
                    {
                        depth = $column["depth"]; plan = $column["decode_tok_s"]
                        printf "%-13s %-12s %7d %9.1f %9.1f %6.3f\n", model, like, depth, mode[depth], plan, plan / mode[depth]
                    }'
        done
    done
}

print_table() {
    echo "| model | in the bytes of | B/token: plan, mode | KL of the plan | of the mode | ratio | predicted over measured | decode over the mode's at 4,096, 16,384 | holds |"
    echo "|---|---|---|---|---|---|---|---|---|"
    awk '
        FNR == 1 { file++ }
        file == 1 && NF == 6 && $3 ~ /^[0-9]+$/ { speed[$1, $2, $3] = $6; next }
        file == 1 { next }
        / in the bytes of / { split($0, words, ", in the bytes of "); model = words[1]; like = words[2] }
        /^plan:/ { plan_bytes = $2; plan_kl = $3 }
        $1 == like { mode_bytes = $2; mode_kl = $3 }
        /^predicted KL/ {
            ratio = plan_kl / mode_kl; factor = $3 / plan_kl
            near = speed[model, like, 4096]; far = speed[model, like, 16384]
            smaller = ratio <= 0.7 || (ratio <= 1 && plan_bytes <= 0.9 * mode_bytes)
            foretold = factor <= 1.5 && factor >= 1 / 1.5
            fast = near != "" && near >= 0.95 && far >= 0.95
            holds = smaller && foretold && fast ? "all" : ""
            if (holds == "") {
                if (smaller) holds = "KL"
                if (foretold) holds = holds (holds == "" ? "" : ", ") "prediction"
                if (fast) holds = holds (holds == "" ? "" : ", ") "speed"
            }
            printf "| %s | `%s` | %d, %d | %.6f | %.6f | %.2f | %.2f | %s | %s |\n", model, like, plan_bytes, mode_bytes,
                plan_kl, mode_kl, ratio, factor, near == "" ? "-" : sprintf("%.2f, %.2f", near, far),
                holds == "" ? "none" : holds
        }' bench/results/calibrate-speed.txt bench/results/calibrate.txt
}

for step in $steps; do
    case $step in
    plans) make_plans >build/plans/calibrate.txt && mv build/plans/calibrate.txt bench/results/calibrate.txt ;;
    speed) time_plans >build/plans/speed.txt && mv build/plans/speed.txt bench/results/calibrate-speed.txt ;;
    table)
        table=$(print_table)
        bench/into-docs.sh evidence.md "bench/calibrate.sh table" <<<"$table"
        ;;
    *) echo "calibrate: no step $step" >&2; exit 2 ;;
    esac
done
