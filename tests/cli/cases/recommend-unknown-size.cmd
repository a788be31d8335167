mlxcel recommend tests/cli/configs/no-size.json --evidence none --budget 24GB --bandwidth 34GB --threads 2 | sed -f tests/cli/machine.sed
