#!/usr/bin/env bash
# Runs each fuzz target over its corpus for a while, under the address and undefined-behaviour sanitizers.
# usage: scripts/fuzz.sh [SECONDS]      (default 60, for each target)
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}
cmake --preset fuzz >/dev/null
cmake --build build/fuzz
for target in build/fuzz/tests/fuzz/fuzz_*; do
    [ -f "$target" ] && [ -x "$target" ] || continue
    name=$(basename "$target")
    mkdir -p "build/fuzz/found/$name"
    echo "fuzz: $name for $seconds s"
    "$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -artifact_prefix="build/fuzz/found/$name-" \
        -verbosity=0 -print_final_stats=1 "build/fuzz/found/$name" "tests/fuzz/corpus/${name#fuzz_}" 2>&1 |
        grep -vE '^(INFO|stat::(new|slowest|peak|average))' || true
    [ "${PIPESTATUS[0]}" -eq 0 ] || { echo "fuzz: $name failed; the input is in build/fuzz/found/"; exit 1; }
done
