# results that the output holds are not made again; Ctrl-C leaves whole lines; another file's results are refused
model=models/demo-llama-7m
for i in 1 2 3 4; do echo "{\"prompt\": \"The file number $i\", \"max_tokens\": 6, \"id\": \"n$i\"}"; done >"$TMP/prompts"
mlxcel batch -m $model -f "$TMP/prompts" -o "$TMP/whole" --parallel 2
sort "$TMP/whole" >"$TMP/sorted"
head -2 "$TMP/whole" >"$TMP/out"
sed -n 3p "$TMP/whole" | head -c 20 >>"$TMP/out"
mlxcel batch -m $model -f "$TMP/prompts" -o "$TMP/out" 2>&1 | sed "s|$TMP|TMP|"
sort "$TMP/out" | sed 's/shared_tokens.*//' | cmp - <(sed 's/shared_tokens.*//' "$TMP/sorted")
echo "-- nothing left to do"
mlxcel batch -m $model -f "$TMP/prompts" -o "$TMP/out" 2>&1
echo "-- other prompts"
sed 's/n2/m2/' "$TMP/prompts" >"$TMP/others"
mlxcel batch -m $model -f "$TMP/others" -o "$TMP/out" 2>&1 | sed "s|$TMP|TMP|; s/line [0-9]/line N/"
head -1 "$TMP/prompts" >"$TMP/others"
mlxcel batch -m $model -f "$TMP/others" -o "$TMP/out" 2>&1 | sed "s|$TMP|TMP|; s/line [0-9]/line N/"
echo "-- interrupted"
for i in 1 2 3 4 5 6; do echo "{\"prompt\": \"The file number $i\", \"max_tokens\": ${i}000}"; done >"$TMP/long"
timeout --foreground -s INT --preserve-status 1 mlxcel batch -m $model -f "$TMP/long" -o "$TMP/part" --ctx 7000 --parallel 6 \
    2>"$TMP/message"
echo $?
sed -E 's/after [0-9]/after N/' "$TMP/message"
[ ! -s "$TMP/part" ] || [ -z "$(tail -c 1 "$TMP/part")" ]
