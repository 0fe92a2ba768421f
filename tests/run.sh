#!/bin/bash
# Builds everything and runs every test there is. See --help.
#
# One line a test, with its time; a test that fails says why below its line; the last line is the sum. Everything that
# the host has to lend (huge pages, namespaces) is given back at the end, or by the next run after a kill -9.
#
# End to end tests share the cores. One that fails runs a second time when nothing else does: what fails alone too is
# broken; what passes then is "unsteady", is shown as that with what it said, and more than UNSTEADY_MAX fail the run.
# Exit: 0 nothing failed, 1 something did, 2 usage.
set -euo pipefail

TESTS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
for part in common packages build network; do
    # shellcheck disable=SC1090  # dataplane/lab/*.sh, each checked as a file of its own
    . "$TESTS/../dataplane/lab/$part.sh"
done

SKIP_CODE=77
E2E_SECONDS=420
# End to end tests mostly wait: so many at a time. Each has up to two data planes of 256 huge pages, and there are more
# than these need: a data plane counts the free ones before it takes them, and two that start together count the same.
JOBS=5
HUGEPAGES=3072
# The longest of them, so that none is left alone at the end; and what must be alone: it looks at what the host lends.
LONGEST=(test_senders test_tcp test_link test_wire test_durability test_faults test_full_size test_sessions test_portal_browser
    test_portal_round)
ALONE=(test_run)
LONG=no
QUICK=no
ONLY=''
N_PASSED=0
N_FAILED=0
N_SKIPPED=0
N_UNSTEADY=0
UNSTEADY_MAX=2
STATE=''
LOG=''
declare -A RUNNING=() # by process: name|log|start
declare -A COMMANDS=() # by name: what start_test ran, quoted
AGAIN=() # names that failed beside others

usage() {
    cat <<'EOT'
Usage: tests/run.sh [--quick | --long] [--only PATTERN]

Installs the Debian packages that are missing, builds the release (build/) and with AddressSanitizer and
UndefinedBehaviorSanitizer (build/asan/), and runs the checks of the sources, the unit tests in both builds, and the end
to end tests in network namespaces with real mail servers. Must run as root.

  --quick         the release build, checks and unit tests only
  --long          also what takes hours: the fuzzers, and the long form of the end to end tests
  --only PATTERN  only tests whose name matches the regular expression
  --help          this text

An end to end test that fails beside others and passes alone is "unsteady"; three of them are a failure.
The last line is "N passed, N failed, N unsteady, N skipped"; the exit code is 1 if any failed.
EOT
}

parse_options() {
    while (($# > 0)); do
        case $1 in
            --quick) QUICK=yes ;;
            --long) LONG=yes ;;
            --only)
                (($# > 1)) || { printf 'run.sh: --only expects a pattern\n' >&2; exit 2; }
                ONLY=$2
                shift
                ;;
            --help | -h)
                usage
                exit 0
                ;;
            *)
                printf 'run.sh: %s is not an option: see tests/run.sh --help\n' "$1" >&2
                exit 2
                ;;
        esac
        shift
    done
}

# report passed|failed|unsteady|skipped NAME SECONDS [WHY]
report() {
    say "$(printf '%-8s %-52s %8s s  %s' "$1" "$2" "$3" "${4:-}" | sed 's/ *$//')"
    case $1 in
        passed) N_PASSED=$((N_PASSED + 1)) ;;
        failed) N_FAILED=$((N_FAILED + 1)) ;;
        unsteady) N_UNSTEADY=$((N_UNSTEADY + 1)) ;;
        skipped) N_SKIPPED=$((N_SKIPPED + 1)) ;;
    esac
}

wanted() {
    [[ -z $ONLY || $1 =~ $ONLY ]]
}

# elapsed START_MS: seconds since then, with one decimal.
elapsed() {
    local ms=$(($(now_ms) - $1))
    printf '%d.%d' "$((ms / 1000))" "$((ms % 1000 / 100))"
}

# run_test NAME COMMAND...: one test that is one command; its words are shown when it fails.
run_test() {
    local name=$1 start status=0
    shift
    wanted "$name" || return 0
    progress "$name"
    start=$(now_ms)
    "$@" >"$LOG" 2>&1 </dev/null || status=$?
    report_run "$name" "$(elapsed "$start")" "$status" "$LOG"
}

# report_run NAME SECONDS STATUS LOG
report_run() {
    case $3 in
        0) report passed "$1" "$2" "$(grep -oE 'median .*' "$4" | head -n 1 || true)" ;;
        "$SKIP_CODE") report skipped "$1" "$2" "$(tail -n 1 "$4")" ;;
        *)
            report failed "$1" "$2" "exit $3"
            tail -n 60 "$4" | sed 's/^/    /'
            ;;
    esac
}

# start_test NAME COMMAND...: run_test in the background, as soon as fewer than JOBS run; finish_tests reports the rest.
start_test() {
    local name=$1 log
    shift
    wanted "$name" || return 0
    while ((${#RUNNING[@]} >= JOBS)); do finish_test; done
    log=$(mktemp)
    "$@" >"$log" 2>&1 </dev/null &
    RUNNING[$!]="$name|$log|$(now_ms)"
    COMMANDS[$name]=$(printf '%q ' "$@")
    progress_running
}

progress_running() {
    local job names=''
    for job in "${RUNNING[@]}"; do names+=" ${job%%|*}"; done
    progress "${names# }"
}

# finish_test: waits for whichever test ends first, and reports it; a failure is left to run_again.
finish_test() {
    local pid='' status=0 name log start
    wait -n -p pid "${!RUNNING[@]}" || status=$?
    IFS='|' read -r name log start <<<"${RUNNING[$pid]}"
    unset "RUNNING[$pid]"
    if ((status != 0 && status != SKIP_CODE)); then
        say "$name failed beside others ($(elapsed "$start") s, exit $status), and runs again alone:"
        tail -n 60 "$log" | sed 's/^/    /'
        AGAIN+=("$name")
    else
        report_run "$name" "$(elapsed "$start")" "$status" "$log"
    fi
    rm -f "$log"
    if ((${#RUNNING[@]} > 0)); then progress_running; fi
}

finish_tests() {
    while ((${#RUNNING[@]} > 0)); do finish_test; done
}

# run_again: what failed beside others, one at a time.
run_again() {
    local name start status
    for name in ${AGAIN[@]+"${AGAIN[@]}"}; do
        status=0
        start=$(now_ms)
        progress "$name"
        eval "${COMMANDS[$name]}" >"$LOG" 2>&1 </dev/null || status=$?
        if ((status == 0)); then
            report unsteady "$name" "$(elapsed "$start")" "passed alone"
        else
            report_run "$name" "$(elapsed "$start")" "$status" "$LOG"
        fi
    done
    AGAIN=()
}

# build NAME PRESET FOLDER: a build is a test too; false when it failed.
build() {
    local start
    start=$(now_ms)
    if build_preset "$2" "$3" -DBL_TESTS=ON; then
        report passed "$1" "$(elapsed "$start")"
    else
        report failed "$1" "$(elapsed "$start")"
        return 1
    fi
}

# unit_tests FOLDER LABEL: ctest's lines become ours as they come. Whatever ctest says of a test that is not "Passed" or
# "Skipped" is a failure, and so is a run without any test.
unit_tests() {
    local line n=0
    local result='^ *[0-9]+/[0-9]+ +Test +#[0-9]+: ([^ ]+) ?(.*[^0-9.])([0-9.]+) sec'
    while IFS= read -r line; do
        if [[ $line =~ $result ]]; then
            n=$((n + 1))
            unit_test "${BASH_REMATCH[1]} ($2)" "${BASH_REMATCH[2]}" "${BASH_REMATCH[3]}"
        elif [[ $line =~ ^[0-9]+%\ tests\ passed ]]; then
            break
        elif [[ ! $line =~ ^(Test project|Internal ctest|\ +Start\ |Total|$) ]]; then
            printf '    %s\n' "$line"
        fi
    done < <(ctest --test-dir "$1" -j "$(nproc)" --output-on-failure ${ONLY:+-R "$ONLY"} 2>&1 || true)
    if ((n == 0)) && [[ -z $ONLY ]]; then report failed "unit tests ($2)" 0.0 "ctest ran none"; fi
}

# unit_test NAME STATE SECONDS: STATE is what ctest wrote between the name and the time.
unit_test() {
    local state
    state=$(tr -d '.*' <<<"$2" | xargs)
    case $state in
        Passed) report passed "$1" "$3" ;;
        Skipped) report skipped "$1" "$3" ;;
        *) report failed "$1" "$3" "$state" ;;
    esac
}

# e2e_names: tests/e2e/test_*.py without the ending, the longest first, those that must be alone last.
e2e_names() {
    local file
    printf '%s\n' "${LONGEST[@]}"
    for file in "$TESTS"/e2e/test_*.py; do basename "$file" .py; done | grep -vxF -f <(printf '%s\n' "${LONGEST[@]}" "${ALONE[@]}")
    printf '%s\n' "${ALONE[@]}"
}

# end_to_end LABEL BUILD [PATTERN]: starts every tests/e2e/test_*.py, with the programs of that build, several at a time.
end_to_end() {
    local name sleep_us
    while read -r name; do
        [[ $name =~ ${3:-.} ]] || continue
        if [[ " ${ALONE[*]} " == *" $name "* ]]; then finish_tests; fi
        # Idle workers of several labs take turns on few cores: they sleep longer, but where an update's way is timed.
        # At 1000 they took a quarter of two cores.
        if [[ $name == test_enforce || $name == test_dataplane ]]; then sleep_us=160; else sleep_us=3000; fi
        start_test "e2e/$name ($1)" env BL_BUILD="$2" BL_SOURCE="$BL_ROOT" BL_LAB_IDLE_SLEEP_US="$sleep_us" \
            BL_SHARED_DATA="$BL_ROOT/../shared/data" \
            timeout --kill-after=10 "$E2E_SECONDS" /usr/bin/python3 -B "$TESTS/e2e/$name.py"
    done < <(e2e_names)
}

# Each fuzzer for ten minutes on a copy of its corpus; what it finds stays in build/fuzz for a person.
fuzzers() {
    local file name
    build "build/fuzz" fuzz "$BL_BUILD/fuzz" || return 0
    for file in "$TESTS"/fuzz/fuzz_*.c; do
        name=$(basename "$file" .c)
        mkdir -p "$BL_BUILD/fuzz/corpus/$name"
        cp -n "$TESTS/fuzz/corpus/$name"/* "$BL_BUILD/fuzz/corpus/$name/" 2>/dev/null || true
        run_test "fuzz/$name (libFuzzer, 10 minutes)" "$(find "$BL_BUILD/fuzz" -type f -name "$name" -perm -u+x)" \
            -max_total_time=600 -artifact_prefix="$BL_BUILD/fuzz/" "$BL_BUILD/fuzz/corpus/$name"
    done
}

checks() {
    local check
    for check in format shell python includes sizes words readme; do
        run_test "lint/$check" "$TESTS/lint.sh" "$check"
    done
}

cleanup() {
    local status=$? pid
    trap - EXIT INT TERM HUP
    # Each ends its own lab when it is told to.
    for pid in "${!RUNNING[@]}"; do kill -TERM "$pid" 2>/dev/null || true; done
    wait
    rm -f "$LOG"
    if [[ -n $STATE ]]; then lab_end "$STATE"; fi
    exit "$status"
}

prepare() {
    packages_install build lab test perf
    lab_sweep
    trap cleanup EXIT
    trap 'exit 130' INT TERM HUP
    LOG=$(mktemp)
    STATE=$(lab_create $$)
    if ! hugepages_take "$STATE" "$HUGEPAGES"; then
        say "Fewer than $HUGEPAGES huge pages to be had: some data planes run on ordinary memory, one test at a time."
        JOBS=1
    fi
    if [[ $LONG == yes ]]; then
        export BL_LONG=1 # unit tests and end to end tests look at it
        E2E_SECONDS=14400
    fi
}

main() {
    local start built=yes asan=yes
    parse_options "$@"
    require_root "tests/run.sh $*"
    start=$(now_ms)
    prepare
    checks
    build "build/release" release "$BL_BUILD" || built=no
    if [[ $QUICK == yes ]]; then
        asan=no
    else
        build "build/asan" asan "$BL_BUILD/asan" || asan=no
    fi
    if [[ $built == yes ]]; then unit_tests "$BL_BUILD" release; fi
    if [[ $asan == yes ]]; then unit_tests "$BL_BUILD/asan" asan; fi
    # Those under ASan first: they are long, and the last of the release's must be alone.
    if [[ $asan == yes ]]; then end_to_end asan "$BL_BUILD/asan" '^test_(dataplane|rejects|limits)$'; fi
    if [[ $QUICK == no ]]; then start_test "coverage of the responder" "$TESTS/coverage.sh"; fi
    if [[ $built == yes && $QUICK == no ]]; then end_to_end release "$BL_BUILD"; fi
    finish_tests
    run_again
    if [[ $LONG == yes ]]; then fuzzers; fi
    say "Everything took $(elapsed "$start") s."
    printf '%s passed, %s failed, %s unsteady, %s skipped\n' "$N_PASSED" "$N_FAILED" "$N_UNSTEADY" "$N_SKIPPED"
    ((N_FAILED == 0 && N_UNSTEADY <= UNSTEADY_MAX))
}

main "$@"
