# a closed descriptor is no place for a file that is opened next
echo 1 2 3 >"$TMP/ids"
logits=(mlxcel logits -m tests/data/families/llama --tokens-file "$TMP/ids" --out)
"${logits[@]}" "$TMP/whole" >/dev/null
"${logits[@]}" "$TMP/one" >&- 2>&- <&-
echo $? && cmp "$TMP/one" "$TMP/whole"
"${logits[@]}" "$TMP/two" 2>&- >/dev/null
echo $? && cmp "$TMP/two" "$TMP/whole"
mlxcel arch >&-
echo $?
mlxcel generate <&-
echo $?
mlxcel generate -f - <<<'The file' -n 4
mlxcel tokenize -f - --ids <<<'The file'
ls "$TMP"
