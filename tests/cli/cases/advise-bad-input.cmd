# each: one line on stderr, nothing on stdout, exit 1 (2 for wrong usage)
cd "$TMP"
mkdir folder
printf '{"model_type": "llama",\n "hidden_size": }' >broken.json
printf '[1, 2]' >list.json
printf '{"model_type": "llama", "hidden_size": 64}' >lacking.json
head -c 17000000 /dev/zero | tr '\0' ' ' >large.json
for arguments in nowhere folder broken.json list.json lacking.json large.json \
    'lacking.json --ctx 0' 'lacking.json --ctx -5' 'lacking.json --ctx 1e9' 'lacking.json --batch 0' \
    'lacking.json --budget none' 'lacking.json --budget -1' 'lacking.json --prefer size' ''; do
    echo "== $arguments" >&2
    # shellcheck disable=SC2086
    mlxcel inspect --bandwidth 30GB $arguments 2>"$TMP/message"
    echo "exit $?" >>"$TMP/message"
    sed 's/ (also accepted: .*//' "$TMP/message" >&2
done
