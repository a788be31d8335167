mlxcel man >/dev/full
echo $?
mlxcel generate -p x -n 4 >/dev/full
echo $?
