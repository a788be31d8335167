# the prompt of a conversation, exactly, and its ids; tools, thoughts and a template of one's own
ln -s "$PWD"/models/demo-llama-7m/* "$TMP"
cat >"$TMP/chat_template.jinja" <<'END'
{{- bos_token }}
{%- if tools %}{{ tools | tojson }}{{ '\n' }}{% endif %}
{%- for m in messages %}
{{- '<' ~ m.role ~ '>' ~ (m.content if m.content is string else m.content | map(attribute='text') | join) ~ '\n' }}
{%- for call in m.tool_calls %}{{ call.function.name }}({{ call.function.arguments | tojson }}){{ '\n' }}{% endfor %}
{%- endfor %}
{%- if add_generation_prompt %}<assistant>{{ '<think>' if enable_thinking }}{% endif %}
END
cat >"$TMP/messages.json" <<'END'
[{"role": "user", "content": [{"type": "text", "text": "1 + "}, {"type": "text", "text": "1.0?"}]},
 {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "add", "arguments": {"a": 1, "b": 1.0}}}]},
 {"role": "tool", "content": "2.0"}]
END
echo '{"messages": [{"role": "user", "content": "x"}], "tools": [{"name": "add"}]}' >"$TMP/body.json"
echo '[{"name": "other", "n": 12345678901234567}]' >"$TMP/tools.json"
echo '{{ messages | length }} of my own' >"$TMP/own.jinja"
for flags in "-p hello" "-p hello --system Be" "--messages $TMP/messages.json" "--messages $TMP/body.json" \
    "--messages $TMP/body.json --tools $TMP/tools.json" "-p hello --think on" "-p hello --no-generation-prompt" \
    "-p hello --ids" "-p hello --template $TMP/own.jinja" "-p hello --template $TMP/own.jinja --think off"; do
    mlxcel tokenize -m "$TMP" --chat $flags
    echo "|$?"
done
printf 'from\nstandard input' | mlxcel tokenize -m "$TMP" --chat
echo '|'
mlxcel generate -m "$TMP" --chat --messages "$TMP/messages.json" -n 8 --json | grep -c prompt_tokens
