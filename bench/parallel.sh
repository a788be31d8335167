#!/usr/bin/env bash
# Several texts that decode together on the qwen3-0.6b shape (random weights, 4 bits), and a beginning that many prompts
# have in common (the bundled model). Writes bench/results/parallel.txt. Runs of 1, 2, 4, 8 and 16 texts alternate, so
# that a busy machine slows all alike; medians of the rounds are shown, and ratios are medians of each round's ratio.
# usage: bench/parallel.sh [ROUNDS [OLD_PROGRAM [OLD_ROUNDS]]]     OLD_PROGRAM: another mlxcel, compared on one text
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-5} old=${2:-} old_rounds=${3:-${1:-5}}
build=build/release model=build/models/qwen3-0.6b-q4
mkdir -p bench/results build/models
[ -d "$model" ] || "$build/tools/make-checkpoint" qwen3-0.6b -o "$model" --bits 4 --group-size 64
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# speed PROGRAM FLAG...: "MODE DEPTH PREFILL DECODE" for each cell
speed() {
    local program=$1
    shift
    "$program" bench -m "$model" --fill random --force-kv-mode --repeat 1 --csv "$@" | awk -F, '
        NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next }
        { print $at["mode"], $at["depth"], $at["prefill_tok_s"], $at["decode_tok_s"] }'
}
# medians of columns of numbers: "KEY VALUE" lines, a median for each key, in the order of the keys
medians() {
    sort -k1,1V -k2,2g | awk '
        { if ($1 != key && n) show(); key = $1; value[++n] = $2 }
        function show() { printf "%s %.3f\n", key, n % 2 ? value[(n + 1) / 2] : (value[n / 2] + value[n / 2 + 1]) / 2; n = 0 }
        END { if (n) show() }'
}
header() {
    echo "# bench/parallel.sh $rounds ${old:+OLD}"
    echo "# $(sed -n 's/^model name[^:]*: //p;T;q' /proc/cpuinfo), $(nproc) cpus, $(date +%F), $("$build/mlxcel" --version)"
    echo "# load average at the beginning: $(cut -d' ' -f1 /proc/loadavg)"
}
# What n texts can reach: products at the speed of a prefill (which leaves out the output matrix, taken at that speed
# too: 155.6 of 440.4 million weights), and each text's cache at the bandwidth that the program reads with.
limit() {
    local prefill gbs
    prefill=$(medians <"$work/prefill" | cut -d' ' -f2)
    gbs=$("$build/mlxcel" bench -m "$model" --depth 0 --modes fp16 --prefill 0 --decode 1 | sed -n 's/.*reads \([0-9.]*\) GB.*/\1/p')
    echo "limit, products at a prefill's speed and caches of 58.7 MB a text read at $gbs GB/s: texts, tokens/s of all together"
    awk -v p="$prefill" -v g="$gbs" 'BEGIN {
        for (n = 8; n <= 16; n *= 2) printf "%d %.0f\n", n, 1 / ((1 + 155.6 / 440.4) / p + 58.7e6 / (g * 1e9)) }'
}
together() {
    local round n one
    for ((round = 0; round < rounds; round++)); do
        for n in 1 2 4 8 16; do
            speed "$build/mlxcel" --depth 512 --modes fp16 --prefill $((n == 1 ? 512 : 0)) --decode 24 --parallel $n >"$work/cell"
            read -r _ _ prefill decode <"$work/cell"
            [ $n != 1 ] || one=$decode
            echo "$n $decode" >>"$work/speed"
            awk -v n=$n -v a="$decode" -v b="$one" 'BEGIN { print n, a / b }' >>"$work/ratio"
            [ $n != 1 ] || echo "prefill $prefill" >>"$work/prefill"
        done
    done
    echo
    echo "fp16, depth 512: texts, tokens/s of all together, times one text's"
    join <(medians <"$work/speed" | sort) <(medians <"$work/ratio" | sort) | sort -n
    limit
    echo "prefill of 512 tokens at depth 512, tokens/s: $(medians <"$work/prefill" | cut -d' ' -f2)"
}
deep() {
    local round
    for ((round = 0; round < rounds; round++)); do
        speed "$build/mlxcel" --depth 4096 --modes fp16,int8+turbo4 --prefill 0 --decode 8 --parallel 16 >"$work/cell"
        awk '{ print $1, $4 }' "$work/cell" >>"$work/deep"
        awk 'NR == 1 { a = $4 } NR == 2 { print "ratio", $4 / a }' "$work/cell" >>"$work/deep"
    done
    echo
    echo "16 texts at depth 4096: mode, tokens/s of all together; ratio of the second to the first"
    medians <"$work/deep"
}
alone() {
    local round depth mode which
    [ -n "$old" ] || return 0
    for ((round = 0; round < old_rounds; round++)); do
        for depth in 0 4096 16384 32768; do
            for mode in fp16 int8 int8+turbo4 fp16+turbo4 fp16+turbo3 turbo4 turbo4-delegated; do
                for which in "$old" "$build/mlxcel" "$build/mlxcel" "$old"; do
                    speed "$which" --depth $depth --modes $mode --prefill 0 --decode 24 2>/dev/null
                done | awk -v key=$depth:$mode '{ t[NR] = $4 } END { print key, (t[2] + t[3]) / (t[1] + t[4]) }' >>"$work/alone"
            done
        done
    done
    echo
    echo "one text, decode, new over old in turns (old new new old): depth:mode, median of $old_rounds; then of all cells"
    medians <"$work/alone"
    sed 's/^[^ ]*/all/' "$work/alone" | medians
}
common() {
    local text i
    text=$(for i in $(seq 1 266); do printf 'The file number %d. ' "$i"; done)
    for i in $(seq 1 16); do echo "{\"prompt\": \"$text Question $i:\", \"max_tokens\": 16}"; done >"$work/prompts"
    echo
    echo "16 prompts with a long beginning in common (bundled model): tokens of the first, then of the others"
    for mode in fp16 int8+turbo4; do
        "$build/mlxcel" batch -f "$work/prompts" -o "$work/$mode" --parallel 16 --ctx 4096 --kv-cache-mode $mode \
            --force-kv-mode --stats 2>"$work/stats" || { cat "$work/stats" >&2; exit 1; }
        sed -E 's/.*"prompt_tokens": ([0-9]+), "shared_tokens": ([0-9]+).*/prompt \1 shared \2/' "$work/$mode" | sort | uniq -c
        tail -1 "$work/stats"
    done
}
{
    header
    together
    deep
    common
    alone
} | tee "$work/result"
mv "$work/result" bench/results/parallel.txt
