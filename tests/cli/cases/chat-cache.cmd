# /save keeps the cache beside the conversation: a loaded talk costs what the unsaved one does; another mode's or model's
# cache, and a damaged one, are refused with a note, and the talk goes on
model=models/demo-llama-7m
cp -r $model "$TMP/other" # the same but for its last weight
chmod -R u+w "$TMP/other"
last=$(($(stat -c %s "$TMP/other/model.safetensors") - 1))
printf "\1" | dd of="$TMP/other/model.safetensors" bs=1 seek=$last conv=notrunc status=none
talk() {
    mlxcel chat -m "$1" --template examples/questions.jinja --stop Q: -n 8 --no-history "${@:2}" |
        sed -E 's/[0-9.]+ tok.s/SPEED/; /^talk|^KV|^decode/d'
}
next=$'What is a block?\n/stats\n/undo\nWho reads it?\n/stats'
echo "kept:"
printf '%s\n' "What is a page of memory?" "And who owns it?" "/save $TMP/talk" "$next" | talk $model
stat -c '%a %n' "$TMP"/talk*
echo "loaded:"
echo "$next" | talk $model --load "$TMP/talk"
echo "by command:"
printf '%s\n' "Is this forgotten?" "/load $TMP/talk" "$next" | talk $model | tail -n +2
echo "in another mode:"
printf '%s\n' "$next" | talk $model --load "$TMP/talk" --kv-cache-mode int8 2>&1
echo "with another model:"
printf '%s\n' "$next" | talk "$TMP/other" --load "$TMP/talk" 2>&1 | grep -e note -e prefill
printf x | dd of="$TMP/talk.cache" bs=1 seek=5000 conv=notrunc status=none
echo "damaged:"
printf '%s\n' "/load $TMP/talk" "$next" | talk $model 2>&1
rm "$TMP/talk.cache"
echo "messages alone:"
echo "$next" | talk $model --load "$TMP/talk"
