# where the locale is not UTF-8, bars are drawn in ASCII; the first of the three variables that is set counts
page() { mlxcel inspect tests/cli/configs/llama-8b.json --evidence none --ctx 32k --budget 18GB --bandwidth 34GB | grep -A 1 Memory; }
LC_ALL=C page
foreign() { LC_ALL=C grep -cP '[^\x00-\x7f]'; }
LC_ALL=C LANG=C.UTF-8 page | foreign
LC_ALL='' LC_CTYPE=POSIX LANG=C.UTF-8 page | foreign
LC_ALL='' LC_CTYPE='' LANG=de_DE.utf8 page | foreign
LC_ALL='' LC_CTYPE='' LANG='' page | foreign
# the bar of long work, too
bar() { script -qec "mlxcel perplexity --tokens-file tests/data/trained/val.tokens --ctx 256 -w 2" /dev/null; }
LC_ALL=C bar | grep -c -e '-----'
LC_ALL=C bar | foreign
LC_ALL=C.UTF-8 bar | foreign
