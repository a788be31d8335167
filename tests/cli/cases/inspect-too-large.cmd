mlxcel inspect tests/cli/configs/llama-8b.json --evidence none --ctx 32k --budget 18GB --bandwidth 34GB --threads 2 |
    sed -f tests/cli/machine.sed
mlxcel inspect tests/cli/configs/llama-8b.json --evidence none --budget 4GB --bandwidth 34GB --threads 2 | sed -n '/does not fit/,/^$/p'
