# a store adds to an evidence file and takes nothing from it; of the same figure the newest counts
text="--tokens-file tests/data/trained/val.tokens -w 1 --greedy 0 --modes int8 --batch 0 --cpu scalar -t 1"
mlxcel sweep $text --ctx 64 --store "$TMP/one.db"
mlxcel sweep $text --ctx 64,128 --store "$TMP/two.db"
mlxcel report --store "$TMP/one.db" --format json -o "$TMP/old.json"
# what the file says of 64 tokens is of yesterday, or of tomorrow; of 16 tokens it alone says something
sed -n '/"context":64/{s/"context":64/"context":16/;s/}}$/}},/p}' "$TMP/old.json" >"$TMP/line"
sed -i "/\"cells\"/r $TMP/line" "$TMP/old.json"
sed -i '/"context":64/s/"kl_mean":{"value":[^,]*/"kl_mean":{"value":77/' "$TMP/old.json"
for date in 2020-01-01 2999-01-01; do
    sed "s/\"date\":\"[^\"]*/\"date\":\"$date/" "$TMP/old.json" >"$TMP/both.json"
    mlxcel report --store "$TMP/two.db" "$TMP/both.json" --format json -o "$TMP/both.json"
    mlxcel report "$TMP/both.json" --format csv | grep kl_mean | awk -F, '{ print $9, ($14 == 77 ? "old" : "new") }'
done
# files alone don't look at the usual store; the store that is named must be there
mlxcel report "$TMP/both.json" --format csv | wc -l
mlxcel report --store "$TMP/none.db" "$TMP/both.json"
