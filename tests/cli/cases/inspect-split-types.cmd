LLAMA_ARG_CACHE_TYPE_V=turbo3 mlxcel inspect tests/cli/configs/llama-8b.json --kv-cache-mode int8 --evidence none --budget 24GB --bandwidth 34GB --threads 2 |
    grep '^  Cache'
