mlxcel frobnicate --json
