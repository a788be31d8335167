mlxcel man >/dev/full
echo $?
mlxcel generate -p x -n 4 >/dev/full
echo $?
# a text that nobody can read is not written to its end, and nothing else is
timeout 20 mlxcel generate -p x -n 30000 --temp 0 --stats --save-cache "$TMP/cache" >/dev/full
echo $?
printf "Hi\n/save $TMP/talk\n" | mlxcel chat --template tests/serve/plain.jinja -n 4 >/dev/full
echo $?
{ (trap '' PIPE; exec mlxcel generate -p x -n 2000 --stats); echo $? >&2; } | :
ls "$TMP"
