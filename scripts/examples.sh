#!/usr/bin/env bash
# Keeps the worked examples of the documents true. A fenced block that follows a line
#     <!-- run: mlxcel ARGUMENTS -->
# holds exactly what that command prints (without its stderr). Only commands whose output depends on nothing but the
# repository are marked so: give a --budget where the machine would show.
# usage: scripts/examples.sh [--check] PROGRAM FILE...     (--check: fail on the first difference, write nothing)
set -euo pipefail
check=0
if [ "${1:-}" = --check ]; then
    check=1
    shift
fi
program=$(realpath "$1")
shift
cd "$(dirname "$0")/.."
export XDG_CACHE_HOME=/nonexistent NO_COLOR=1

rewrite() { # FILE: the file with every marked block filled anew, on stdout
    local line command state=text
    while IFS= read -r line || [ -n "$line" ]; do
        case $state in
        text)
            printf '%s\n' "$line"
            case $line in
            '<!-- run: mlxcel '*' -->')
                command=${line#'<!-- run: mlxcel '}
                command=${command%' -->'}
                state=marked
                ;;
            esac
            ;;
        marked)
            printf '%s\n' "$line"
            if [[ $line == '```'* ]]; then
                printf '$ mlxcel %s\n' "$command"
                eval "\"\$program\" $command" 2>/dev/null </dev/null || true
                state=old
            fi
            ;;
        old)
            if [ "$line" = '```' ]; then
                printf '%s\n' "$line"
                state=text
            fi
            ;;
        esac
    done <"$1"
}

for file in "$@"; do
    new=$(mktemp)
    rewrite "$file" >"$new"
    if cmp -s "$file" "$new"; then
        rm -f "$new"
    elif [ "$check" = 1 ]; then
        diff -u "$file" "$new" || true
        rm -f "$new"
        echo "examples: $file is out of date; run scripts/examples.sh $program $file" >&2
        exit 1
    else
        cat "$new" >"$file"
        rm -f "$new"
        echo "examples: $file rewritten"
    fi
done
