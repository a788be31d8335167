#!/usr/bin/env bash
# Every check that needs no test run. usage: scripts/lint.sh [--fix]     (--fix: only reformat)
set -uo pipefail
cd "$(dirname "$0")/.." || exit
mapfile -t sources < <(git ls-files '*.c' '*.h')
mapfile -t units < <(git ls-files 'src/*.c' 'tools/*.c' 'bench/*.c')
mapfile -t shells < <(git ls-files '*.sh' '.ci/run')

if [ "${1:-}" = --fix ]; then
    clang-format -i "${sources[@]}"
    exit
fi

failed=0
check() { # NAME COMMAND...
    local name=$1
    shift
    if "$@" >build/lint.log 2>&1; then
        echo "ok      $name"
    else
        echo "FAILED  $name"
        tail -n 60 build/lint.log
        failed=1
    fi
}
builds_with() { # PRESET: builds everything with warnings as errors
    cmake --preset "$1" >/dev/null && cmake --build "build/$1"
}
tidy() { # clang-tidy over what is compiled, one file at a time: it carries state from file to file
    printf '%s\n' "${units[@]}" | xargs -P "$(nproc)" -n 1 clang-tidy --quiet -p build/clang
}
checked() { # cppcheck over every file, told that _Noreturn means it; a template is checked for each level
    local common=(--quiet --error-exitcode=1 --std=c11 "--enable=warning,portability" --inline-suppr
        --suppressions-list=.cppcheck -j "$(nproc)" -Iinclude -Isrc "-D_Noreturn=__attribute__((noreturn))") level
    printf '%s\n' "${units[@]}" | grep -v '_tmpl\.c$' | xargs cppcheck "${common[@]}" -DMX_X86_LEVELS=1 || return 1
    for level in avx2 avx512; do
        printf '%s\n' "${units[@]}" | grep '_tmpl\.c$' | xargs cppcheck "${common[@]}" "-DMX_LEVEL=$level" \
            "-DMX_LEVEL_INDEX=MX_CPU_${level^^}" "-DMX_VECTOR_H=\"kernels/$level/vector.h\"" \
            "-DMX_CODED_H=\"kernels/$level/kv_coded.h\"" "-DMX_TURN_H=\"kernels/$level/kv_turn.h\"" || return 1
    done
}
no_stray_bytes() { # tabs, trailing blanks, a missing last newline, text that is not UTF-8
    ! grep -nIP '\t|[ \t]+$' "${sources[@]}" && for file in "${sources[@]}"; do
        [ -z "$(tail -c 1 "$file")" ] || { echo "$file: no newline at the end"; return 1; }
    done && iconv -f UTF-8 -t UTF-8 "${sources[@]}" >/dev/null
}
small_files() { # a file is one idea: 30 KB at most, tables aside
    local big
    big=$(find src include -name '*.[ch]' -size +30k)
    [ -z "$big" ] || { echo "larger than 30 KB: $big"; return 1; }
}
exported() { # only mx_ symbols leave the shared library
    local other
    other=$(nm -D --defined-only build/clang/libmlxcel.so | awk '$2 ~ /[TDBRVW]/ && $3 !~ /^mx_/ { print $3 }')
    [ -z "$other" ] || { echo "exported: $other"; return 1; }
}
headers_stand_alone() { # each header compiles by itself, the public ones as C++ too
    local header level
    for header in $(git ls-files 'src/*.h' 'include/*.h'); do
        case $header in */avx512/*) level=avx512 ;; *) level=avx2 ;; esac # those of src/kernels stand in a level's file
        # shellcheck disable=SC2046 # the flags are words; -Wno-psabi: vectors that no function outside the file takes
        gcc -std=gnu17 -D_GNU_SOURCE -fsyntax-only -Wall -Werror -Wno-psabi -Iinclude -Isrc -x c \
            "-DMX_LEVEL=$level" "-DMX_VECTOR_H=\"kernels/$level/vector.h\"" \
            $(pkg-config --cflags libcjson libpcre2-8) "$header" || return 1
    done
    for header in $(git ls-files 'include/*.h'); do
        clang++ -fsyntax-only -Wall -Werror -Iinclude -x c++ "$header" || return 1
    done
}

mkdir -p build
check "formatting (clang-format)" clang-format --dry-run --Werror "${sources[@]}"
check "dependency rules" scripts/floors.sh
check "stray bytes" no_stray_bytes
check "file sizes" small_files
check "shell scripts (shellcheck)" shellcheck --severity=warning "${shells[@]}"
check "headers stand alone" headers_stand_alone
check "warnings with gcc" builds_with release
check "warnings with clang" builds_with clang
check "without vector levels" builds_with plain
check "exported symbols" exported
check "cppcheck" checked
check "clang-tidy" tidy
exit $failed
