#!/usr/bin/env bash
# Installs the Debian packages that building and testing need; only those that are missing. Works as root or with sudo.
# usage: scripts/setup.sh [--lint]     (--lint: also what `make lint`, `make fuzz` and CI need)
set -euo pipefail

packages=(gcc g++ make cmake ninja-build pkg-config libcjson-dev libpcre2-dev libutf8proc-dev libxxhash-dev
    libsqlite3-dev libedit-dev libmicrohttpd-dev libcmocka-dev python3-jinja2)
if [ "${1:-}" = --lint ]; then
    packages+=(chromium libpng-dev clang clang-format clang-tidy libclang-rt-14-dev cppcheck shellcheck)
fi

missing=()
for package in "${packages[@]}"; do
    state=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$state" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

run=()
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || {
        echo "setup: run as root, or install by hand: ${missing[*]}" >&2
        exit 1
    }
    run=(sudo)
fi
echo "setup: installing ${missing[*]}" >&2
"${run[@]}" apt-get update -qq
"${run[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
