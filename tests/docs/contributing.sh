#!/usr/bin/env bash
# CONTRIBUTING.md names nothing that isn't there: files and folders, make targets, tests, flags of scripts, identifiers.
# usage: tests/docs/contributing.sh BUILD_DIR
set -uo pipefail
cd "$(dirname "$0")/../.." || exit
build=$1 passed=0 failed=0

check() { # WHAT COMMAND...: the command succeeds
    local what=$1
    shift
    if "$@" >/dev/null 2>&1; then
        passed=$((passed + 1))
    else
        echo "CONTRIBUTING.md: $what: no such thing"
        failed=$((failed + 1))
    fi
}
# a path from the root, or the end of one in src/
is_path() { [ -e "$1" ] || [ -n "$(find src -path "*/$1" -print -quit)" ]; }
tests=$(grep -rhoE 'add_test\(\[=\[[^]]+' "$build" --include=CTestTestfile.cmake | sed 's/.*\[//')

while IFS= read -r word; do
    case $word in
    *NAME* | *GROUP* | ../* | *' -> '* | *[%=]*) ;; # placeholders, and what is beside the checkout
    'make '*) check "$word" grep -q "^${word#make }:" Makefile ;;
    'ctest -R '*)
        pattern=${word#ctest -R }
        for part in ${pattern//[\'|]/ }; do check "$word" grep -qE "$part" <<<"$tests"; done
        ;;
    build/release/*) check "$word" grep -rq "${word##*/}" --include=CMakeLists.txt . ;;
    *' --update') check "$word" grep -q -- --update "${word%% *}" ;;
    *.c | *.h | *.sh | *.inc | *.md | *.list | *.txt | */ | .ci/run) check "$word" is_path "$word" ;;
    mx_*[a-z] | skip_needing | 'struct mx_'*) check "$word" grep -rqw "${word#struct }" src tests ;;
    MX_*) check "$word" grep -rqw "$word" src ;;
    esac
done < <(grep -oE '`[^`]+`' CONTRIBUTING.md | tr -d '`' | sed -E 's/^build\/release\/tools\/models-md >.*/build\/release\/tools\/models-md/; s/mx_weights\..*/mx_weights/')
while IFS= read -r file; do check "$file" [ -e "$file" ]; done < <(grep -oE '\]\([^)#]+' CONTRIBUTING.md | cut -c 3-)
echo "contributing: $passed passed, $failed failed, 0 skipped"
[ $failed = 0 ] && [ $passed -gt 40 ]
