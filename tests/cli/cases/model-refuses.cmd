# a model's folder with something wrong in it: one clear line each, and never a result
family=tests/data/families/llama
echo 1 2 3 >"$TMP/ids"
try() {
    mlxcel logits -m "$TMP/m" --tokens-file "$TMP/ids" --out "$TMP/out"
    echo $?
    rm -rf "$TMP/m"
}
start() {
    mkdir "$TMP/m"
    cp $family/config.json $family/model.safetensors "$TMP/m"
}
echo "unknown model type"
start
sed -i 's/"model_type": "llama"/"model_type": "llamb"/' "$TMP/m/config.json"
try
echo "broken JSON"
start
sed -i 's/"num_hidden_layers": 2/"num_hidden_layers" 2/' "$TMP/m/config.json"
try
echo "another shape"
start
sed -i 's/"intermediate_size": 64/"intermediate_size": 80/' "$TMP/m/config.json"
try
echo "a layer too few in the file"
start
sed -i 's/"num_hidden_layers": 2/"num_hidden_layers": 3/' "$TMP/m/config.json"
try
echo "a layer too many in the file"
start
sed -i 's/"num_hidden_layers": 2/"num_hidden_layers": 1/' "$TMP/m/config.json"
try
echo "truncated weights"
start
truncate -s 100000 "$TMP/m/model.safetensors"
try
echo "no weights"
start
rm "$TMP/m/model.safetensors"
try
echo "no config"
start
rm "$TMP/m/config.json"
try
