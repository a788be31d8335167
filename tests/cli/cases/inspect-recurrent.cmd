mlxcel inspect tests/cli/configs/mamba2.json --evidence none --kv-cache-mode int8 --budget 24GB --bandwidth 34GB --threads 2 | sed -f tests/cli/machine.sed
