mlxcel recommend tests/cli/configs/llama-8b.json --evidence none --ctx 32k --budget 24GB --bandwidth 34GB --threads 2 | sed -f tests/cli/machine.sed
