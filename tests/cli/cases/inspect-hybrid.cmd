mlxcel inspect tests/cli/configs/turbo-hybrid.json --evidence none --ctx 128k --batch 4 --kv-cache-mode turbo4 --budget 24GB --bandwidth 34GB --threads 2 |
    sed -f tests/cli/machine.sed
