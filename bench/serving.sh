# shellcheck shell=bash
# What the benchmarks of `mlxcel serve` share: to be sourced, from the root, with `build` set. One server at a time.
: "${build:?}"
work=$(mktemp -d)
: >"$work/out"
server=
trap 'if [ -n "$server" ]; then kill "$server" 2>/dev/null || true; fi; rm -rf "$work"' EXIT

start() { # FLAG...
    : >"$work/out"
    "$build/mlxcel" serve --port 0 --log none "$@" >"$work/out" 2>"$work/err" &
    server=$!
    for ((i = 0; i < 600; i++)); do
        grep -q listening "$work/out" && break
        kill -0 "$server" || { cat "$work/err" >&2; exit 1; }
        sleep 0.1
    done
    port=$(sed 's/.*://' "$work/out")
}
stop() {
    kill "$server"
    wait "$server" || { echo "the server ended with $?" >&2; cat "$work/err" >&2; exit 1; }
    server=
}
load() { "$build/bench/serve_load" "$port" "$@"; }
value() { tr ' ' '\n' <<<"$1" | grep -A1 "^$2\$" | tail -1; }
metric() { curl -s "http://127.0.0.1:$port/metrics" | awk -v name="mlxcel_$1" '$1 == name { print $2 }'; }
