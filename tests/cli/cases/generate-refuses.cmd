family=tests/data/families/llama
for flags in '--ctx 0' '--ctx -5' '--ctx 1e30' '--ctx 99999999999999999999' '-n -1' '-t 0' '-t 100000' '--temp -1' \
    '--top-p 0' '--kv-cache-mode q8_0' '--cache-type-k int8 --cache-type-v fp16' '-f tests/nowhere'; do
    mlxcel generate -m $family $flags ${flags:+$([[ $flags == -f* ]] || echo -p x)}
    echo $?
done
mlxcel generate -m $family -p x -f y
echo $?
