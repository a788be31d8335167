mlxcel recommend tests/cli/configs/llama-8b.json --evidence tests/cli/nowhere --bandwidth 34GB
