# right answers for each mode and length; what the file lacks, and what is no file of prompts, is refused
family=tests/data/families/llama
list() { grep -o "\"$1\": *\[[^]]*\]" $family/reference.json | sed 's/^[^:]*: *//'; }
prompt=$(list tokens)
echo "{\"cases\": {\"48\": [{\"prompt\": $prompt, \"answer\": $(list greedy)},
    {\"prompt\": $prompt, \"answer\": [3]}]}}" >"$TMP/keys"
mlxcel passkey -m $family "$TMP/keys" --lengths 48 --modes fp16,int8 --cpu scalar
mlxcel passkey -m $family "$TMP/keys" --lengths 48,49
echo $?
mlxcel passkey -m $family "$TMP/keys" --lengths 0
echo $?
mlxcel passkey -m $family "$TMP/nothing"
echo $?
mlxcel passkey -m $family
echo $?
