# one clear line each
family=tests/data/families/llama
echo 1 2 3 >"$TMP/ids"
echo 1 256 >"$TMP/beyond"
printf '1 2\n3 x4 5\n' >"$TMP/words"
: >"$TMP/empty"
mlxcel logits -m $family
echo $?
mlxcel logits -m "$TMP/nowhere" --tokens-file "$TMP/ids" --out "$TMP/out"
echo $?
mlxcel logits -m $family --tokens-file "$TMP/nowhere" --out "$TMP/out"
echo $?
mlxcel logits -m $family --tokens-file "$TMP/beyond" --out "$TMP/out"
echo $?
mlxcel logits -m $family --tokens-file "$TMP/words" --out "$TMP/out"
echo $?
mlxcel logits -m $family --tokens-file "$TMP/empty" --out "$TMP/out"
echo $?
mlxcel logits -m $family --tokens-file "$TMP/ids" --out "$TMP/no/folder"
echo $?
mlxcel logits -m $family --tokens-file "$TMP/ids" --out "$TMP/out" --cpu sse
echo $?
ls "$TMP"
