# a plan from a text, taken everywhere a mode is; saved caches name it; another model's is refused; recommend quotes it
export XDG_DATA_HOME="$TMP/data"
text="--tokens-file tests/data/trained/val.tokens"
model=models/demo-llama-7m
mlxcel calibrate $text --ctx 256 -w 3 --checks 3 --like turbo4 -o "$TMP/plan.json" 2>/dev/null | sed -E 's/[+-]?[0-9]+\.[0-9]+/N/g; s/  +/ /g; s/ N [a-z-]+$/ N GRADE/; s/plan:[0-9a-f]+/PLAN/; s/(int8|turbo[34]) N (int8|turbo[34]) N/FORM N FORM N/' | sed '/^ [0-9] FORM/d'
sed -E 's/(kl": )[0-9.e-]+/\1N/; s/plan:[0-9a-f]+/PLAN/' "$TMP/plan.json" | grep -v '"k":'
mlxcel calibrate $text --ctx 256 -w 2 --checks 2 --kl 0.001 --no-record -o "$TMP/small.json" --json 2>/dev/null | grep -c kl_mean
plan=$(sed -n 's/.*"\(plan:[0-9a-f]*\)".*/\1/p' "$TMP/plan.json")
mlxcel generate -m $model -p "The cache" -n 4 --kv-cache-mode "$TMP/plan.json" --save-cache "$TMP/saved" >"$TMP/first"
mlxcel generate -m $model -p "The cache" -n 4 --kv-cache-mode "$TMP/plan.json" --load-cache "$TMP/saved" | cmp - "$TMP/first"
mlxcel generate -m $model -p "The cache" -n 4 --load-cache "$TMP/saved" 2>&1 | sed "s/$plan/PLAN/"
mlxcel perplexity $text --ctx 64 -w 1 --kv-cache-mode "$TMP/plan.json" | tail -1
mlxcel eval $text --ctx 64 -w 1 --greedy 2 --modes fp16 --plan "$TMP/plan.json" --no-record | awk '{ print $1 }' | sed "s/$plan/PLAN/"
mlxcel bench --prefill 0 --decode 2 --depth 64 --repeat 1 --modes fp16 --kv-cache-mode "$TMP/plan.json" --csv | cut -d, -f1-3
# a sweep takes plans beside modes, each a cell of its own name; another model's has none
sed 's/turbo3/turbo4/' "$TMP/plan.json" >"$TMP/second.json"
sed 's/"fingerprint": "[0-9a-f]*"/"fingerprint": "0000000000000001"/' "$TMP/plan.json" >"$TMP/others.json"
sweep="$text -w 1 --greedy 2 --ctx 128 -r 1 --decode 2 -t 1 --store $TMP/sweep.db"
mlxcel sweep $sweep --modes "int8,$TMP/plan.json,$TMP/others.json"
mlxcel sweep $sweep --modes "$TMP/second.json,$TMP/plan.json"
mlxcel report --store "$TMP/sweep.db" --format csv | grep -o 'plan:[0-9a-f]*' | sort -u | wc -l
mlxcel sweep $sweep --modes "$TMP/plan.json,int8,$TMP/plan.json" 2>&1 | sed "s,$TMP,TMP,"
mlxcel recommend $model --json | sed -n '/"plan"/,/}/p' | sed -E "s/$plan/PLAN/; s/(kl_mean|machine|date)(\": ).*/\1\2.../; /bytes/d; /grade/d"
mlxcel recommend $model | grep -c "calibrated: $plan"
mlxcel perplexity $text --ctx 64 -w 1 --kv-cache-mode "$TMP/others.json"
mlxcel perplexity $text --ctx 64 -w 1 --kv-cache-mode "$TMP/none.json"
mlxcel calibrate $text --ctx 8192 -o "$TMP/x.json" --no-record
mlxcel calibrate $text --ctx 64 -w 5 --refine 4 --no-record
few="$text --ctx 64 -w 2 --refine 2 --checks 1 --no-record --work $TMP/work -o $TMP/few.json"
mlxcel calibrate $few --like turbo4 >/dev/null 2>&1
mlxcel calibrate $few --like int8+turbo4 2>&1 >/dev/null | sed -E 's/: [0-9]+ s at/: N s at/; s/[0-9]+ measurements/N measurements/'
ls "$TMP" | grep -c work
mlxcel calibrate
mlxcel calibrate $text --like q4_0
