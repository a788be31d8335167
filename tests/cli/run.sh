#!/usr/bin/env bash
# Drives the program as a user does and compares what it prints. See README.md in this folder.
# usage: tests/cli/run.sh PROGRAM [--update] [NAME-PATTERN...]
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2

[ $# -ge 1 ] || {
    echo "usage: $0 PROGRAM [--update] [NAME-PATTERN...]" >&2
    exit 2
}
[ -x "$1" ] || { echo "$1: no such program" >&2; exit 2; }
program=$(realpath "$1")
shift
update=
[ "${1:-}" != --update ] || { update=1 && shift; }
[ $# -gt 0 ] || set -- '*'

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/bin"
ln -s "$program" "$work/bin/mlxcel"
export PATH="$work/bin:$PATH" LC_ALL=C.UTF-8 TERM=xterm
export XDG_CACHE_HOME="$work/cache" XDG_DATA_HOME="$work/data"
unset NO_COLOR LLAMA_ARG_CACHE_TYPE_K LLAMA_ARG_CACHE_TYPE_V

passed=0 failed=0
# compare NAME KIND: the actual output of this kind with the expected file (an absent file means empty, or exit 0)
compare() {
    local expected=$1.$2 actual=$work/actual.$2 nothing=
    [ "$2" != exit ] || nothing=0
    if [ -n "$update" ]; then
        if [ "$(cat "$actual")" = "$nothing" ]; then rm -f "$expected"; else cp "$actual" "$expected"; fi
        return 0
    fi
    if [ ! -f "$expected" ]; then
        expected=$work/expected
        printf '%s' "${nothing:+$nothing$'\n'}" >"$expected"
    fi
    diff -u --label "expected $1.$2" --label "actual" "$expected" "$actual"
}

for pattern in "$@"; do
    for script in tests/cli/cases/$pattern.cmd; do
        [ -f "$script" ] || {
            echo "no case matches '$pattern'" >&2
            exit 2
        }
        name=${script%.cmd}
        rm -rf "$work/tmp"
        mkdir "$work/tmp"
        TMP=$work/tmp timeout 300 bash -u "$script" >"$work/actual.stdout" 2>"$work/actual.stderr" </dev/null
        echo $? >"$work/actual.exit"
        sed -i "s|$work/tmp|TMP|g" "$work/actual.stdout" "$work/actual.stderr"
        # A remark on base/aside.c, which tells the sanitizer all that it asks for here.
        sed -i '/WARNING: ASan doesn.t fully support makecontext/d' "$work/actual.stdout" "$work/actual.stderr"
        good=1
        for kind in stdout stderr exit; do compare "$name" "$kind" || good=0; done
        if [ $good = 1 ]; then passed=$((passed + 1)); else failed=$((failed + 1)) && echo "FAILED: $script"; fi
    done
done
echo "cli: $passed passed, $failed failed, 0 skipped"
[ $failed = 0 ]
