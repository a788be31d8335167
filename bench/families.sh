#!/usr/bin/env bash
# Speed at the shapes of published models, with random weights of 4 bits: decode at depths 0, 4096 and 16384 and prefill of
# 512 and of 4096 tokens, with fp16 and with the mode that is advised for 16384, the floor beside it. Writes
# bench/results/families.txt, a section for each shape that says when and where it was measured: those of the shapes named
# are replaced, or added at the end, as soon as they have been measured; the others stay. A model is removed when it has
# been measured (KEEP=1: it stays in build/models).
# usage: bench/families.sh [SHAPE...]
#        a preset of tools/make-checkpoint, a folder of examples/, or a config.json; with +mxfp4 behind it the weights are
#        MLX's mxfp4. DEPTHS, PREFILLS and REPEAT change what is measured, OUT where it is written. A prefill of more than 512 tokens, long by itself, is repeated as much
#        less, so that with REPEAT=3 seven billion weights take less than six minutes on two cores.
set -euo pipefail
cd "$(dirname "$0")/.."
build=build/release
out=${OUT:-bench/results/families.txt}
repeat=${REPEAT:-3}
[ $# -gt 0 ] || set -- gemma-2-2b gemma-3-4b qwen3-30b-a3b gpt-oss-20b+mxfp4 phi-3.5-mini mistral-7b olmo-2-7b qwen2.5-7b lfm2-1.2b
mkdir -p bench/results build/models
presets=" $({ "$build/tools/make-checkpoint" 2>&1 || true; } | sed -n "s/^presets: //p") "
section=$(mktemp)
trap 'rm -f "$section" "$out.new"' EXIT

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
    local shape model mode modes=fp16 prefill times flags weights=(--bits 4 --group-size 64) start=$SECONDS
    [[ $1 != *+mxfp4 ]] || weights=(--mxfp4)
    shape=$(shape_of "${1%+mxfp4}")
    model=build/models/$(basename "$1" .json)-q4
    [ -d "$model" ] || "$build/tools/make-checkpoint" "$shape" -o "$model" "${weights[@]}" >&2
    mode=$(advised "$model")
    [ -z "$mode" ] || [ "$mode" = fp16 ] || modes=fp16,$mode
    echo "## $1: $(du -sh --apparent-size "$model" | cut -f1), advised for 16384 tokens: ${mode:-fp16}"
    echo "$(sed -n 's/^model name[^:]*: //p;T;q' /proc/cpuinfo), $(nproc) cpus, $(date +%F), $("$build/mlxcel" --version)"
    flags=(-m "$model" --modes "$modes")
    "$build/mlxcel" bench "${flags[@]}" --depth "${DEPTHS:-0,4096,16384}" --fill random --prefill 0 --decode 16 \
        --repeat "$repeat"
    for prefill in ${PREFILLS:-512 4096}; do
        times=$((prefill > 512 ? repeat * 512 / prefill : repeat))
        [ "$times" -gt 0 ] || times=1
        echo "prefill of $prefill tokens, medians of $times"
        "$build/mlxcel" bench "${flags[@]}" --depth 0 --prefill "$prefill" --decode 0 --repeat "$times" |
            sed '/^$/d;/, reads /d'
    done
    [ "${KEEP:-0}" = 1 ] || rm -r "$model"
    echo "$1: $((SECONDS - start)) s" >&2
}

# The file with section SHAPE replaced by the one from the standard input, or that one at its end.
with_section() { # SHAPE
    awk -v name="## $1:" '
        BEGIN { while ((getline line < "/dev/stdin") > 0) fresh = fresh line "\n" }
        /^## / { ours = index($0, name) == 1; if (ours) { printf "%s\n", fresh; put = 1 } }
        !ours
        END { if (!put) printf "%s%s", last ~ /^$/ ? "" : "\n", fresh }
        { last = $0 }' "$out"
}

[ -s "$out" ] || echo "# bench/families.sh [SHAPE...]: each section says when and where it was measured" >"$out"
for which in "$@"; do
    measure "$which" | tee "$section"
    with_section "$which" <"$section" | cat -s | sed '${/^$/d}' >"$out.new"
    mv "$out.new" "$out"
done
