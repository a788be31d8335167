# every example config is read, by both commands, and each page fits 100 columns
for config in examples/*/config.json; do
    model=${config%config.json}
    mlxcel recommend "$model" --bandwidth 30GB --budget 64GB >"$TMP/recommend" || echo "$model: recommend fails"
    mlxcel inspect "$model" --bandwidth 30GB --budget 64GB --ctx 32k >"$TMP/inspect" || echo "$model: inspect fails"
    grep -HE '^.{101,}' "$TMP/recommend" "$TMP/inspect"
    grep -q 'unknown: ' "$TMP/inspect" && echo "$model: weights unknown"
done
true
