# the mode that is advised for the context asked for, said and taken; refused where it makes no sense
mlxcel generate -p Hi -n 2 --kv-cache-mode advised --json 2>"$TMP/note" | grep '"kv_cache_mode"' | head -1
cut -d: -f1-3 "$TMP/note"
for context in 100 16000; do
    advised=$(mlxcel generate -p Hi -n 2 -c $context --kv-cache-mode advised --json 2>/dev/null | grep -m1 '"kv_cache_mode"')
    json=$(mlxcel recommend --json models/demo-llama-7m | tr -d '\n')
    echo "$context: $(grep -c "suggested.*$(cut -d'"' -f4 <<<"$advised")" <<<"$json")"
done
mlxcel generate -p Hi --kv-cache-mode advised --cache-type-k int8
echo $?
mlxcel recommend models/demo-llama-7m --kv-cache-mode advised
echo $?
mlxcel bench --kernel --kv-cache-mode advised
echo $?
