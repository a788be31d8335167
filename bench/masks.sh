#!/usr/bin/env bash
# What holding a reply to a form costs, for a vocabulary of Qwen3's size drawn at random and for the bundled model's. Writes
# bench/results/masks.txt: milliseconds of processor time.
# usage: bench/masks.sh [BUILD_DIR]
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build/release}
mkdir -p bench/results
{
    echo "# bench/masks.sh: ms of processor time; masks: the first, and the median of the next 101"
    echo "# $(sed -n 's/^model name[^:]*: //p;T;q' /proc/cpuinfo), $(nproc) cpus, $(date +%F), $("$build/mlxcel" --version)"
    "$build/bench/bench_masks" 101
    "$build/bench/bench_masks" 101 models/demo-llama-7m
} | tee bench/results/masks.txt
