#!/bin/bash
# Runs table_race (the first argument, built with ThreadSanitizer): the program as it is must be clean, and each planted
# race must be found. Exit: 0 both, 1 not, 77 the sanitizer does not run here.
set -euo pipefail

program=$1
export TSAN_OPTIONS='exitcode=66 halt_on_error=1 second_deadlock_stack=1'
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# race ARGUMENT...: the program's exit code; its words are in $log.
race() {
    local status=0
    timeout 120 "$program" "$@" >"$log" 2>&1 || status=$?
    printf '%s' "$status"
}

status=$(race)
if grep -q 'FATAL: ThreadSanitizer' "$log"; then
    printf 'skipped: %s\n' "$(grep -m1 'FATAL: ThreadSanitizer' "$log")"
    exit 77
fi
cat "$log"
if [[ $status != 0 ]]; then
    printf 'table_race: exit %s: expected 0\n' "$status"
    exit 1
fi
# Whether the threads meet is up to the scheduler: a race that was planted has three tries to be seen.
for plant in shared freed master; do
    for ((try = 1; try <= 3; try++)); do
        status=$(race --plant "$plant")
        if [[ $status == 66 ]] && grep -qE 'ThreadSanitizer: (data race|heap-use-after-free)' "$log"; then break; fi
    done
    if ((try > 3)); then
        tail -n 20 "$log"
        printf 'table_race: the planted race "%s" was not found: exit %s\n' "$plant" "$status"
        exit 1
    fi
    printf 'found "%s": %s\n' "$plant" "$(grep -m1 -oE 'SUMMARY: ThreadSanitizer: [a-z -]+' "$log")"
done
