family=tests/data/families/llama
mlxcel bench -m $family --prefill 0 --decode 0
echo $?
mlxcel bench -m $family --depth 0,x
echo $?
mlxcel bench -m $family --modes fp16,q4_0
echo $?
