#!/usr/bin/env bash
# A sweep on two ranks makes the same set of records as one process, or as its two parts one after the other, and a second one
# finds all of it done. What one rank has finished is kept while the other still measures, so that a sweep that is killed goes
# on where it was. Only where the program was built with MPI.
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
"$program" "${sweep[@]}" --shard 1/2 --store "$work/parts.db"
"$program" "${sweep[@]}" --shard 2/2 --store "$work/parts.db"
cmp <(keys one) <(keys parts)

# What fails at once is told, once.
fails() { # MESSAGE ARGUMENTS...
    local message=$1
    shift
    [ "$("${run[@]}" "$program" "${sweep[@]}" "$@" 2>&1 | grep -c "^mlxcel: .*$message")" = 1 ]
}
fails '/proc/none.db' --store /proc/none.db
fails 'leave one of them out' --store "$work/none.db" --shard 1/2

# Rank 0 reads a text for seconds, rank 1 decodes for a moment.
long=(sweep --tokens-file tests/data/trained/val.tokens -w 4 --greedy 100 --ctx 1024 -r 1 --decode 1 -t 1
    --modes "fp16,int8")
"${run[@]}" "$program" "${long[@]}" --store "$work/killed.db" 2>/dev/null &
killed=$!
for ((i = 0; i < 100; i++)); do
    keys killed 2>/dev/null | grep -q decode_tok_s && break
    sleep 0.3
done
kill -0 "$killed"
kill -KILL "$killed"
wait "$killed" 2>/dev/null || true
keys killed >"$work/kept"
grep -q decode_tok_s "$work/kept"
if grep -q perplexity "$work/kept"; then exit 1; fi # else nothing was killed half-way
"${run[@]}" "$program" "${long[@]}" --store "$work/killed.db" | grep -qE '^(2 cells measured, 2|3 cells measured, 1) were there already'
echo "ranks: 9 passed, 0 failed, 0 skipped"
