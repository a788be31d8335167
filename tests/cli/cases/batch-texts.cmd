# many prompts together: each gets what it gets from `generate`, whatever runs beside it and in every mode
model=models/demo-llama-7m
shared="Read this before you go on: the file system of this machine holds more files than any other, and each of them has a name that somebody chose with care."
{
    echo '{"prompt": "The file system", "max_tokens": 12, "id": "first"}'
    echo "{\"prompt\": \"$shared One\", \"max_tokens\": 10}"
    echo
    echo "{\"prompt\": \"$shared Two\", \"max_tokens\": 10, \"stop\": [\"never\", \"the\"], \"id\": 4}"
    echo "{\"prompt\": \"$shared\", \"max_tokens\": 9, \"temperature\": 0.8, \"top_k\": 20, \"seed\": 5, \"repeat_penalty\": 1.2}"
    echo '{"prompt": "The file", "max_tokens": 0, "top_p": 0.5, "min_p": null}'
} >"$TMP/prompts"
mlxcel batch -m $model -f "$TMP/prompts" -o "$TMP/out" --parallel 4
sort "$TMP/out" | sed -E 's/"text": "[^"]*", "tokens": \[[^]]*\]/T/'
text() { grep "^{\"index\": $1," "$TMP/out" | sed -E 's/.*"text": "([^"]*)".*/\1/'; }
echo "-- as generate"
diff <(text 0) <(mlxcel generate -m $model -p "The file system" -n 12)
diff <(text 1) <(mlxcel generate -m $model -p "$shared One" -n 10 -t 1)
diff <(text 3) <(mlxcel generate -m $model -p "$shared Two" -n 10 --stop never --stop the)
diff <(text 4) <(mlxcel generate -m $model -p "$shared" -n 9 --temp 0.8 --top-k 20 --seed 5 --repeat-penalty 1.2)
echo "-- one at a time, on another number of threads, from a pipe, in other modes"
mlxcel batch -m $model --parallel 1 -t 1 <"$TMP/prompts" | sed 's/shared_tokens.*//' | sort |
    cmp - <(sed 's/shared_tokens.*//' "$TMP/out" | sort)
for mode in int8+turbo4 turbo4; do
    mlxcel batch -m $model -f "$TMP/prompts" --kv-cache-mode $mode --force-kv-mode --parallel 5 2>/dev/null |
        sed 's/shared_tokens.*//' | sort >"$TMP/$mode"
    mlxcel batch -m $model -f "$TMP/prompts" --kv-cache-mode $mode --force-kv-mode --parallel 1 -t 1 2>/dev/null |
        sed 's/shared_tokens.*//' | sort | cmp - "$TMP/$mode"
done
echo "-- statistics"
mlxcel batch -m $model -f "$TMP/prompts" --parallel 2 --stats 2>&1 >/dev/null | sed -E 's/: [0-9][0-9.]*/: N/g'
