#!/usr/bin/env bash
# Runs OpenAI's JavaScript client against the program. The package comes from npm and is none of this repository's:
#     npm install --prefix build/npm openai
# usage: tests/serve/openai.sh PROGRAM [SCRIPT TEMPLATE]
set -uo pipefail
cd "$(dirname "$0")/../.." || exit
modules=build/npm
script=${2:-openai.mjs} template=${3:-plain.jinja}
if ! command -v node >/dev/null || [ ! -d "$modules/node_modules/openai" ]; then
    echo "skipped: needs node, and npm's openai in $modules"
    echo "openai: 0 passed, 0 failed, 1 skipped"
    exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo a-secret-key >"$work/keys"
: >"$work/out"
"$1" serve --port 0 -t 1 --ctx 2048 --template "tests/serve/$template" --log none --api-key-file "$work/keys" \
    >"$work/out" 2>"$work/err" &
server=$!
for ((i = 0; i < 200; i++)); do
    grep -q listening "$work/out" && break
    sleep 0.1
done
timeout 300 node "tests/serve/$script" "$(sed 's/listening on //' "$work/out")/v1" "$PWD/$modules"
status=$?
kill "$server"
wait "$server" || status=1
[ "$status" -eq 0 ] || cat "$work/err"
exit "$status"
