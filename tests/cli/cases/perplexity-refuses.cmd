family=tests/data/families/llama
echo 1 2 3 >"$TMP/ids"
mlxcel perplexity -m $family
echo $?
mlxcel perplexity -m $family --tokens-file "$TMP/ids" -f "$TMP/ids"
echo $?
mlxcel perplexity -m $family --tokens-file "$TMP/ids" --ctx 3
echo $?
mlxcel perplexity -m $family --tokens-file "$TMP/ids" --ctx 2 --compare int8,int8
echo $?
mlxcel perplexity -m $family --tokens-file "$TMP/ids" --ctx 2 --compare int9
echo $?
