#!/usr/bin/env bash
# Models with recurrent layers at published shapes, random weights at 4 bits: decode at depths 0 and 16384 with fp16 and
# turbo4, the floor beside it (weights, cache and states are read); prefill of 2048 tokens beside a model that has full
# attention in place of each recurrent layer. Writes bench/results/hybrids.txt. Models are removed when all is measured
# (KEEP=1: they stay in build/models).
# usage: bench/hybrids.sh
#        REPEAT and ROUNDS change how often is measured, RUNNER what starts each measurement (RUNNER="taskset -c 0,1")
set -euo pipefail
cd "$(dirname "$0")/.."
build=build/release
models=build/models
shapes=(qwen3.5-4b lfm2-1.2b)
mkdir -p bench/results "$models"

make_model() { # NAME SHAPE
    [ -d "$models/$1-q4" ] || "$build/tools/make-checkpoint" "$2" -o "$models/$1-q4" --bits 4 --group-size 64 >&2
}
for shape in "${shapes[@]}"; do make_model "$shape" "$shape"; done
# The same hidden size, layers and feed-forwards; attention in all layers.
sed -e 's/"full_attention_interval": 4/"full_attention_interval": 1/' -e '/"quantization/d' -e 's/,$//' \
    "$models/qwen3.5-4b-q4/config.json" > "$models/qwen3.5-4b-attention.json"
make_model qwen3.5-4b-attention "$models/qwen3.5-4b-attention.json"

mlxcel() {
    ${RUNNER:-} "$build/mlxcel" "$@" 2>/dev/null
}

# tokens/s of one prefill.
prefill_once() { # NAME
    mlxcel bench -m "$models/$1-q4" --modes fp16 --depth 0 --prefill 2048 --decode 0 --repeat 1 --csv |
        awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "prefill_tok_s") at = i; next } { print $at }'
}

parameters() { # NAME
    mlxcel inspect "$models/$1-q4" --json | sed -n 's/^ *"total":[^0-9]*\([0-9]*\).*$/\1/p' | head -1
}

# Both models in turns; the ratio of a round is that of neighbours in time.
prefill() {
    local round a b
    echo "prefill of 2048 tokens, fp16; ratio: the time of the first over that of the second"
    echo "parameters: $(parameters qwen3.5-4b) and $(parameters qwen3.5-4b-attention)"
    printf '%-8s %12s %22s %7s\n' round 'qwen3.5-4b' 'attention everywhere' ratio
    for ((round = 1; round <= ${ROUNDS:-5}; round++)); do
        a=$(prefill_once qwen3.5-4b)
        b=$(prefill_once qwen3.5-4b-attention)
        awk -v r="$round" -v a="$a" -v b="$b" 'BEGIN { printf "%-8d %12.1f %22.1f %7.2f\n", r, a, b, b / a }'
    done | tee "$models/rounds"
    sort -n -k 4 "$models/rounds" | awk '{ ratio[NR] = $4 }
        END { m = NR % 2 ? ratio[(NR + 1) / 2] : (ratio[NR / 2] + ratio[NR / 2 + 1]) / 2; printf "median ratio %.2f\n", m }'
    rm "$models/rounds"
}

{
    echo "# bench/hybrids.sh"
    echo "# $(sed -n 's/^model name[^:]*: //p;T;q' /proc/cpuinfo), $(nproc) cpus, $(date +%F), $("$build/mlxcel" --version)"
    for shape in "${shapes[@]}"; do
        echo
        echo "## $shape: $(du -sh --apparent-size "$models/$shape-q4" | cut -f1)"
        mlxcel bench -m "$models/$shape-q4" --modes fp16,turbo4 --force-kv-mode --depth 0,16384 --fill random \
            --prefill 0 --decode 8 --repeat "${REPEAT:-15}"
    done
    echo
    prefill
} | tee bench/results/hybrids.txt
if [ "${KEEP:-0}" != 1 ]; then
    cd "$models"
    rm -r qwen3.5-4b-attention* "${shapes[@]/%/-q4}"
fi
