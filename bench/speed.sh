#!/usr/bin/env bash
# Decode and prefill speed of every cache mode at real model sizes, beside the floor, with random weights (speed does not
# depend on their values). Writes bench/results/speed-PRESET[-LEVEL].txt.
# usage: bench/speed.sh [PRESET[:LEVEL]...]
#        (default: qwen3-0.6b llama-3.2-1b phi-1b, and qwen3-0.6b:avx2)
set -euo pipefail
cd "$(dirname "$0")/.."
build=build/release
[ $# -gt 0 ] || set -- qwen3-0.6b llama-3.2-1b phi-1b qwen3-0.6b:avx2
mkdir -p bench/results build/models

for which in "$@"; do
    preset=${which%%:*}
    level=auto
    name=speed-$preset
    if [ "$which" != "$preset" ]; then
        level=${which#*:}
        name=$name-$level
    fi
    model=build/models/$preset-q4
    [ -d "$model" ] || "$build/tools/make-checkpoint" "$preset" -o "$model" --bits 4 --group-size 64
    flags=(bench -m "$model" --cpu "$level" --depth "0,4096,16384,32768" --fill random --modes all --force-kv-mode
        --prefill 0 --decode 4 --repeat 25)
    {
        echo "# bench/speed.sh $which: mlxcel ${flags[*]}"
        echo "# $(sed -n 's/^model name[^:]*: //p;T;q' /proc/cpuinfo), $(nproc) cpus, $(date +%F), $("$build/mlxcel" --version)"
        "$build/mlxcel" "${flags[@]}"
    } | tee "bench/results/$name.txt"
done
