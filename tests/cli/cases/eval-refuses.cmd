family=tests/data/families/llama
echo 1 2 3 >"$TMP/ids"
for flags in '' "-f $TMP/ids --tokens-file $TMP/ids" "--tokens-file $TMP/ids --ctx 2,3" "--tokens-file $TMP/ids --ctx 2 --modes int8,int8" \
    "--tokens-file $TMP/ids --ctx 0" "--tokens-file $TMP/ids --ctx 2 --no-record --store $TMP/db" \
    "--tokens-file $TMP/ids --ctx 2 --store $TMP/ids" "--tokens-file $TMP/ids --ctx 2 --store $TMP/ids/db"; do
    mlxcel eval -m $family $flags
    echo $?
done
mlxcel perplexity -m $family --tokens-file "$TMP/ids" --ctx 2 --record
echo $?
mlxcel perplexity -m $family --tokens-file "$TMP/ids" --ctx 2 --store "$TMP/db"
echo $?
mlxcel perplexity -m $family --tokens-file "$TMP/ids" --ctx 2 --compare int8 --record --kv-all-coded
echo $?
# a model without keys and values has nothing to compare
mlxcel eval -m tests/data/families/mamba --tokens-file "$TMP/ids" --ctx 2 --no-record --json | grep -E '"(mode|grade)"'
