# a pipe is as good as a file, for text and for ids
tokenizer=tests/data/tokenizers/bpe-4096.tokenizer.json
mlxcel tokenize --tokenizer $tokenizer -f <(printf 'Hello, world') --ids | tee "$TMP/ids"
mlxcel tokenize --tokenizer $tokenizer --decode -f <(cat "$TMP/ids")
echo
mlxcel tokenize --tokenizer $tokenizer --decode -f <(echo 1 two) 2>&1 | sed 's:/dev/fd/[0-9]*:PIPE:'
family=tests/data/families/llama
tr -d '\n' <$family/reference.json | sed 's/.*"tokens": \[\([0-9, ]*\)\].*/\1/; s/,/ /g' >"$TMP/ids"
perplexity=(mlxcel perplexity --cpu scalar -m $family --ctx 20 --json --tokens-file)
"${perplexity[@]}" "$TMP/ids" | grep '"perplexity"' >"$TMP/from-file"
"${perplexity[@]}" <(cat "$TMP/ids") | grep '"perplexity"' | cmp - "$TMP/from-file" && echo the same
