# what is no regular file is written through, a link is followed, a mode is kept, a cache is private
echo 1 2 3 >"$TMP/ids"
logits=(mlxcel logits -m tests/data/families/llama --tokens-file "$TMP/ids" --out)
umask 022
"${logits[@]}" "$TMP/plain" && stat -c '%a %s' "$TMP/plain"
mkfifo "$TMP/fifo"
cmp "$TMP/fifo" "$TMP/plain" &
"${logits[@]}" "$TMP/fifo" && wait $! && stat -c %F "$TMP/fifo"
touch "$TMP/real" && chmod 640 "$TMP/real" && ln -s real "$TMP/link" && ln -s new "$TMP/dangling"
"${logits[@]}" "$TMP/link" && cmp "$TMP/real" "$TMP/plain" && stat -c '%a %F' "$TMP/real" "$TMP/link"
"${logits[@]}" "$TMP/dangling" && cmp "$TMP/new" "$TMP/plain" && stat -c %F "$TMP/dangling"
"${logits[@]}" /dev/stdout | cmp - "$TMP/plain"
"${logits[@]}" /dev/stdout >"$TMP/redirected" && cmp "$TMP/redirected" "$TMP/plain"
{ printf before; "${logits[@]}" /dev/fd/3 3>&1 >/dev/null; } >"$TMP/appended" && tail -c +7 "$TMP/appended" | cmp - "$TMP/plain"
"${logits[@]}" /dev/null && stat -c %F /dev/null
ln -s loop "$TMP/loop" && "${logits[@]}" "$TMP/loop" 2>&1
mlxcel generate -p Hi -n 2 --save-cache "$TMP/cache" >/dev/null && stat -c %a "$TMP/cache"
chmod 644 "$TMP/cache" && mlxcel generate -p Hi -n 2 --save-cache "$TMP/cache" >/dev/null && stat -c %a "$TMP/cache"
ls "$TMP"
