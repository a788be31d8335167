mlxcel completion --help=yes
