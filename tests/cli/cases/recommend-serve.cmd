mlxcel recommend tests/cli/configs/llama-8b.json --evidence none --serve --ctx 16k --users 32 --budget 48GB --bandwidth 100GB --threads 2 | sed -f tests/cli/machine.sed
mlxcel recommend tests/cli/configs/llama-8b.json --users 3
mlxcel recommend tests/cli/configs/llama-8b.json --serve --batch 3
