# one clear line each
tokenizer=tests/data/tokenizers/bpe-4096.tokenizer.json
printf '{\n "model": {"type": "BPE",\n  "vocab": {"a": }}}' >"$TMP/broken.json"
printf '{"model": {"type": "WordPiece", "vocab": {"a": 1}}}' >"$TMP/other.json"
echo '1 2 4096' >"$TMP/beyond"
echo '1 two' >"$TMP/words"
mkdir "$TMP/empty"
for flags in "--tokenizer $TMP/nowhere" "--tokenizer $TMP/broken.json" "--tokenizer $TMP/other.json" "-m $TMP/nowhere" \
    "-m $TMP/empty" "--tokenizer $tokenizer -m $TMP" "--tokenizer $tokenizer -f $TMP/nowhere" \
    "--tokenizer $tokenizer --decode -f $TMP/beyond" "--tokenizer $tokenizer --decode -f $TMP/words" \
    "--tokenizer $tokenizer --decode --ids" "--tokenizer $tokenizer --skip-special" \
    "--tokenizer $tokenizer -p x -f y"; do
    mlxcel tokenize $flags
    echo $?
done
