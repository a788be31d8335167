mlxcel man >/dev/full
