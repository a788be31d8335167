# what is wrong with a line is said, with its number, before anything is computed
model=models/demo-llama-7m
try() { printf '%s\n' "$@" | mlxcel batch -m $model -o "$TMP/out"; }
try '{"prompt": "x"}' '{"prompt": "x", "max_token": 3}'
try '{"prompt": ["x"]}'
try '{"prompt": "x", "messages": []}'
try '{"prompt": "x", "messages": [{"role": "user", "content": "y"}]}'
try '{"messages": [{"content": "y"}]}'
try '{"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}'
try '{}'
try '' '"x"'
try '{"prompt": "x"'
try '{"prompt": "x", "top_p": 0}'
try '{"prompt": "x", "temperature": "hot"}'
try '{"prompt": "x", "stop": ["a", 1]}'
try '{"prompt": "x", "max_tokens": -1}'
try '{"prompt": "x", "id": {}}'
try ' '
[ ! -e "$TMP/out" ] || cat "$TMP/out"
echo '{"prompt": "one two three four", "max_tokens": 3}' | mlxcel batch -m $model --ctx 2
echo '{"prompt": "one"}' | mlxcel batch -m $model --cache-budget 1k
echo '{"prompt": "one"}' | mlxcel batch -m $model -o "$TMP/no/such"  2>&1 | sed "s|$TMP|TMP|"
