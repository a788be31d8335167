# a reply that is held to a form, and forms that are refused
model=models/demo-llama-7m
cat >"$TMP/schema.json" <<'END'
{"type": "object", "properties": {"title": {"type": "string", "maxLength": 20}, "size": {"type": "integer", "maximum": 4096},
 "tags": {"type": "array", "items": {"enum": ["file", "disk", "net"]}, "minItems": 1, "maxItems": 2}},
 "required": ["title", "size", "tags"]}
END
mlxcel generate -m $model -p "The file system" --json-schema "$TMP/schema.json" -t 1
mlxcel generate -m $model -p "The file system" --json-schema "$TMP/schema.json" --temp 1.5 --seed 3 -t 1 --json |
    grep -E '"(finish)"'
mlxcel generate -m $model -p "The file system" --json-object -n 40 -t 1
echo "-- refused"
mlxcel generate -m $model -p "The file system" --json-object --json-schema "$TMP/schema.json"
echo '{"properties": {"a": {"multipleOf": 3}}}' >"$TMP/schema.json"
mlxcel generate -m $model -p "The file system" --json-schema "$TMP/schema.json" 2>&1 | sed "s|$TMP|TMP|"
echo '{"type": "integer", "minimum": 2, "maximum": 1}' >"$TMP/schema.json"
mlxcel generate -m $model -p "The file system" --json-schema "$TMP/schema.json" 2>&1 | sed "s|$TMP|TMP|"
mlxcel generate -m $model -p "The file system" --json-schema "$TMP/none.json" 2>&1 | sed "s|$TMP|TMP|"
echo "-- in lines of a batch"
printf '%s\n' '{"prompt": "The", "response_format": {"type": "json_schema", "json_schema": {"schema": {"enum": ["yes", "no"]}}}}' \
    '{"prompt": "The", "max_tokens": 4, "response_format": {"type": "text"}}' | mlxcel batch -m $model -t 1 | sort
echo '{"prompt": "x", "response_format": {"type": "yaml"}}' | mlxcel batch -m $model
echo $?
