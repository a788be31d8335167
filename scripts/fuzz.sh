#!/usr/bin/env bash
# Runs each fuzz target over its corpus for a while, under the address and undefined-behaviour sanitizers.
# usage: scripts/fuzz.sh [SECONDS]      (default 60, for each target)
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}
cmake --preset fuzz >/dev/null
cmake --build build/fuzz
for source in tests/fuzz/fuzz_*.c; do
    name=$(basename "$source" .c)
    found=build/fuzz/found/$name log=build/fuzz/$name.log
    mkdir -p "$found"
    if ! "build/fuzz/tests/fuzz/$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -verbosity=0 \
        -print_final_stats=1 -artifact_prefix="$found-" "$found" "tests/fuzz/corpus/${name#fuzz_}" >"$log" 2>&1; then
        tail -n 60 "$log"
        echo "fuzz: $name failed; the input is named above"
        exit 1
    fi
    echo "fuzz: $name: $(awk '/number_of_executed_units/ { print $2 }' "$log") inputs in $seconds s, none failed"
done
