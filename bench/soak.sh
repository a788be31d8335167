#!/usr/bin/env bash
# A soak of `mlxcel serve` with the bundled model: 16 clients with a beginning in common, prompts of any length, a third of
# the answers given up at a random token. At the end nothing runs or waits, no request has failed, every one was counted,
# and resident memory is what it was when the caches were full; else it fails.
# usage: bench/soak.sh [SECONDS [BUILD_DIR [OUT]]]      (default: 600 build/release; build/asan finds more)
# OUT: a file that what it prints is written to, below a line that says when and where.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-600} build=${2:-build/release} out=${3:-/dev/null}
export ASAN_OPTIONS=${ASAN_OPTIONS:-quarantine_size_mb=4:malloc_context_size=4} # what is freed is not to be kept
# shellcheck source=bench/serving.sh
. bench/serving.sh

soak() { load --clients 16 --common 256 --own 256 --make 64 --soak "$1"; }
idle() {
    for ((i = 0; i < 300; i++)); do
        [ "$(metric sequences_running)$(metric queue)" = 00 ] && return
        sleep 0.1
    done
    echo "after 30 s without clients $(metric sequences_running) run and $(metric queue) wait" >&2
    exit 1
}

start --parallel 8 --queue 16 --ctx 2048 --memory 48MB
budget=$(metric 'cache_budget_bytes{mode="fp16"}')
# Until beginnings have filled the budget once, and the allocators have all that such a load takes (a sanitizer's keeps
# what was freed for a while): in three rounds of ten seconds not a hundredth more than before them.
most=0 still=0
for ((round = 0; round < 30 && still < 3; round++)); do
    soak 10 >/dev/null
    resident=$(metric resident_bytes)
    still=$((still + 1))
    ((resident <= most + most / 100)) || most=$resident still=0
    (($(metric 'cache_peak_bytes{mode="fp16"}') > budget * 9 / 10)) || still=0
done
idle
before=$(metric resident_bytes)
said=$(soak "$seconds")
idle
after=$(metric resident_bytes)
found="$said
resident before $before after $after; cache $(metric 'cache_bytes{mode="fp16"}') of $budget; parked $(metric parkings_total), \
cancelled $(metric cancelled_total), failed $(metric failed_total)"
echo "$found"
{
    echo "# bench/soak.sh $seconds $build"
    echo "# $(sed -n 's/^model name[^:]*: //p;T;q' /proc/cpuinfo), $(nproc) cpus, $(date +%F), $("$build/mlxcel" --version)"
    echo "$found"
} >"$out"
[ "$(value "$said" failed)" = 0 ] && [ "$(metric failed_total)" = 0 ] || { echo "requests have failed" >&2; exit 1; }
[ "$(value "$said" served)" -gt 0 ] && [ "$(value "$said" given_up)" -gt 0 ] || { echo "nobody was served" >&2; exit 1; }
((after < before + before / 20)) || { echo "resident memory has grown" >&2; exit 1; }
stop
