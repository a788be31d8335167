# attention alone: keys, columns and refusals; figures are the machine's. Small caches, 1024 layers of some KB
small="bench --kernel --cpu scalar -t 1 --kv-heads 1 --head-dim 16 --depth 64 --repeat 1"
mlxcel $small --modes fp16,int8 --json | sed -E 's/: [0-9.e+-]+(,?)$/: N\1/'
mlxcel $small --group 1,4 --kv-cache-mode int8 --json | grep -E '"mode"|"group"|ratio'
mlxcel $small --csv | cut -d, -f1-6
mlxcel $small --modes int8 | tail -2 | grep -c '^int8 .* 16 .* 2 .* 64 '
mlxcel $small --latent 8 --modes fp16,int8 --csv | cut -d, -f1-6
mlxcel bench --help | grep -cE '^ +--(kernel|head-dim|kv-heads|group|latent) '
for flags in '-m tests/data/families/llama' '--head-dim 0' '--head-dim 64,' '--group 2000' '--depth 0' '--modes q4_0' \
    '--head-dim 1000 --depth 16 --modes turbo4' '--kv-heads 1024 --depth 268435456'; do
    mlxcel bench --kernel $flags 2>&1 | sed -E 's/take .* together, .* is free/take N together, N is free/'
    echo "${PIPESTATUS[0]}"
done
mlxcel bench --group 4 --head-dim 64
echo $?
