mlxcel completion -q
