cd tests/cli/configs && mlxcel recommend *.json --evidence none --budget 16GB --bandwidth 34GB --threads 2
