# a trained model of the references, then its folder read back
[ -d ../shared/fixtures/trained/llama ] || exit 77
mlxcel quantize -m ../shared/fixtures/trained/llama -o "$TMP/q4" && (cd "$TMP/q4" && ls)
mlxcel quantize -m ../shared/fixtures/trained/llama -o "$TMP/q8/" --bits 8 --group-size 32 -t 1 --json
