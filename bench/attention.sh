#!/usr/bin/env bash
# Attention alone, all modes, head sizes and two groups, at the processor's vector levels (wants an idle machine and
# 3 GB). Writes bench/results/attention-avx512.txt and attention-avx2.txt, as far as the processor has them.
# usage: bench/attention.sh [BUILD_DIR]
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build/release}
mkdir -p bench/results
for level in avx512 avx2; do
    "$build/mlxcel" bench --kernel --cpu $level --head-dim 16 --kv-heads 1 --depth 16 --repeat 1 >/dev/null || continue
    {
        echo "# bench/attention.sh, $(sed -n 's/^model name[^:]*: //p;T;q' /proc/cpuinfo), $(nproc) cpus, $(date +%F)"
        "$build/mlxcel" bench --kernel --cpu $level --head-dim 64,80,96,112,128,256 --group 2,8 --depth 4096,32768
    } | tee bench/results/attention-$level.txt
done
