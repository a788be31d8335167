mlxcel man page
