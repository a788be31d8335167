# greedy text: the same for any thread count and kernel, from a flag, a file or a pipe
model=models/demo-llama-7m
echo -n "The file system" >"$TMP/prompt"
mlxcel generate -m $model -p "The file system" -n 16 -t 1
mlxcel generate -m $model -f "$TMP/prompt" -n 16 -t 2
mlxcel generate -m $model -n 16 --cpu scalar <"$TMP/prompt"
echo "-- sampled, twice with a seed"
mlxcel generate -m $model -p "The file system" -n 16 --temp 0.8 --top-k 40 --top-p 0.9 --min-p 0.02 \
    --repeat-penalty 1.1 --seed 7 >"$TMP/a"
mlxcel generate -m $model -p "The file system" -n 16 --temp 0.8 --top-k 40 --top-p 0.9 --min-p 0.02 \
    --repeat-penalty 1.1 --seed 7 -t 1 | cmp - "$TMP/a"
echo "-- stop strings are not shown"
mlxcel generate -m $model -p "The file system" -n 16 --stop nothing --stop system
echo "-- no new token"
mlxcel generate -m $model -p "The file system" -n 0
echo "-- statistics"
mlxcel generate -m $model -p "The file system" -n 4 --stats 2>&1 >/dev/null | sed -E 's/[0-9][0-9.]*( [kMG]B)?/N/g'
mlxcel generate -m $model -p "The file system" -n 4 --json | sed -E 's/: [0-9.e+-]+(,?)$/: N\1/'
echo "-- longer than the context"
mlxcel generate -m $model -p "The file system of this machine" --ctx 3
echo $?
echo "-- nothing to go on from"
mlxcel generate -m $model -p "" -n 3
echo $?
