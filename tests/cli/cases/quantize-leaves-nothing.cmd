# a full disk (here: a limit on the size of files), an unwritable place, a folder in use
model=tests/data/families/llama
(trap '' XFSZ; ulimit -f 20; mlxcel quantize -m $model -o "$TMP/out" 2>&1) | sed 's/tmp-[A-Za-z0-9]*/tmp-XXXXXX/'
echo "${PIPESTATUS[0]}"
mlxcel quantize -m $model -o "$TMP/none/out"
echo $?
mkdir "$TMP/used" && touch "$TMP/used/file"
mlxcel quantize -m $model -o "$TMP/used"
echo $?
ls "$TMP"
