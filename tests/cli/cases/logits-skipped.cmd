# What is for images is not read, in a wrapper or beside the text's own tensors, and that is said.
echo 1 2 3 >"$TMP/ids"
mlxcel logits -m tests/data/families/ernie4_5_vl_moe --tokens-file "$TMP/ids" -o "$TMP/out"
cp tests/data/families/ernie4_5_vl_moe/model.safetensors "$TMP"
cp tests/data/families/ernie4_5_vl_moe/config.legacy.json "$TMP/config.json"
mlxcel logits -m "$TMP" --tokens-file "$TMP/ids" -o "$TMP/out"
