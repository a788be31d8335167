mlxcel completion
