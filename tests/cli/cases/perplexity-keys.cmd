# the keys that others rely on; figures rounded
family=tests/data/families/llama
tr -d '\n' <$family/reference.json | sed 's/.*"tokens": \[\([0-9, ]*\)\].*/\1/; s/,/ /g' >"$TMP/ids"
mlxcel perplexity --cpu scalar -m $family --tokens-file "$TMP/ids" --ctx 20 --json | sed -E '/perplexity/s/[0-9][0-9]\.[0-9]+/00/; s/([0-9]+\.[0-9]{2})[0-9]+/\1/g'
mlxcel perplexity --cpu scalar -m $family --tokens-file "$TMP/ids" --ctx 20 --windows 1 --kv-cache-mode int8 --json |
    grep -E 'mode|tokens'
mlxcel perplexity --cpu scalar -m $family --tokens-file "$TMP/ids" --ctx 20 --compare fp16,int8 --json | grep -E '"mode"|top1'
