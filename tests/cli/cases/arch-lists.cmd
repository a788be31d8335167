# every type that the engine's families are tested with is listed as running
mlxcel arch >"$TMP/types"
for type in llama mistral mixtral phi qwen2 qwen2_moe qwen3 qwen3_moe; do
    grep -q "^$type " "$TMP/types" || echo "missing: $type"
done
mlxcel arch --json | grep -m 1 -A 5 '"llama"'
mlxcel arch --json | grep -m 1 -A 4 '"xlstm"'
mlxcel arch --json | grep -A 5 '"model_type": "qwen3_5_text"'
mlxcel arch --all | head -1 | tr -s " "
