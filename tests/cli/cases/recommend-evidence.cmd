mlxcel recommend tests/cli/configs/llama-8b.json --evidence tests/cli/evidence --budget 24GB --bandwidth 34GB --threads 2 | sed -n '/^KV cache/,$p'
mlxcel recommend tests/cli/configs/llama-8b.json --evidence tests/cli/evidence --prefer memory --budget 24GB --bandwidth 34GB --threads 2 |
    sed -n '/^  medium/,/^  long/p'
