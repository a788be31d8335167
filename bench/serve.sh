#!/usr/bin/env bash
# Load on `mlxcel serve`, the qwen3-0.6b shape (random weights, 4 bits): many clients with a common beginning against one,
# where the time of these goes, the pauses of streams while a long prompt comes in, more clients than the queue takes, a
# soak with answers given up at random, and fp16 against int8+turbo4 with 8 long texts. Writes bench/results/serve.txt.
# usage: bench/serve.sh [ROUNDS [SOAK_SECONDS [PART]]]
# PART (together, shares, pauses, crowd, modes, soaked) prints one of these alone.
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-3} soak=${2:-600} part=${3:-}
build=build/release model=build/models/qwen3-0.6b-q4-ids results=bench/results/serve.txt
mkdir -p bench/results build/models
# shellcheck source=bench/serving.sh
. bench/serving.sh

# Random weights know no words: a tokenizer that gives each id a word of its own, so that each token is text.
if [ ! -d "$model" ]; then
    "$build/tools/make-checkpoint" qwen3-0.6b -o "$model" --bits 4 --group-size 64
    awk 'BEGIN {
        printf "{\"version\": \"1.0\", \"added_tokens\": [], \"normalizer\": null, \"post_processor\": null, "
        printf "\"decoder\": null, \"pre_tokenizer\": {\"type\": \"Whitespace\"}, "
        printf "\"model\": {\"type\": \"WordLevel\", \"unk_token\": \"w0\", \"vocab\": {"
        for (i = 0; i < 151936; i++) printf "%s\"w%d\": %d", i ? ", " : "", i, i
        print "}}}"
    }' >"$model/tokenizer.json"
fi

median() { sort -g | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }

together() {
    local round one many
    echo
    echo "16 clients, 1024 tokens in common, 32 of their own, 128 to make; one such client alone (prefix warm in both)"
    echo "tokens/s alone, of all together, ratio"
    start -m "$model" --parallel 16 --ctx 8192
    load --clients 1 --make 2 >/dev/null
    for ((round = 0; round < rounds; round++)); do
        one=$(load --clients 1)
        many=$(load --clients 16)
        [ "$(value "$many" served)" = 16 ]
        echo "$(value "$one" tokens_per_s) $(value "$many" tokens_per_s)" | awk '{ print $1, $2, $2 / $1 }' | tee -a "$work/ratio"
    done
    echo "median ratio $(awk '{ print $3 }' "$work/ratio" | median)"
    echo "last: $many"
    echo "bytes of cache saved by sharing: $(metric 'cache_saved_bytes{mode="fp16"}')"
    stop
}
# What the server adds to what the engine computes.
shares() {
    local recorder
    command -v perf >/dev/null || return 0
    echo
    echo "16 such clients: per cent of the server's time on processors (perf record -e cpu-clock)"
    start -m "$model" --parallel 16 --ctx 8192
    load --clients 1 --make 2 >/dev/null
    perf record -q -e cpu-clock -F 500 -p "$server" -o "$work/perf" 2>/dev/null &
    recorder=$!
    load --clients 16 >/dev/null
    kill -INT "$recorder"
    wait "$recorder" || true
    stop
    perf report -i "$work/perf" --no-children --sort comm,symbol 2>/dev/null | awk '
        /%/ && !/^#/ {
            part = "all else (norms, sampling, JSON, ...)"
            if ($2 ~ /^MHD/) part = "HTTP"
            else if (/gem[mv]_|multiply_tiles|unpack_/) part = "products"
            else if (/scores_|accumulate_|attend|softmax|store_[kv]/) part = "attention"
            else if (/worker_main|run_stretch|run_pieces/) part = "waiting for a loop, or for its end"
            else if (/\[k\]/) part = "the system"
            sum[part] += $1
        }
        END { for (part in sum) printf "%5.1f %s\n", sum[part], part }' | sort -rn
}
pauses() {
    local clients
    echo
    echo "pauses of streams while a prompt of 4096 tokens comes in, beside one's mean time for a token alone"
    for clients in 1 4; do
        start -m "$model" --parallel 16 --ctx 8192
        alone=$(value "$(load --clients "$clients" --common 0 --own 256 --make 48)" gap_mean_s)
        beside=$(load --clients "$clients" --common 0 --own 256 --make 1200 --intrude 4096)
        echo "$clients streams: a token takes $alone s; beside the prompt: median $(value "$beside" beside_median_s), 99 of 100" \
            "within $(value "$beside" beside_99_s), longest $(value "$beside" beside_longest_s)" \
            "($(awk -v a="$(value "$beside" beside_99_s)" -v b="$(value "$beside" beside_longest_s)" -v c="$alone" \
                'BEGIN { printf "%.1f and %.1f tokens", a / c, b / c }')); its first token after" \
            "$(value "$beside" intruder_first_s) s"
        stop
    done
}
crowd() {
    echo
    echo "200 clients, 4 run, 32 wait: those beyond get a 429, all others their answer"
    start -m "$model" --parallel 4 --queue 32 --ctx 2048
    load --clients 200 --common 256 --own 8 --make 16
    stop
}
soaked() {
    echo
    echo "$soak s of 16 clients (the bundled model), a third of the answers given up at random (bench/soak.sh)"
    bench/soak.sh "$soak"
}
modes() {
    local mode
    echo
    echo "8 texts of 8192 tokens each: mode, tokens/s of all together; how many such texts fit into 2 GB"
    for mode in fp16 int8+turbo4; do
        "$build/mlxcel" bench -m "$model" --fill random --force-kv-mode --repeat 1 --csv --depth 8192 --modes "$mode" \
            --prefill 0 --decode 8 --parallel 8 | awk -F, -v mode="$mode" '
            NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next } { printf "%s %s ", mode, $at["decode_tok_s"] }'
        start -m "$model" --parallel 8 --ctx 8192 --memory 2GB --kv-cache-mode "$mode" --force-kv-mode
        sed -nE 's/.* hold ([0-9]+) texts of.*/\1/p' "$work/err"
        stop
    done
}

if [ -n "$part" ]; then
    "$part"
    exit
fi
{
    echo "# bench/serve.sh $rounds $soak"
    echo "# $(sed -n 's/^model name[^:]*: //p;T;q' /proc/cpuinfo), $(nproc) cpus, $(date +%F), $("$build/mlxcel" --version)"
    echo "# load average at the beginning: $(cut -d' ' -f1 /proc/loadavg)"
    for part in together shares pauses crowd modes soaked; do
        "$part"
    done
    echo
    echo "# load average at the end: $(cut -d' ' -f1 /proc/loadavg)"
} | tee "$work/results"
mv "$work/results" "$results"
