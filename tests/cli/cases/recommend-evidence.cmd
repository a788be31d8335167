mlxcel recommend tests/cli/configs/llama-8b.json --evidence tests/cli/evidence --budget 24GB --bandwidth 34GB --threads 2 | sed -n '/^KV cache/,$p'
mlxcel recommend tests/cli/configs/llama-8b.json --evidence tests/cli/evidence --prefer memory --budget 24GB --bandwidth 34GB --threads 2 |
    sed -n '/^  medium/,/^  long/p'
# other bars; what is of no use is named; a damaged store
mlxcel recommend tests/cli/configs/llama-8b.json --quality lossless --evidence none
mlxcel recommend tests/cli/configs/llama-8b.json --quality acceptable --evidence tests/cli/evidence --json | grep -A40 '"medium"' | grep -E 'suggested|from_ev|kin|grade|kl_mean|ratio'
mkdir "$TMP/evidence"
echo '{"mlxcel_evidence": 1, "cells": []}' >"$TMP/evidence/old.json"
echo '{"models": []}' >"$TMP/evidence/foreign.json"
head -c 700 tests/cli/evidence/llama.json >"$TMP/evidence/short.json"
mlxcel recommend tests/cli/configs/llama-8b.json --evidence "$TMP/evidence" | grep -c rules
export XDG_DATA_HOME="$TMP/data"
mkdir -p "$XDG_DATA_HOME/mlxcel"
head -c 4096 /dev/zero | tr '\0' x >"$XDG_DATA_HOME/mlxcel/evidence.db"
mlxcel recommend tests/cli/configs/llama-8b.json >/dev/null
