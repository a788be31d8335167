#!/usr/bin/env bash
# What taking a K bias off costs in attention: none, in four pairs of coordinates of each head, in all of them. At the processor's
# vector levels. Writes bench/results/k-bias-cost.txt (compare the best times where the machine is not idle).
# usage: bench/k-bias-cost.sh [BUILD_DIR]
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build/release}
{
    echo "# bench/k-bias-cost.sh, $(sed -n 's/^model name[^:]*: //p;T;q' /proc/cpuinfo), $(nproc) cpus, $(date +%F)"
    for level in avx512 avx2; do
        for pairs in 0 4 512; do
            printf '\nK bias in %s pairs of each head: ' "$pairs"
            "$build/mlxcel" bench --kernel --cpu $level --head-dim 64,128 --kv-heads 2 --group 6 --depth 16384 \
                --modes int8,turbo4 --threads 1 --repeat 25 --k-bias "$pairs" || true
        done
    done
} | tee bench/results/k-bias-cost.txt
