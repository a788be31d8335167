#!/usr/bin/env bash
# Builds a preset, runs its tests, as many at once as there are processors, and closes with one line: "N passed, N failed, N
# skipped".
# A skipped test must say what it needs (skip_needing in tests/support.h), and a folder beside the checkout or a download
# are all that it may need; any other skip is a failure.
# usage: scripts/test.sh [PRESET] [ctest options]      (default preset: release)
set -uo pipefail
cd "$(dirname "$0")/.." || exit
preset=${1:-release}
shift || true

[ -f "build/$preset/build.ninja" ] || cmake --preset "$preset" >/dev/null || exit 1
cmake --build "build/$preset" || exit 1

# Thread sanitizer needs address-space layout that some kernels randomize away.
runner=()
[ "$preset" = tsan ] && runner=(setarch -R)
"${runner[@]}" ctest --test-dir "build/$preset" -j "$(nproc)" --output-on-failure --no-tests=error "$@" | grep -vE '^(Internal ctest|Test project)'
status=${PIPESTATUS[0]}

# cmocka prints "[  PASSED  ] N test(s)." for each program, and the like for failed and skipped tests; the other programs
# close with "NAME: N passed, N failed, N skipped".
awk '
    /^\[  PASSED  \] [0-9]+ test/ { passed += $4 }
    /^\[  FAILED  \] [0-9]+ test/ { failed += $4 }
    /^\[  SKIPPED \] [0-9]+ test/ { skipped += $4 }
    /^[a-z]+: [0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$/ { passed += $2; failed += $4; skipped += $6 }
    /^skipped: needs / { needs[substr($0, 16)]++; explained++ }
    END {
        for (what in needs) printf "%d skipped for want of %s\n", needs[what], what
        if (skipped > explained) {
            printf "%d skipped without a reason that counts, and failed for it\n", skipped - explained
            failed += skipped - explained
        }
        printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped
    }' "build/$preset/Testing/Temporary/LastTest.log" >"build/$preset/summary.txt"
if [ "$status" -ne 0 ] && grep -q ', 0 failed' "build/$preset/summary.txt"; then
    sed -i 's/, 0 failed/, 1 failed/' "build/$preset/summary.txt" # a program that ended before it could count
fi
grep -q ', 0 failed' "build/$preset/summary.txt" || [ "$status" -ne 0 ] || status=1
cat "build/$preset/summary.txt"
exit "$status"
