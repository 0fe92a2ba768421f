# shellcheck shell=bash
# Shared by dataplane/run.sh, dataplane/lab/lab.sh and tests/run.sh: words for people, and the places.
#
# Sourced, never run. Sets BL_ROOT (the tree) and BL_BUILD (the release build); owns nothing else.

BL_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
BL_BUILD=${BL_BUILD:-$BL_ROOT/build}

# One line that a person reads; on a terminal it takes the place of the progress line before it.
say() {
    if [[ -t 1 ]]; then printf '\r\033[K%s\n' "$*"; else printf '%s\n' "$*"; fi
}

# What is being waited for. On a terminal the next line takes its place; in a pipe it is left out.
progress() {
    if [[ -t 1 ]]; then printf '\r\033[K%s ...' "$*"; fi
}

warn() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
}

die() {
    warn "$*"
    exit 1
}

# Everything here makes namespaces and opens raw ports: without root nothing can work, so say what to type.
require_root() {
    if ((EUID != 0)); then
        printf '%s must run as root: sudo %s\n' "$(basename "$0")" "$*" >&2
        exit 2
    fi
}

# Milliseconds of the wall clock: for durations that a person reads.
now_ms() {
    local LC_ALL=C us
    us=${EPOCHREALTIME/./}
    printf '%s\n' "$((us / 1000))"
}

# Seconds with one decimal, from milliseconds.
seconds() {
    printf '%d.%d s' "$(($1 / 1000))" "$(($1 % 1000 / 100))"
}

# wait_until SECONDS COMMAND...: true as soon as the command is; false when the time is over.
wait_until() {
    local end=$(($(now_ms) + $1 * 1000))
    shift
    until "$@"; do
        (($(now_ms) < end)) || return 1
        sleep 0.02
    done
}
