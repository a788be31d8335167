# a page of HTML is not for a terminal; Markdown is, and a pipe or a file takes either
export NO_COLOR=1
at_terminal() { script -qec "mlxcel report tests/cli/evidence/llama.json $*" /dev/null | tr -d '\r' | head -n 1; }
at_terminal
at_terminal --format markdown
at_terminal -o "$TMP/page.html"
mlxcel report tests/cli/evidence/llama.json | cmp - "$TMP/page.html"
head -n 1 "$TMP/page.html"
