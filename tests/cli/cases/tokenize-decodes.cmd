# text to ids and back gives the same bytes; --skip-special leaves special tokens out
for name in bpe-4096 unigram-2000; do
    tokenizer=tests/data/tokenizers/$name.tokenizer.json
    mlxcel tokenize --tokenizer $tokenizer -f docs/architecture.md --ids >"$TMP/ids"
    mlxcel tokenize --tokenizer $tokenizer --decode -f "$TMP/ids" >"$TMP/text"
    cmp "$TMP/text" docs/architecture.md && echo "$name: the same"
done
tokenizer=tests/data/tokenizers/bpe-4096.tokenizer.json
echo 0 43 578 347 1 | mlxcel tokenize --tokenizer $tokenizer --decode
echo
echo 0 43 578 347 1 | mlxcel tokenize --tokenizer $tokenizer --decode --skip-special
echo
echo 43 578 347 | mlxcel tokenize --tokenizer $tokenizer --decode --json
