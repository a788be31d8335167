mlxcel completion fish
