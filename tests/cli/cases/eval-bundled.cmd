# the bundled model: keys and grades without a record; then records, and the report of them; figures are the machine's
text="--tokens-file tests/data/trained/val.tokens"
mlxcel eval $text --ctx 64 --windows 2 --modes fp16 --no-record
mlxcel eval $text --ctx 12 --windows 1 --modes int8 --greedy 4 --no-record --json | sed -E '/"(perpl|kl|top1|worst|greedy_)/s/: [0-9.e+-]+(,?)$/: N\1/'
mlxcel eval $text --ctx 64,128 --windows 2 --modes all --greedy 4 --store "$TMP/store.db" | awk '{ print $1, $2, $3, $NF }'
mlxcel report --store "$TMP/store.db" --format csv >"$TMP/report.csv"
cut -d, -f4 "$TMP/report.csv" | sort | uniq -c | sed 's/^ *//'
grep ',int8,.*,128,1,' "$TMP/report.csv" | cut -d, -f4-13,16-20
grep -o '"mlxcel eval [^"]*"' "$TMP/report.csv" | sort -u
# the same through perplexity: each figure takes the place of its like
mlxcel perplexity $text --ctx 64 --windows 2 --compare int8 --record --store "$TMP/store.db" >"$TMP/compare"
mlxcel report --store "$TMP/store.db" --format csv | wc -l | cmp - <(wc -l <"$TMP/report.csv")
# hidden keys, found
mlxcel eval $text --ctx 300 --windows 1 --modes int8 --greedy 0 --retrieval 1 --no-record --json | sed -n '/greedy_same/p; /"prompts"/p; /retrieval_by_depth/,$p' | grep -v '"retrieval"'
