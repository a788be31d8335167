# where nothing can be written: what is measured is printed all the same, and what fails names its file and leaves none
text="--tokens-file tests/data/trained/val.tokens --ctx 32 -w 1 --cpu scalar -t 1"
export XDG_CACHE_HOME=/dev/null/none
mlxcel eval $text --greedy 0 --modes int8 --no-record --json 2>&1 | sed -n 's/measured-[0-9a-f]*/FILE/p; /"mode"/p'
mlxcel sweep $text --greedy 0 --modes int8 --batch 0 --store "$TMP/one.db" 2>&1 | sed 's/measured-[0-9a-f]*/FILE/'
full() { (trap '' XFSZ; ulimit -f 0; exec "$@") 2>&1 | cat; }
full mlxcel calibrate $text --refine 1 --checks 1 --no-record -o "$TMP/plan.json"
full mlxcel sweep $text --modes int8 --batch 0 --store "$TMP/two.db"
ls "$TMP"
# the empty store that a full disk left is one where nothing was measured yet
mlxcel report --store "$TMP/two.db"
mlxcel report --store "$TMP/one.db" -m nobody --format csv | wc -l
