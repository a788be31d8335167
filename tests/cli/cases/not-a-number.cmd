# every command that runs the model ends with one line and 1, and leaves no file
model=tests/data/not-a-number
mlxcel generate -m $model -p abc -n 4
echo $?
mlxcel perplexity -m $model --tokens-file $model/ids.txt --ctx 8
echo $?
mlxcel perplexity -m $model --tokens-file $model/ids.txt --ctx 8 --compare int8
echo $?
mlxcel passkey -m $model --lengths 8 $model/passkey.json
echo $?
mlxcel logits -m $model --tokens-file $model/ids.txt --out $TMP/logits.f32
echo $?
mlxcel bench -m $model --depth 0 --prefill 8 --decode 2
echo $?
ls $TMP
