# a full disk (here: a limit on the size of files), an unwritable place, a folder in use
[ -d ../shared/fixtures/trained/llama ] || exit 77
(trap '' XFSZ; ulimit -f 1000; mlxcel quantize -m ../shared/fixtures/trained/llama -o "$TMP/out" 2>&1) | sed 's/tmp-[A-Za-z0-9]*/tmp-XXXXXX/'
echo "${PIPESTATUS[0]}"
mlxcel quantize -m ../shared/fixtures/trained/llama -o "$TMP/none/out"
echo $?
mkdir "$TMP/used" && touch "$TMP/used/file"
mlxcel quantize -m ../shared/fixtures/trained/llama -o "$TMP/used"
echo $?
ls "$TMP"
