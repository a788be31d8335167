#!/usr/bin/env bash
# Lets things go wrong while the program runs: faults_run.c says how, commands.txt what it does meanwhile.
# usage: tests/guest/run.sh PROGRAM FAULTS_RUN PRELOAD alloc|signals|truncate [RUNS] [SEED]
# Without RUNS a short part, another one each day; `make faults` runs the long form.
set -euo pipefail
cd "$(dirname "$0")/../.."
program=$(realpath "$1") driver=$(realpath "$2") preload=$(realpath "$3") what=$4
declare -A short=([alloc]=160 [signals]=1 [truncate]=3)
runs=${5:-${short[$what]}} seed=${6:-$(($(date +%s) / 86400))}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export XDG_CACHE_HOME=$work/home LC_ALL=C.UTF-8
cp -r models/demo-llama-7m "$work/model"
head -c 600 README.md >"$work/text"
echo 1 2 3 5 8 13 21 34 >"$work/ids"
echo '{"cases": {"64": [{"prompt": [1, 17, 30, 44, 58], "answer": [3, 7]}]}}' >"$work/passkey.json"
printf '%s\n' '{"prompt": "The file system"}' '{"prompt": "The file format", "seed": 3}' >"$work/lines.jsonl"
"$program" generate -f "$work/text" -n 1 --save-cache "$work/cache" >/dev/null
echo "$what: $runs runs, seed $seed"
"$driver" "$program" "$preload" "$work" tests/guest/commands.txt "$what" "$runs" "$seed"
