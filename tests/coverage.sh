#!/bin/bash
# How much of the responder the frame tests reach: builds it with gcc's --coverage in a folder of its own, runs the
# scripts, the mutated frames and the unit tests of these files, and fails below 95 % of all branches.
#
#   tests/coverage.sh [--count N]     N mutated frames (300000; a row's least count goes with it)
#
# Branches as gcov -b counts them: each way that a conditional jump of the unoptimised code can go (for `a && b` in an if,
# four), "taken at least once". Nothing is left out by hand. The data plane's other files are not the responder's.
# Prints lines and branches of each file, and of all; exit 0 enough, 1 too few or a test failed.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
LEAST=95
COUNT=300000
RESPONDER=(answer challenge classify cookie parse reject resend segment smtp)
UNIT=(classify cookie parse reject resend segment smtp bucket)
FOLDER=''

compile() {
    local tests=() name
    for name in "${UNIT[@]}"; do tests+=("dataplane_test_$name"); done
    # No optimisation: with it a branch of the source and one of the code are no longer the same.
    cmake -S "$ROOT" -B "$FOLDER" -G Ninja -DCMAKE_BUILD_TYPE=Debug -DCMAKE_C_FLAGS="--coverage -O0" >"$FOLDER/log" 2>&1 &&
        cmake --build "$FOLDER" --target mutate_frames run_scripts "${tests[@]}" >>"$FOLDER/log" 2>&1 && return
    tail -n 30 "$FOLDER/log"
    return 1
}

run() {
    local name
    "$FOLDER/tests/mutate_frames" --count "$COUNT" >"$FOLDER/log" 2>&1 || { tail -n 30 "$FOLDER/log"; return 1; }
    "$FOLDER/tests/run_scripts" "$ROOT/tests/scripts" >"$FOLDER/log" 2>&1 || { tail -n 30 "$FOLDER/log"; return 1; }
    for name in "${UNIT[@]}"; do
        "$FOLDER/tests/dataplane_test_$name" >"$FOLDER/log" 2>&1 || { tail -n 30 "$FOLDER/log"; return 1; }
    done
}

# gcov says of each file it names: "Lines executed:97.14% of 35", "Branches executed:…", "Taken at least once:95.00% of 20".
count() {
    local name object
    for name in "${RESPONDER[@]}"; do
        object=$(find "$FOLDER" -path "*.dir/dataplane/$name.c.gcno" | head -n 1)
        (cd "$FOLDER" && gcov -b -n "$object") 2>/dev/null | awk -v name="$name" -v file="$ROOT/dataplane/$name.c" '
            /^File / {on = index($0, "dataplane/" name ".c\x27") > 0}
            on && /^Lines executed/ {split($0, a, /[:%]| of /); lines = a[2]; n_lines = a[4]}
            on && /^Taken at least once/ {split($0, a, /[:%]| of /); taken = a[2]; n = a[4]; on = 0}
            END {printf "%s %.0f %d %.0f %d\n", name, lines * n_lines / 100, n_lines, taken * n / 100, n}'
    done | awk -v least="$LEAST" '
        function row(name, l, nl, b, nb) {
            printf "%-28s %5d of %5d lines %6.2f %%   %5d of %5d branches %6.2f %%\n", name, l, nl, nl ? 100 * l / nl : 0,
                b, nb, nb ? 100 * b / nb : 0
        }
        {row("dataplane/" $1 ".c", $2, $3, $4, $5); l += $2; nl += $3; b += $4; nb += $5; if ($3 == 0) empty = 1}
        END {
            row("the responder", l, nl, b, nb)
            if (empty || nb == 0) {print "coverage.sh: gcov counted nothing of a file"; exit 1}
            if (100 * b < least * nb) {print "coverage.sh: expected at least " least " % of the branches"; exit 1}
        }'
}

main() {
    if [[ ${1:-} == --count ]]; then
        COUNT=$2
    elif (($# > 0)); then
        printf 'usage: tests/coverage.sh [--count N]\n' >&2
        exit 2
    fi
    FOLDER=$(mktemp -d)
    trap 'rm -rf "$FOLDER"' EXIT
    export CK_DEFAULT_TIMEOUT=240
    compile
    run
    count
}

main "$@"
