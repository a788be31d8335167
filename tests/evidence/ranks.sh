#!/usr/bin/env bash
# A sweep on two ranks makes the same set of records as one process, and a second one finds all of it done. Only where the
# program was built with MPI.
# usage: tests/evidence/ranks.sh PROGRAM
set -euo pipefail
cd "$(dirname "$0")/../.."
program=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
sweep=(sweep --tokens-file tests/data/trained/val.tokens -w 1 --greedy 2 --ctx "64,128" -r 1 --decode 2 --cpu scalar -t 1
    --modes "fp16,int8")
run=(mpirun --oversubscribe -n 2)
[ "$(id -u)" != 0 ] || run+=(--allow-run-as-root)
keys() { "$program" report --store "$work/$1.db" --format csv | tail -n +2 | cut -d, -f4-13,16-20; }
"$program" "${sweep[@]}" --store "$work/one.db"
"${run[@]}" "$program" "${sweep[@]}" --store "$work/two.db"
cmp <(keys one) <(keys two)
"${run[@]}" "$program" "${sweep[@]}" --store "$work/two.db" | grep -q '^0 cells measured, 8 were there'
echo "ranks: 4 passed, 0 failed, 0 skipped"
