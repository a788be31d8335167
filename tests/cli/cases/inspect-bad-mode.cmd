mlxcel inspect tests/cli/configs/llama-8b.json --kv-cache-mode q8_0
