#!/usr/bin/env bash
# Keeps the worked examples of the documents true. A fenced block that follows a line
#     <!-- run: mlxcel ARGUMENTS -->      holds what that command prints, without its stderr;
#     <!-- file: PATH -->                 holds that file.
# Give a --budget and a --bandwidth where the machine would show; its processor still does. A block whose command reads
# ../shared stays as it is where that isn't beside the checkout.
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
export XDG_CACHE_HOME=/dev/null/none XDG_DATA_HOME=/dev/null/none NO_COLOR=1 LC_ALL=C.UTF-8

show() { # "run: mlxcel ARGUMENTS" or "file: PATH"
    case $1 in
    run:*)
        printf '$ %s\n' "${1#run: }"
        eval "\"\$program\" ${1#run: mlxcel }" 2>/dev/null </dev/null | cat -s | sed -e :a -e '/^\n*$/{$d;N;ba' -e '}'
        ;;
    *) cat "${1#file: }" ;;
    esac
}

rewrite() { # FILE: the file with every marked block filled anew, on stdout
    local line command state=text
    while IFS= read -r line || [ -n "$line" ]; do
        case $state in
        text)
            printf '%s\n' "$line"
            case $line in
            '<!-- run: mlxcel '*' -->' | '<!-- file: '*' -->')
                command=${line#'<!-- '}
                command=${command%' -->'}
                state=marked
                ;;
            esac
            ;;
        marked)
            printf '%s\n' "$line"
            if [[ $line == '```'* ]] && [[ $command == *../shared/* ]] && [ ! -d ../shared ]; then
                echo "examples: left as it is, for ../shared is not there: $command" >&2
                state=kept
            elif [[ $line == '```'* ]]; then
                show "$command"
                state=old
            fi
            ;;
        kept)
            printf '%s\n' "$line"
            [ "$line" != '```' ] || state=text
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
