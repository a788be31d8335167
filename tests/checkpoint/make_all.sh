#!/usr/bin/env bash
# make-checkpoint writes a model of every family from its config, quantized in two ways and plain, which then runs.
# usage: make_all.sh MLXCEL MAKE-CHECKPOINT
set -u
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo 1 2 3 4 5 >"$work/ids"
failed=0 made=0
for config in tests/data/families/*/config.json; do
    grep -q '"quantization_config"' "$config" && continue # describes weights of its own
    for form in "--bits 4 --group-size 32" --mxfp4 --bf16; do
        rm -rf "$work/model"
        # shellcheck disable=SC2086 # the form is several words
        if "$2" "$config" -o "$work/model" $form >/dev/null 2>"$work/error" &&
            "$1" logits -m "$work/model" --tokens-file "$work/ids" -o "$work/out" -t 1 >/dev/null 2>"$work/error"; then
            made=$((made + 1))
        else
            echo "$config $form: $(head -1 "$work/error")"
            failed=$((failed + 1))
        fi
    done
done
echo "$made models made and run, $failed not"
[ "$failed" = 0 ] && [ "$made" -ge 225 ]
