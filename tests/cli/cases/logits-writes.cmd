# the shape on stdout, the numbers in the file, and the same with other threads
family=tests/data/families/llama
tr -d '\n' <$family/reference.json | sed 's/.*"tokens": \[\([0-9, ]*\)\].*/\1/; s/,/ /g' >"$TMP/ids"
mlxcel logits -m $family --tokens-file "$TMP/ids" --out "$TMP/one" -t 1
mlxcel logits -m $family --tokens-file "$TMP/ids" --out "$TMP/two" -t 2
stat -c %s "$TMP/one"
cmp "$TMP/one" "$TMP/two"
