#!/usr/bin/env bash
# Runs each fuzz target over its corpus for a while, under the address and undefined-behaviour sanitizers, as many at once
# as there are processors.
# usage: scripts/fuzz.sh [SECONDS]      (default 60, for each target)
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "${1:-}" = one ]; then # NAME SECONDS, from xargs below
    name=$2 seconds=$3
    found=build/fuzz/found/$name log=build/fuzz/$name.log
    mkdir -p "$found"
    if ! "build/fuzz/tests/fuzz/$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -verbosity=0 \
        -print_final_stats=1 -artifact_prefix="$found-" "$found" "tests/fuzz/corpus/${name#fuzz_}" >"$log" 2>&1; then
        tail -n 60 "$log"
        echo "fuzz: $name failed; the input is named above"
        exit 255 # xargs starts no other
    fi
    echo "fuzz: $name: $(awk '/number_of_executed_units/ { print $2 }' "$log") inputs in $seconds s, none failed"
    exit
fi

seconds=${1:-60}
mapfile -t targets < <(basename -s .c tests/fuzz/fuzz_*.c)
cmake --preset fuzz >/dev/null
cmake --build build/fuzz --target "${targets[@]}"
printf '%s\n' "${targets[@]}" | xargs -P "$(nproc)" -I '{}' "$0" one '{}' "$seconds"
