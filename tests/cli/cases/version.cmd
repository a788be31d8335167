mlxcel --version
