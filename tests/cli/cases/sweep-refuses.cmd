mlxcel sweep --shard 3/2
mlxcel sweep --shard 2
mlxcel sweep --batch 0
mlxcel sweep --modes q4_0
mlxcel sweep -f a --tokens-file b
mlxcel sweep --ctx 32000 --batch 0 --tokens-file tests/data/trained/val.tokens --store "$TMP/x.db"
# beyond what the model was made for: not measured
mlxcel sweep --ctx 40000 --batch 0 --tokens-file tests/data/trained/val.tokens --store "$TMP/x.db"
mlxcel bench --record
mlxcel passkey --record --modes int8 tests/data/trained/passkey.json
