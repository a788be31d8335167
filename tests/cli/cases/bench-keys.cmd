# the keys that others rely on; figures are the machine's
family=tests/data/families/llama
mlxcel bench --cpu scalar -m $family --prefill 16 --decode 4 --depth 0,64 --repeat 1 --fill random --modes fp16,int8 --json |
    sed -E 's/: [0-9.e+-]+(,?)$/: N\1/'
mlxcel bench --cpu scalar -m $family --prefill 0 --decode 2 --repeat 1 --kv-cache-mode int8 --json | grep -E 'ratio|prefill_tok_s'
mlxcel bench --cpu scalar -m $family --prefill 0 --decode 2 --repeat 1 --csv | head -1
