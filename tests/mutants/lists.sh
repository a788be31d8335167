#!/usr/bin/env bash
# The lists of mutants fit what they are about: each line that one changes is in the sources once, each test that one names
# exists, and each folder of src/ has a list. So no list goes stale until its turn comes in CI.
# usage: tests/mutants/lists.sh MUTATE BUILD
set -uo pipefail
lines=$("$1" named tests/mutants/*.list) || exit 1
"$1" harmless tests/mutants/harmless.txt || exit 1
unknown=$(cut -f 7 <<<"$lines" | tr ' ' '\n' | sort -u |
    grep -vxF -f <(grep -rhoE '^add_test\(\[=\[[^]]*' "$2/tests" --include=CTestTestfile.cmake | cut -c 13-))
[ -z "$unknown" ] || { echo "no such test: $unknown"; exit 1; }
for folder in src/*/; do
    [ -f "tests/mutants/$(basename "$folder").list" ] || { echo "no mutants of $folder"; exit 1; }
done
echo "$(wc -l <<<"$lines") mutants fit"
