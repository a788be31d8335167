mlxcel quantize -m "$TMP"
mlxcel quantize -m "$TMP" -o "$TMP/out"
mlxcel quantize -m "$TMP/none" -o "$TMP/out"
mlxcel quantize -m "$TMP" -o "$TMP/out" --bits 7
mlxcel quantize -m "$TMP" -o "$TMP/out" --bits -4
mlxcel quantize -m "$TMP" -o "$TMP/out" --group-size 48
ls "$TMP"
mlxcel quantize -m "$TMP" -o "$TMP/out" --mode mxfp8 --bits 4
