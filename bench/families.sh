#!/usr/bin/env bash
# Speed at the shapes of published models, with random weights of 4 bits: decode at depths 0, 4096 and 16384 and prefill of
# 512 and of 4096 tokens, with fp16 and with the mode that is advised for 16384, the floor beside it. Writes
# bench/results/families.txt. A model is removed when it has been measured (KEEP=1: it stays in build/models).
# usage: bench/families.sh [SHAPE...]
#        a preset of tools/make-checkpoint, a folder of examples/, or a config.json; DEPTHS, PREFILLS and REPEAT change
#        what is measured, OUT where it is written
set -euo pipefail
cd "$(dirname "$0")/.."
build=build/release
out=${OUT:-bench/results/families.txt}
[ $# -gt 0 ] || set -- gemma-2-2b gemma-3-4b qwen3-30b-a3b gpt-oss-20b phi-3.5-mini mistral-7b olmo-2-7b qwen2.5-7b
mkdir -p bench/results build/models
presets=" $({ "$build/tools/make-checkpoint" 2>&1 || true; } | sed -n "s/^presets: //p") "

# What make-checkpoint takes for a shape: a preset, or a config of the examples whose name begins so.
shape_of() {
    local folder
    case $presets in *" $1 "*) echo "$1" && return ;; esac
    [ -f "$1" ] && echo "$1" && return
    for folder in examples/"$1"/ examples/"$1"*/; do
        [ -f "$folder/config.json" ] && echo "$folder/config.json" && return
    done
    echo "families: no preset, example or config.json \"$1\"" >&2
    return 1
}

# The mode that is advised for 4097 to 32768 tokens: the second range of three.
advised() {
    "$build/mlxcel" recommend "$1" --json | sed -n 's/^.*"suggested":[^"]*"\([^"]*\)".*$/\1/p' | sed -n 2p
}

measure() { # SHAPE
    local shape model mode modes=fp16 prefill flags
    shape=$(shape_of "$1")
    model=build/models/$(basename "$1" .json)-q4
    [ -d "$model" ] || "$build/tools/make-checkpoint" "$shape" -o "$model" --bits 4 --group-size 64 >&2
    mode=$(advised "$model")
    [ -z "$mode" ] || [ "$mode" = fp16 ] || modes=fp16,$mode
    echo
    echo "## $1: $(du -sh --apparent-size "$model" | cut -f1), advised for 16384 tokens: ${mode:-fp16}"
    flags=(-m "$model" --modes "$modes" --repeat "${REPEAT:-5}")
    "$build/mlxcel" bench "${flags[@]}" --depth "${DEPTHS:-0,4096,16384}" --fill random --prefill 0 --decode 16
    for prefill in ${PREFILLS:-512 4096}; do
        echo "prefill of $prefill tokens"
        "$build/mlxcel" bench "${flags[@]}" --depth 0 --prefill "$prefill" --decode 0 | sed '/^$/d;/, reads /d'
    done
    [ "${KEEP:-0}" = 1 ] || rm -r "$model"
}

{
    echo "# bench/families.sh $*"
    echo "# $(sed -n 's/^model name[^:]*: //p;T;q' /proc/cpuinfo), $(nproc) cpus, $(date +%F), $("$build/mlxcel" --version)"
    for which in "$@"; do measure "$which"; done
} | tee "$out"
