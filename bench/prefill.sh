#!/usr/bin/env bash
# Prefill of 512 tokens and decode at depth 0 of the qwen3-0.6b shape with 4-bit weights and an fp16 cache.
# Writes bench/results/prefill.txt.
set -euo pipefail
cd "$(dirname "$0")/.."
build=build/release
model=build/models/qwen3-0.6b-q4
mkdir -p bench/results build/models
[ -d "$model" ] || "$build/tools/make-checkpoint" qwen3-0.6b -o "$model" --bits 4 --group-size 64
flags=(bench -m "$model" --prefill 512 --decode 32 --depth "0,4096" --fill random --repeat 5)
{
    echo "# bench/prefill.sh: mlxcel ${flags[*]}"
    echo "# $(sed -n 's/^model name[^:]*: //p;T;q' /proc/cpuinfo), $(nproc) cpus, $(date +%F), $("$build/mlxcel" --version)"
    "$build/mlxcel" "${flags[@]}"
} | tee bench/results/prefill.txt
