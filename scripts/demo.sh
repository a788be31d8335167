#!/usr/bin/env bash
# What `make run` shows: text from the bundled model (or from the folder given), then the advice for it and for a model
# of everyday size.
# usage: scripts/demo.sh PROGRAM [MODEL_DIR]
set -euo pipefail
cd "$(dirname "$0")/.."
program=$1
model=${2:-models/demo-llama-7m}

say() { printf '\n$ mlxcel %s\n' "$*"; "$program" "$@"; }

say generate -m "$model" -p "The file system" -n 64 --temp 0.7 --seed 1 --stats
say recommend examples/qwen3-30b-a3b/config.json --budget 24GB
say recommend "$model"
