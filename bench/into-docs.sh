#!/usr/bin/env bash
# Puts standard input, a table, in place of what stands in docs/FILE between the lines <!-- NAME --> and <!-- end -->; with
# CHECK=1 it fails, and shows the difference, where that is not the same.
# usage: bench/into-docs.sh FILE NAME <table
set -euo pipefail
cd "$(dirname "$0")/.."
file=docs/$1 marker="<!-- $2 -->"
grep -qxF -- "$marker" "$file" || { echo "into-docs: no line $marker in $file" >&2; exit 1; }
new=$(mktemp "$file.XXXXXX")
trap 'rm -f "$new"' EXIT
awk -v marker="$marker" -v end="<!-- end -->" '
    FNR == NR { table = table $0 "\n"; next }
    $0 == end { inside = 0 }
    !inside
    $0 == marker { printf "%s", table; inside = 1 }' - "$file" >"$new"
if [ -n "${CHECK:-}" ]; then diff -u "$file" "$new"; else cat "$new" >"$file"; fi
