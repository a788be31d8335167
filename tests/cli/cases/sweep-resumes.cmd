# a cell that is done is not done again, whatever ended the sweep, and parts together are the whole
text="--tokens-file tests/data/trained/val.tokens -w 1 --greedy 2"
small="--ctx 64,128 -r 1 --decode 2 --cpu scalar -t 1"
mlxcel sweep $text $small --modes int8 --store "$TMP/one.db"
mlxcel sweep $text $small --modes fp16,int8 --store "$TMP/one.db"
mlxcel sweep $text $small --modes fp16,int8 --store "$TMP/one.db" --json
for part in 1/3 2/3 3/3; do
    mlxcel sweep $text $small --modes fp16,int8 --store "$TMP/two.db" --shard $part
done
keys() { mlxcel report --store "$TMP/$1.db" --format csv | tail -n +2 | cut -d, -f4-13,16-20; }
keys one | wc -l
cmp <(keys one) <(keys two)
mlxcel sweep $text $small --modes fp16,int8 --store "$TMP/three.db" >/dev/null &
sleep 0.3; kill -9 $!; wait $! 2>/dev/null
mlxcel sweep $text $small --modes fp16,int8 --store "$TMP/three.db" | awk '{ print $1 + $4 }'
cmp <(keys one) <(keys three)
