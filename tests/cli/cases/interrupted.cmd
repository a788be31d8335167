# Ctrl-C, TERM and HUP end a wait for a prompt and a long answer; the exit is 130, and one line says why
mkfifo "$TMP/fifo" "$TMP/open"
exec 9<>"$TMP/open" # nothing comes, and no end either
for signal in INT TERM HUP; do
    timeout --foreground -s $signal --preserve-status 0.4 mlxcel generate -f - <&9
    echo "piped $signal: $?"
    timeout --foreground -s $signal --preserve-status 0.4 mlxcel generate -f "$TMP/fifo"
    echo "fifo $signal: $?"
    mlxcel generate -p Hi -n 100000 -c 30000 --save-cache "$TMP/cache" >"$TMP/text" &
    until [ -s "$TMP/text" ]; do sleep 0.02; done
    kill -s $signal $!
    wait $!
    echo "answer $signal: $?"
    [ -s "$TMP/cache" ] && ls "$TMP" && rm "$TMP"/{cache,text}
done 2> >(grep -c '^mlxcel: interrupted' >&2)
wait
