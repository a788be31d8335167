#!/usr/bin/env bash
# Tests the tests: changes the sources in small ways, and runs the tests that should notice (tests/mutants/README.md).
# Each mutant is compiled under the address and undefined-behaviour sanitizers and linked anew with the tests of the build
# that scripts/test.sh asan makes; the sources stay as they are.
# usage: scripts/mutants.sh [named [PATTERN...]]       every mutant that is written down, or those whose names match
#        scripts/mutants.sh part SECONDS               a part of them, another for each commit, for so long
#        scripts/mutants.sh random SEED COUNT [FILE...]    drawn from all that can be changed (in these files); survivors are
#                                              added to tests/mutants/drawn.txt, to be answered
#        scripts/mutants.sh again              those survivors, and writes bench/results/mutants.txt
# JOBS=N runs N at once (default: the number of processors); PRESET=release starts from another build: quicker, and blind
# to what only a sanitizer sees. QUICK=SECONDS leaves out tests of other folders that take longer: for a first look.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
preset=${PRESET:-asan}
top=$PWD build=$PWD/build/$preset work=$PWD/build/mutants
harmless=tests/mutants/harmless.txt
drawn=tests/mutants/drawn.txt # what random runs drew and which of it survived them
answers=bench/results/mutants.txt
kind=${1:-named}
shift || true

# ---- the build to start from, and what is known of it ----

# A name, a folder, the processor's seconds that it may take and a command for each test, quickest first.
list_tests() {
    local folder name command cost
    for folder in "$build"/tests/*/; do
        [ -f "$folder/CTestTestfile.cmake" ] || continue
        sed -nE 's/^add_test\(\[=\[(.*)\]=\] (.*)\)$/\1\t\2/p' "$folder/CTestTestfile.cmake" |
            while IFS=$'\t' read -r name command; do
                cost=$(awk -v name="$name" '$1 == name { print $3 }' "$work/costs")
                cost=${cost:-5}
                printf '%s\t%s\t%s\t%s\t%s\n' "$cost" "$name" "$(basename "$folder")" \
                    "$(awk -v cost="$cost" 'BEGIN { print int(20 + 10 * cost) }')" "$command"
            done
    done | sort -g | cut -f 2-
}

prepare() {
    mkdir -p "$work"
    [ -f "$build/build.ninja" ] || cmake --preset "$preset" >/dev/null || exit 1
    cmake --build "$build" >"$work/build.log" || { tail -n 40 "$work/build.log"; exit 1; }
    cat "$build/Testing/Temporary/CTestCostData.txt" >"$work/costs" 2>/dev/null || : >"$work/costs"
    list_tests >"$work/tests"
    # an object and the command that makes it
    sed -nE 's/^  "command": "(.*)",$/\1/p' "$build/compile_commands.json" | sed 's/\\\(.\)/\1/g' |
        sed -E 's/^(.* -o ([^ ]+) -c .*)$/\2\t\1/' >"$work/objects"
    # a source or header and each object that it is part of
    (cd "$build" && ninja -t deps) | awk -v top="$top/" '
        /^[^ ].*: #deps/ { object = substr($1, 1, length($1) - 1) }
        /^    / { sub(/^    (\.\.\/\.\.\/)?/, ""); sub("^" top, ""); if (/^(src|include)\//) print $0 "\t" object }' >"$work/deps"
    (cd "$build" && ninja -t query libmlxcel.a) | sed -nE 's/^    ([^|]*\.o)$/\1/p' >"$work/members"
    list_reach >"$work/reach"
    cp "$build/tests/mutants/mutate" "$work/mutate"
    fast_linker=
    if command -v ld.gold >/dev/null; then fast_linker=-fuse-ld=gold; fi
    plain_code='-O2 -g0 -fno-sanitize=all'
    export fast_linker plain_code
}

# Each test and each object that is linked into a program of its own: all that its outcome can depend on. An archive's
# member is in a program where its names are.
list_reach() {
    local programs program name command word
    programs=$(cut -f 4- "$work/tests" | grep -oE "\"$build/[^\"]*\"" | tr -d '"' | sort -u |
        while read -r program; do [ -f "$program" ] && [ -x "$program" ] && echo "$program"; done)
    {
        (cd "$build" && xargs nm -A --defined-only <"$work/members") | sed -nE 's/^([^:]*):[0-9a-f]* [A-Z] (.*)$/\2\t\1/p'
        echo
        # shellcheck disable=SC2086 # names of programs have no blanks
        nm -A --defined-only $programs | sed -nE 's/^([^:]*):[0-9a-f]* [A-Za-z] (.*)$/\2\t\1/p'
    } | awk -F '\t' -v build="$build/" '
        NF == 0 { linked = 1; next }
        !linked { object[$1] = $2; next }
        $1 in object && !(($2, object[$1]) in seen) { seen[$2, object[$1]]; print $2 "\t" object[$1] }' >"$work/holds"
    for program in $programs; do
        for word in $(cd "$build" && ninja -t commands "${program#"$build/"}" | tail -n 1); do
            [[ $word == *.o ]] && printf '%s\t%s\n' "$program" "$word"
        done
    done >>"$work/holds"
    awk -F '\t' '
        NR == FNR { holds[$1] = holds[$1] "\n" $2; next }
        {
            n = split($4, words, "\"")
            for (i = 1; i <= n; i++) {
                m = split(holds[words[i]], objects, "\n")
                for (j = 2; j <= m; j++) print $1 "\t" objects[j]
            }
        }' "$work/holds" "$work/tests" | sort -u
}

# ---- one mutant ----

# Compiles what FILE is part of, with FILE and its folder from ROOT where it is there.
compile_from() { # ROOT FILE OBJECT OUT FLAGS
    local command
    command=$(awk -F '\t' -v object="$3" '$1 == object { print $2 }' "$work/objects")
    command=${command/ -Werror / }
    command=${command/ -I/ -I"$1/src" -I}
    command=${command/ -o $3 / -o "$4" }
    command=${command/-c $top\/$2/-c $1\/$2}
    mkdir -p "$(dirname "$4")"
    (cd "$build" && eval "$command $5") 2>>"$here/log"
}

# Whether the mutant becomes the same code as what it was made from, or is in a part that this build leaves out: no test
# could tell then.
same_code() { # FILE OBJECT...
    local file=$1 object
    shift
    for object in "$@"; do
        compile_from "$top" "$file" "$object" "$here/before.o" "$plain_code" &&
            compile_from "$here" "$file" "$object" "$here/after.o" "$plain_code" &&
            cmp -s "$here/before.o" "$here/after.o" || return 1
    done
}

# Links a program of the build anew, as $here/PROGRAM.
link_mutant() { # PROGRAM
    local command object
    command=$(cd "$build" && ninja -t commands "$1" | tail -n 1)
    command=${command#: && } command=${command% && :}
    for object in $command; do
        [[ $object == *.o && -f $here/$object ]] && command=${command/$object/$here/$object}
    done
    command=${command/ libmlxcel.a/ $here/libmlxcel.a}
    command=${command/ -o / $fast_linker -Wl,-S -o }
    command=${command/ -o $1 / -o "$here/$1" }
    mkdir -p "$(dirname "$here/$1")"
    (cd "$build" && eval "$command") 2>>"$here/log"
}

# Runs one test with mutated programs in place of the build's. Fails where the test does, or runs for ever: on the
# processor, which doesn't depend on what else the machine does, or, waiting for something, by the clock.
run_test() { # SECONDS COMMAND...
    local command=() word program limit=$1
    shift
    for word in "$@"; do
        if [[ $word == "$build"/* && -f $word && -x $word ]]; then
            program=${word#"$build/"}
            if [ ! -f "$here/$program" ]; then
                link_mutant "$program" || return 200
            fi
            word=$here/$program
        fi
        command+=("$word")
    done
    (ulimit -t "$limit" && TMPDIR=$here exec timeout -k 5 0 "${command[@]}") >>"$here/log" 2>&1 </dev/null &
    local pid=$! status
    # Seconds that this process saw pass: while the machine sleeps, or all of this is stopped, none do.
    { for ((i = 0; i < 200 + 10 * limit; i++)); do sleep 1; done; kill -ALRM "$pid"; } >/dev/null 2>&1 </dev/null &
    local clock=$!
    wait "$pid"
    status=$?
    kill "$clock" 2>/dev/null
    kill -- "-$pid" 2>/dev/null # what a test that failed has left running: timeout leads a group of its own
    return "$status"
}

# A line for a mutant: killed (by which test), survived, harmless, same (as code), or broken (it does not compile).
judge() { # NAME FILE LINE OFFSET LENGTH TO TESTS BEFORE AFTER
    local name=$1 file=$2 object objects status=survived by='' folder member
    here=$work/run/$name
    rm -rf "$here"
    mkdir -p "$here/$(dirname "$file")"
    {
        head -c "$4" "$file"
        printf '%b' "$6"
        tail -c +$(($4 + $5 + 1)) "$file"
    } >"$here/$file"
    if grep -qF "$file"$'\t'"$8"$'\t'"${9:-}" "$harmless"; then
        status=harmless
    else
        mapfile -t objects < <(awk -F '\t' -v file="$file" '$1 == file { print $2 }' "$work/deps")
        for object in "${objects[@]}"; do
            compile_from "$here" "$file" "$object" "$here/$object" "-O1 -g0" || status=broken
            [ "$status" = broken ] && break
        done
        if [ "$status$7" = survived- ] && same_code "$file" "${objects[@]}"; then status=same; fi
    fi
    if [ "$status" = survived ]; then
        while read -r member; do
            if [ -f "$here/$member" ]; then echo "$here/$member"; else echo "$build/$member"; fi
        done <"$work/members" >"$here/members"
        xargs ar rcT "$here/libmlxcel.a" <"$here/members" # thin: paths alone
        folder=$(echo "$file" | cut -d / -f 2)
        while IFS=$'\t' read -r test _ limit command; do
            eval "run_test $limit $command" && continue
            case $? in
            77) continue ;; # skipped
            200) status=broken ;;
            124 | 137 | 152) status=killed by=$test,time ;;
            *) status=killed by=$test ;;
            esac
            break
        done < <(if [ "$7" = - ]; then
            awk -F '\t' -v file="$file" 'FILENAME ~ /deps$/ { if ($1 == file) object[$2]; next }
                FILENAME ~ /reach$/ { if ($2 in object) seeing[$1]; next }
                $1 in seeing' "$work/deps" "$work/reach" "$work/tests" >"$here/tests-of"
            awk -F '\t' -v folder="$folder" -v most="${QUICK:-1e9}" '{
                cost = ($3 - 20) / 10
                if ($2 == folder || cost < most) print (cost < 1 ? 0 : 2) + ($2 != folder) "\t" $0
            }' "$here/tests-of" | sort -s -g -k 1,1 | cut -f 2-
        else
            for test in $7; do
                awk -F '\t' -v test="$test" '$1 == test' "$work/tests"
            done
        fi)
    fi
    printf '%s\t%s\t%s:%s\t%s\t%s\t%s\n' "$status" "$name" "$file" "$3" "$by" "$8" "${9:-}"
    [ "$status" = survived ] || rm -rf "$here"
}

# ---- what is written down ----

# Adds a line with what a random run found, and its survivors, to the list of those to answer.
note_drawn() {
    awk -F '\t' -v run="random $seed $count" -v how="at $(git rev-parse --short HEAD), PRESET=$preset QUICK=${QUICK:-}" '
        { count[$1]++ }
        $1 == "survived" { sub(/:[0-9]*$/, "", $3); lines = lines $3 "\t" $5 "\t" $6 "\n" }
        END {
            printf "\n# %s %s: %d run, %d killed, %d survived, %d harmless, %d the same code, %d did not compile\n%s",
                run, how, NR, count["killed"], count["survived"], count["harmless"], count["same"], count["broken"], lines
        }' "$work/results" >>"$drawn"
}

# Writes what became of each survivor.
write_answers() {
    awk -F '\t' -v list="$drawn" -v command="PRESET=$preset $0 again" '
        BEGIN { print "# What became of the mutants that survived random runs (tests/mutants/README.md).\n# " command }
        FILENAME != list { split($2, name, "-"); status[name[2]] = $1; by[name[2]] = $4; next }
        /^# random/ { sub(/^# /, ""); runs = runs $0 "\n"; next }
        /^(#|$| )/ { next }
        {
            what = status[FNR] == "" ? "rewritten" : status[FNR]
            count[what]++
            lines = lines what "\t" by[FNR] "\t" $1 "\t" $2 "\t" $3 "\n"
        }
        END {
            printf "\n%s\nsurvivors: %d killed now, %d harmless, %d the same code, %d in lines that were rewritten, %d survived\n\n%s",
                runs, count["killed"], count["harmless"], count["same"], count["rewritten"], count["survived"], lines
        }' "$work/results" "$drawn" >"$answers"
}

if [ "$kind" = judge ]; then # one line of the tool, from xargs below
    if [ -z "${DEADLINE:-}" ] || [ "$(date +%s)" -lt "$DEADLINE" ]; then
        IFS=$'\37' read -r -a line < <(tr '\t' '\37' <<<"$1") # tabs side by side would count as one
        judge "${line[@]}"
    fi
    exit 0
fi

prepare
case $kind in
named)
    "$work/mutate" named tests/mutants/*.list >"$work/mutants" || exit 1
    if [ $# -gt 0 ]; then grep -E "^($(IFS='|'; echo "$*"))" "$work/mutants" >"$work/some"; mv "$work/some" "$work/mutants"; fi
    ;;
part)
    "$work/mutate" named tests/mutants/*.list >"$work/all" || exit 1
    "$work/mutate" harmless "$harmless" || exit 1
    # from a place that the commit chooses, once around
    awk -v start="$((16#$(git rev-parse HEAD 2>/dev/null | cut -c 1-6 | grep . || echo 0)))" '
        { lines[NR] = $0 }
        END { for (i = 0; i < NR; i++) print lines[(start + i) % NR + 1] }' "$work/all" >"$work/mutants"
    export DEADLINE=$(($(date +%s) + ${1:-100}))
    ;;
again)
    "$work/mutate" harmless "$harmless" || exit 1
    "$work/mutate" again "$drawn" >"$work/mutants" || exit 1
    ;;
random)
    "$work/mutate" harmless "$harmless" || exit 1
    seed=$1 count=$2
    shift 2
    # shellcheck disable=SC2046 # names of sources have no blanks
    [ $# -gt 0 ] || set -- $(git ls-files 'src/*.c')
    "$work/mutate" random "$seed" "$count" "$@" >"$work/mutants" || exit 1
    ;;
*)
    echo "usage: $0 [named [PATTERN...] | part SECONDS | random SEED COUNT [FILE...] | again]" >&2
    exit 2
    ;;
esac

unknown=$(cut -f 7 "$work/mutants" | tr ' ' '\n' | sort -u | grep -vxF -e - -f <(cut -f 1 "$work/tests"))
[ -z "$unknown" ] || { echo "mutants: no such test: ${unknown//$'\n'/ }"; exit 1; }
tr '\n' '\0' <"$work/mutants" | xargs -0 -P "${JOBS:-$(nproc)}" -n 1 "$0" judge | tee "$work/results" |
    awk -F '\t' '$1 == "survived" { printf "SURVIVED %s %s: %s  ==>  %s\n", $2, $3, $5, $6; fflush() }
                 $1 == "broken" && $2 !~ /^[0-9]+-/ { printf "BROKEN %s does not compile\n", $2; fflush() }'
case $kind in
random) note_drawn ;;
again) write_answers ;;
esac
awk -F '\t' -v kind="$kind" -v all="$(wc -l <"$work/mutants")" '
    { count[$1]++ }
    $1 == "broken" && $2 !~ /^[0-9]+-/ { bad++ }
    END {
        printf "mutants: %d killed, %d survived, %d harmless, %d the same code, %d did not compile, of %d\n", count["killed"],
            count["survived"], count["harmless"], count["same"], count["broken"], all
        exit count["survived"] + bad + (NR == 0) > 0
    }' "$work/results"
