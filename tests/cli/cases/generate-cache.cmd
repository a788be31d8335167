# a saved cache makes the prompt free, in every form; another mode's or model's, and a damaged one, are refused
model=models/demo-llama-7m
cp -r $model "$TMP/other" # the same but for its last weight
chmod -R u+w "$TMP/other"
last=$(($(stat -c %s "$TMP/other/model.safetensors") - 1))
printf "\1" | dd of="$TMP/other/model.safetensors" bs=1 seek=$last conv=notrunc status=none
seq -f "line %g of the file system" 20 >"$TMP/prompt"
go() { mlxcel generate -m "$1" -f "$TMP/prompt" -n 8 "${@:2}"; }
for mode in fp16 int8 int8+turbo4; do
    go $model --kv-cache-mode $mode --save-cache "$TMP/$mode" >"$TMP/first"
    go $model --kv-cache-mode $mode --load-cache "$TMP/$mode" --json >"$TMP/second"
    go $model --kv-cache-mode $mode --load-cache "$TMP/$mode" | cmp - "$TMP/first"
    sed -nE 's/.*"(prompt|reused)_tokens": ([0-9]+),/\2/p' "$TMP/second" | paste -sd" "
done
go $model --kv-cache-mode int8 --load-cache "$TMP/fp16"
echo $?
go "$TMP/other" --load-cache "$TMP/fp16"
echo $?
printf x | dd of="$TMP/fp16" bs=1 seek=5000 conv=notrunc status=none
go $model --load-cache "$TMP/fp16"
echo $?
go $model --load-cache "$TMP/nothing" 2>&1
echo $?
go $model --save-cache "$TMP/no/folder" 2>&1 >/dev/null
echo $?
