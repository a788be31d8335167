#!/usr/bin/env bash
# The files in deploy/: the proxy's, the unit's and the image's, as far as the programs that read them are here.
# usage: tests/deploy/examples.sh PROGRAM
set -uo pipefail
cd "$(dirname "$0")/../.." || exit
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0 skipped=0
count() { # WHAT STATUS
    if [ "$2" -eq 0 ]; then
        passed=$((passed + 1))
    else
        echo "$1" >&2
        failed=$((failed + 1))
    fi
}
needing() { # PROGRAM
    command -v "$1" >/dev/null && return
    echo "skipped: needs $1"
    skipped=$((skipped + 1))
    return 1
}

if needing nginx; then
    { echo "pid $work/pid; error_log stderr;"; sed 's/listen 80;/listen 127.0.0.1:18080;/' deploy/nginx.conf; } >"$work/nginx.conf"
    nginx -t -q -c "$work/nginx.conf"
    count "nginx does not take deploy/nginx.conf" $?
fi
if needing systemd-analyze; then
    sed "s#/usr/local/bin/mlxcel#$1#" deploy/mlxcel.service >"$work/mlxcel.service"
    said=$(systemd-analyze verify "$work/mlxcel.service" 2>&1 | grep mlxcel.service)
    [ -z "$said" ]
    count "systemd-analyze of deploy/mlxcel.service: $said" $?
fi
# The image's second stage has the packages whose libraries the programs name.
if needing dpkg && needing readelf; then
    missing=
    for program in "$1" "$(dirname "$1")/mlxcel-serve"; do
        for name in $(readelf -d "$program" | sed -nE 's/.*NEEDED.*\[(.*)\]/\1/p'); do
            library=$(ldd "$program" | awk -v name="$name" '$1 == name { print $3 }')
            package=$(dpkg -S "$(readlink -f "$library")" 2>/dev/null | cut -d: -f1)
            case $package in "" | libc6 | libgcc-s1 | lib*san*) continue ;; esac
            grep -q "\<$package\>" deploy/Containerfile || missing+=" $package"
        done
    done
    [ -z "$missing" ]
    count "deploy/Containerfile does not install$missing" $?
fi
for flag in $(grep -ohE -- '--[a-z-]+' <(grep ENTRYPOINT deploy/Containerfile) <(grep ExecStart deploy/mlxcel.service)); do
    "$1" serve --help | grep -q -- "$flag"
    count "mlxcel serve has no $flag" $?
done
echo "deploy: $passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
