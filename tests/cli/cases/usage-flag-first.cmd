mlxcel --json recommend
