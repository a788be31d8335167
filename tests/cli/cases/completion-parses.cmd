mlxcel completion bash | bash -n
