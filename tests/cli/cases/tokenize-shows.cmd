# ids and pieces, the ids alone, and both as JSON
tokenizer=tests/data/tokenizers/bpe-4096.tokenizer.json
mlxcel tokenize --tokenizer $tokenizer -p $'Hello <|eos|>\tworld, caf\u00e9' --add-special
mlxcel tokenize --tokenizer $tokenizer -p 'Hello world' --ids
mlxcel tokenize --tokenizer $tokenizer -p 'Hello' --json
printf 'from standard input' | mlxcel tokenize --tokenizer $tokenizer --ids
printf '' | mlxcel tokenize --tokenizer $tokenizer --ids
