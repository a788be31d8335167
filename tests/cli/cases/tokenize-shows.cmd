# ids and pieces, the ids alone, and both as JSON
tokenizer=tests/data/tokenizers/bpe-4096.tokenizer.json
mlxcel tokenize --tokenizer $tokenizer -p $'Hello <|eos|>\tworld, caf\u00e9' --add-special
mlxcel tokenize --tokenizer $tokenizer -p 'Hello world' --ids
mlxcel tokenize --tokenizer $tokenizer -p 'Hello' --json
printf 'from standard input' | mlxcel tokenize --tokenizer $tokenizer --ids
printf '' | mlxcel tokenize --tokenizer $tokenizer --ids
# what would drive a terminal is spelt
echo '{"model": {"type": "BPE", "vocab": {"a": 0, "\u001b": 1, "\u007f": 2}, "merges": []}}' >"$TMP/control.json"
mlxcel tokenize --tokenizer "$TMP/control.json" -p $'\ea\x7f'
