# tables and paragraphs fit 100 columns, in every kind of advice (a path may be longer, so it is short here)
cd tests/cli/configs
for model in *.json; do
    mlxcel recommend "$model" --bandwidth 30GB
    mlxcel inspect "$model" --bandwidth 30GB --ctx 128k --batch 16 --evidence ../evidence
done 2>&1 | grep -E '^.{101,}'
mlxcel recommend ./*.json --bandwidth 30GB | grep -E '^.{101,}'
