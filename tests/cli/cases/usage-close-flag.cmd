mlxcel completion --hlep
