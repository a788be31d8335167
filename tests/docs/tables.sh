#!/usr/bin/env bash
# The tables of docs/evidence.md are those that its scripts make of the files.
# usage: tests/docs/tables.sh PROGRAM
set -euo pipefail
cd "$(dirname "$0")/../.."
export CHECK=1 PROGRAM=$1
bench/evidence.sh table
bench/calibrate.sh table
# a figure that was changed by hand is seen
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
mkdir "$copy/docs" "$copy/bench"
cp bench/into-docs.sh "$copy/bench/"
printf 'before\n<!-- a table -->\n| 1 |\n<!-- end -->\nafter\n' >"$copy/docs/page.md"
echo '| 1 |' | "$copy/bench/into-docs.sh" page.md "a table"
if echo '| 2 |' | "$copy/bench/into-docs.sh" page.md "a table" >/dev/null; then exit 1; fi
echo '| 2 |' | CHECK='' "$copy/bench/into-docs.sh" page.md "a table"
[ "$(cat "$copy/docs/page.md")" = "$(printf 'before\n<!-- a table -->\n| 2 |\n<!-- end -->\nafter')" ]
echo "tables: 5 passed, 0 failed, 0 skipped"
