# a small model, then its folder read back
model=tests/data/families/llama
mlxcel quantize -m $model -o "$TMP/q4" --group-size 32 && (cd "$TMP/q4" && ls)
mlxcel quantize -m $model -o "$TMP/q8/" --bits 8 --group-size 32 -t 1 --json
