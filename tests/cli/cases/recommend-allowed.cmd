mlxcel recommend tests/cli/configs/turbo-hybrid.json --evidence none --budget 24GB --bandwidth 34GB --threads 2 | sed -f tests/cli/machine.sed
