#!/usr/bin/env bash
# Builds the clients of examples/clients as a stranger would, of the public header and the shared library alone, as C
# and as C++, and talks to them; and looks at what the library exports.
# usage: tests/api/clients.sh BUILD-FOLDER
set -euo pipefail
cd "$(dirname "$0")/../.."
library=$(realpath "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export LD_LIBRARY_PATH=$library LC_ALL=C.UTF-8
passed=0 failed=0

check() { # NAME COMMAND...: passes where the command does
    if "${@:2}" >"$work/log" 2>&1; then passed=$((passed + 1)); else
        failed=$((failed + 1))
        echo "FAILED: $1"
        cat "$work/log"
    fi
}

build() { # LANGUAGE COMPILER NAME
    "$2" -x "$1" -Wall -Wextra -Werror -pedantic -O1 -Iinclude "examples/clients/$3.c" -x none -L"$library" -lmlxcel -lm \
        -o "$work/$3-$2"
}
exports() { ! nm -D --defined-only "$library/libmlxcel.so" | awk '$2 ~ /[TDBRVW]/ && $3 !~ /^mx_/ { print $3 }' | grep .; }
short() { [ "$(wc -l <examples/clients/chat.c)" -le 120 ]; }
only_header() { ! grep -h '#include "' examples/clients/*.c; }

# The bundled model, with a chat template.
model=$work/model
cp -r models/demo-llama-7m "$model"
cat >"$model/chat_template.jinja" <<'END'
{% for message in messages %}{{ '<|im_start|>' + message['role'] + '
' + message['content'] + '<|im_end|>' + '
' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant
' }}{% endif %}
END

chats() { # two turns: the second finds the first in the cache
    printf 'What does the file hold?\n\nAnd the table?\n' | "$work/chat-$1" "$model" int8 >"$work/out" 2>"$work/err" &&
        [ "$(grep -c 'ended by' "$work/err")" = 2 ] && [ -s "$work/out" ] &&
        grep -q '; 0 of' "$work/err" && grep -qE '; [1-9][0-9]+ of' "$work/err"
}
interrupts() { # Ctrl-C ends the answer, and a second turn follows
    [ -x "$work/chat-cc" ] || return 1
    mkfifo "$work/in"
    : >"$work/out"
    "$work/chat-cc" "$model" fp16 <"$work/in" >"$work/out" 2>"$work/err" &
    local chat=$! # which takes the signal although it is in the background: it sets its handler itself
    exec 7>"$work/in"
    echo 'Tell me about files' >&7
    until [ -s "$work/out" ]; do kill -0 "$chat" && sleep 0.02; done
    kill -INT "$chat"
    until grep -q 'ended by' "$work/err"; do kill -0 "$chat" && sleep 0.02; done
    echo 'Go on' >&7
    exec 7>&-
    wait "$chat" && [ "$(grep -c 'ended by' "$work/err")" = 2 ]
}
scores() {
    printf 'The file system keeps track of the data.\nqx zzv jjw kkp\n\n' |
        "$work/score-$1" models/demo-llama-7m >"$work/out" && [ "$(wc -l <"$work/out")" = 3 ] &&
        awk 'NR == 1 { good = $2 } NR == 2 { exit !(good < $2) }' "$work/out"
}

check exports exports
check short short
check "only the public header" only_header
for compiler in "c cc" "c++ g++"; do
    language=${compiler% *} compiler=${compiler#* }
    for name in chat score; do check "$name as $language" build "$language" "$compiler" "$name"; done
    check "chats, $language" chats "$compiler"
    check "scores, $language" scores "$compiler"
done
check "interrupts" interrupts
echo "clients: $passed passed, $failed failed, 0 skipped"
[ $failed = 0 ]
