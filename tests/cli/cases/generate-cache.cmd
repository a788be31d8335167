# a saved cache makes the prompt free, in every form; another mode's or model's, and a damaged one, are refused
trained=../shared/fixtures/trained
[ -d $trained ] || exit 77
seq -f "line %g of the file system" 20 >"$TMP/prompt"
go() { mlxcel generate -m $trained/"$1" -f "$TMP/prompt" -n 8 "${@:2}"; }
for mode in fp16 int8 int8+turbo4; do
    go llama --kv-cache-mode $mode --save-cache "$TMP/$mode" >"$TMP/first"
    go llama --kv-cache-mode $mode --load-cache "$TMP/$mode" --json >"$TMP/second"
    go llama --kv-cache-mode $mode --load-cache "$TMP/$mode" | cmp - "$TMP/first"
    sed -nE 's/.*"(prompt|reused)_tokens": ([0-9]+),/\2/p' "$TMP/second" | paste -sd" "
done
go llama --kv-cache-mode int8 --load-cache "$TMP/fp16"
echo $?
go qwen3 --load-cache "$TMP/fp16"
echo $?
printf x | dd of="$TMP/fp16" bs=1 seek=5000 conv=notrunc status=none
go llama --load-cache "$TMP/fp16"
echo $?
go llama --load-cache "$TMP/nothing" 2>&1
echo $?
go llama --save-cache "$TMP/no/folder" 2>&1 >/dev/null
echo $?
