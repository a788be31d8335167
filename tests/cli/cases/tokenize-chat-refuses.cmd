# one clear line each
ln -s "$PWD"/models/demo-llama-7m/* "$TMP"
echo "{{ raise_exception('roles must alternate') if messages | length > 1 }}{{ messages[0].content.x.y }}" >"$TMP/chat_template.jinja"
echo '[{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]' >"$TMP/two.json"
echo '[{"content": "a"}]' >"$TMP/no-role.json"
echo '{"prompt": 1}' >"$TMP/no-messages.json"
echo '[]' >"$TMP/empty.json"
printf '[{"role": "user",\n "content": }]' >"$TMP/broken.json"
echo '[1]' >"$TMP/tools.json"
echo '{% if %}' >"$TMP/bad.jinja"
for flags in "-p x" "--messages $TMP/two.json" "--messages $TMP/no-role.json" "--messages $TMP/no-messages.json" \
    "--messages $TMP/empty.json" "--messages $TMP/broken.json" "--messages $TMP/nowhere" "-p x --tools $TMP/tools.json" \
    "-p x --template $TMP/bad.jinja" "-p x --template $TMP/nowhere" "-p x --messages $TMP/two.json" \
    "--system s --messages $TMP/two.json" "-p x --decode" "-p x --add-special" "-p x --think maybe"; do
    mlxcel tokenize -m "$TMP" --chat $flags
    echo $?
done
for flags in "--messages x" "--tools x" "--system x" "--think on" "--template x" "--no-generation-prompt"; do
    mlxcel tokenize -m "$TMP" -p x $flags
    echo $?
done
mlxcel tokenize --chat -p x
echo $?
