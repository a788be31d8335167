# a file of which the header alone is here: everything but the weights is known by it
args="--evidence none --ctx 8192 --budget 4GB --bandwidth 30GB --threads 2"
mlxcel inspect tests/data/gguf/four-layers.gguf $args | sed -f tests/cli/machine.sed
mlxcel recommend tests/data/gguf/four-layers.gguf $args | sed -n '/^KV cache/,$p' | sed -n '/llama.cpp/,$p'
mlxcel inspect tests/data/gguf/four-layers.gguf $args --json | grep -E '"(runnable|not_runnable|weights|weights_basis|command)"' | sort -u
