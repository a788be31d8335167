# a slip in a mode's name gets a suggestion, another program's name what stands for it here
mlxcel generate -p x --kv-cache-mode trubo4
echo $?
mlxcel bench --modes fp16,int8+tubro4
echo $?
mlxcel generate -p x --cache-type-k itn8
echo $?
mlxcel generate -p x --cache-type-v q8_0
echo $?
