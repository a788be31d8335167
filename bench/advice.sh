#!/usr/bin/env bash
# What advice costs: median of 20 runs of the whole command, the bandwidth figure kept from an earlier run. Writes
# bench/results/advice.txt. The bounds are 50 ms and 15 MB.
# usage: bench/advice.sh [BUILD_DIR]
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build/release}
runs=20
out=bench/results/advice.txt
mkdir -p bench/results

models=()
for config in examples/*/config.json tests/cli/configs/*.json; do
    [ -f "$config" ] && models+=("$config")
done
"$build/mlxcel" recommend "${models[0]}" >/dev/null # the bandwidth is measured now, if it never was

{
    echo "# bench/advice.sh: the whole command, median of $runs runs, release build, bandwidth figure kept"
    echo "# $(sed -n 's/^model name[^:]*: //p;T;q' /proc/cpuinfo), $(nproc) cpus, $(date +%F), $("$build/mlxcel" --version)"
    for model in "${models[@]}"; do
        for command in recommend inspect; do
            printf '%-9s %-40s ' "$command" "$model"
            "$build/bench/bench_advice" $runs "$build/mlxcel" "$command" "$model" --ctx 32k
        done
    done
    printf '%-9s %-40s ' recommend "all of them, side by side"
    "$build/bench/bench_advice" $runs "$build/mlxcel" recommend "${models[@]}"
} | tee $out
