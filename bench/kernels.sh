#!/usr/bin/env bash
# The dense kernels on one thread (processor time) and on all (wall time; wants an idle machine). Writes
# bench/results/kernels-1-thread.txt and kernels-all-threads.txt.
# usage: bench/kernels.sh [BUILD_DIR]
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build/release}
mkdir -p bench/results
for run in "1-thread -t 1" "all-threads"; do
    read -r name flags <<<"$run"
    {
        echo "# bench/kernels.sh, $(sed -n 's/^model name[^:]*: //p;T;q' /proc/cpuinfo), $(nproc) cpus, $(date +%F)"
        # shellcheck disable=SC2086 # flags are words
        "$build/bench/bench_kernels" $flags
    } | tee "bench/results/kernels-$name.txt"
done
