# a root of the Hugging Face cache runs, and what cannot be run says what to give instead
root=$TMP/models--org--tiny
mkdir -p $root/snapshots/abc $root/refs
cp tests/data/families/llama/* $root/snapshots/abc/
printf abc >$root/refs/main
echo '1 2 3' >$TMP/ids
mlxcel logits -m $root --tokens-file $TMP/ids -o $TMP/by-root
mlxcel logits -m tests/data/families/llama --tokens-file $TMP/ids -o $TMP/by-folder >/dev/null
cmp $TMP/by-root $TMP/by-folder && echo same
mlxcel quantize -m $root -o $TMP/q >/dev/null && ls $TMP/q
for path in org/tiny tests/data/gguf/four-layers.gguf tests/data/families/llama/config.json; do mlxcel generate -m $path -p x; done
