# every command's help: at most 48 lines of at most 100 columns, with its two examples at the end
for command in $(mlxcel --help | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p'); do
    mlxcel "$command" --help >"$TMP/help" || echo "$command --help fails"
    awk -v name="$command" 'length > 100 {print name ": long line: " $0}
        END {if (NR > 48) print name ": " NR " lines"}' "$TMP/help"
    tail -2 "$TMP/help" | grep -qv '^  mlxcel\|^  .*| mlxcel\|^  .*(mlxcel' && echo "$command: no two examples at the end"
    mlxcel help "$command" | cmp - "$TMP/help"
done
mlxcel --help | awk 'length > 100 || NR > 40 {print "long: " $0}'
