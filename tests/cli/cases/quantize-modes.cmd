# MLX's float modes: their sizes, what config.json says, and that the engine runs them
model=tests/data/families/llama
for mode in mxfp4 mxfp8 nvfp4; do
    mlxcel quantize -m $model -o "$TMP/$mode" --mode $mode -t 1 &&
        grep -A 5 '"quantization":' "$TMP/$mode/config.json" &&
        mlxcel inspect "$TMP/$mode" --budget 1GB | grep Weights
done
