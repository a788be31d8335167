#!/usr/bin/env bash
# Rewrites every file in bench/results/. On an otherwise idle machine; takes the better part of an hour.
# usage: bench/run.sh [NAME...]     (names of scripts beside this one, without .sh; default: all of them)
set -euo pipefail
cd "$(dirname "$0")"
[ $# -gt 0 ] || set -- advice tokenizers masks prefill speed families hybrids attention kernels bundled-model k-bias quality balance calibrate serve
for name in "$@"; do
    [ -f "$name.sh" ] || { echo "run: no bench/$name.sh" >&2; exit 2; }
    "./$name.sh"
done
