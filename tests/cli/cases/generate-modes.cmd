# which cache mode runs, from the mode, the split types and the environment
model=models/demo-llama-7m
mode() { mlxcel generate -m $model -p "The file system" -n 2 --json "$@" | grep -E -m 2 'kv_cache_mode'; }
mode --kv-cache-mode turbo4-asym
mode --kv-cache-mode turbo4
mode --kv-cache-mode turbo4 --force-kv-mode
mode --cache-type-k int8 --cache-type-v turbo4 --kv-cache-mode fp16
LLAMA_ARG_CACHE_TYPE_K=int8 LLAMA_ARG_CACHE_TYPE_V=int8 mode
LLAMA_ARG_CACHE_TYPE_K=q8_0 mode
