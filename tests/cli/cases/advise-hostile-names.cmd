# names from a file move no cursor, forge no line and are cut after whole characters
count() { LC_ALL=C grep -c -P '[\x00-\x09\x0b-\x1f\x7f]|\xc2[\x80-\x9f]' || true; }
for config in escape-model-type long-model-type; do
    for command in "recommend" "inspect" "recommend --json" "inspect --json"; do
        mlxcel $command tests/cli/configs/hostile/$config.json --evidence none --budget 24GB --bandwidth 34GB >"$TMP/out" 2>&1
        echo "$config $command: $? $(count <"$TMP/out") $(iconv -f utf-8 -t utf-8 "$TMP/out" >"$TMP/same" && cmp "$TMP/out" "$TMP/same" && echo valid)"
    done
done
cp tests/cli/configs/llama-8b.json "$TMP/$(printf 'na\nme\033[31m\302\233\377.json')"
for command in "recommend" "inspect" "recommend --json" "inspect --json"; do
    mlxcel $command "$TMP"/na*.json --evidence none --budget 24GB --bandwidth 34GB >"$TMP/out" 2>&1
    echo "file name, $command: $? $(count <"$TMP/out") $(iconv -f utf-8 -t utf-8 "$TMP/out" >"$TMP/same" && cmp "$TMP/out" "$TMP/same" && echo valid)"
    head -1 "$TMP/out"
done
mlxcel inspect "$TMP/$(printf 'no\nfile\033[31m')"
echo $?
