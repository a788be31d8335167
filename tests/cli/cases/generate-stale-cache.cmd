# a saved cache is refused after any change of the description, the weights or the tokenizer; not after an idle one
cp -r models/demo-llama-7m "$TMP/model"
chmod -R u+w "$TMP/model"
go() { mlxcel generate -m "$TMP/model" -p "Attention on the codes of a cache" -n 4 "$@" >"$TMP/out"; }
back() { cp "models/demo-llama-7m/$1" "$TMP/model/$1"; }
go --save-cache "$TMP/saved"
for change in 's/500000\.0/10000.0/' 's/"rms_norm_eps": 1e-05/"rms_norm_eps": 1e-06/' \
    's/"num_attention_heads"/"sliding_window": 4096, &/' 's/"transformers_version": "[^"]*"/"transformers_version": "0"/'; do
    sed -i "$change" "$TMP/model/config.json"
    cmp -s models/demo-llama-7m/config.json "$TMP/model/config.json" && echo "nothing changed: $change"
    go --load-cache "$TMP/saved"
    echo $?
    back config.json
done
printf "\1" | dd of="$TMP/model/model.safetensors" bs=1 seek=3000000 conv=notrunc status=none
go --load-cache "$TMP/saved"
echo $?
back model.safetensors
echo >>"$TMP/model/tokenizer.json"
go --load-cache "$TMP/saved"
echo $?
back tokenizer.json
go --load-cache "$TMP/saved"
echo $?
