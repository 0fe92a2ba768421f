#!/bin/bash
# Measures everything side by side with its peers and writes a report. See --help and perf/README.md.
#
#   perf/lab.sh → packages, release build, huge pages → lab/run.py: the benches, figures.csv, report.html
#
# The huge pages go back when it ends, however it ends.
set -euo pipefail

PERF=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
for part in common packages build network; do
    # shellcheck disable=SC1090  # dataplane/lab/*.sh, each checked as a file of its own
    . "$PERF/../dataplane/lab/$part.sh"
done

HUGEPAGES=3072
OUT=''
BASELINE=''
ARGUMENTS=()
MODE=''
BUILD=yes
STATE=''

usage() {
    cat <<'EOT'
Usage: perf/lab.sh --quick | --full [--only PATTERN] [--baseline FILE] [--out FOLDER] [--no-build]

Installs the Debian packages that are missing, builds the release, takes huge pages, runs every bench with its peers,
one after the other, and writes into a folder: report.html (one page, nothing from elsewhere), figures.csv, the plots,
a log and a CSV of each bench. Must run as root, on a machine that does nothing else.

  --quick          under 3 minutes, builds aside: does it all work? Not for claims
  --full           under 40 minutes
  --only PATTERN   only benches whose name matches the regular expression
  --baseline FILE  figures.csv of an earlier run: its ratios and sizes are compared with this run's
  --out FOLDER     where to write (default: build/lab/DATE-TIME)
  --no-build       measure what is in build/ (or BL_BUILD) as it is
  --help           this text

Exit: 0 measured, 1 a bench failed or none could run, 2 usage, 3 the machine was not quiet: what was measured is no
result, 4 a promise is not met, 5 something is worse than in the earlier run. What could not be run is named.
EOT
}

usage_error() {
    printf 'lab.sh: %s: see perf/lab.sh --help\n' "$1" >&2
    exit 2
}

parse_options() {
    while (($# > 0)); do
        case $1 in
            --quick | --full)
                [[ -z $MODE || $MODE == "$1" ]] || usage_error "--quick and --full are two things"
                MODE=$1
                ;;
            --no-build) BUILD=no ;;
            --only | --baseline | --out)
                (($# > 1)) || usage_error "$1 expects a value"
                case $1 in
                    --only) ARGUMENTS+=(--only "$2") ;;
                    --baseline) BASELINE=$2 ;;
                    --out) OUT=$2 ;;
                esac
                shift
                ;;
            --help | -h)
                usage
                exit 0
                ;;
            *) usage_error "$1 is not an option" ;;
        esac
        shift
    done
    [[ -n $MODE ]] || usage_error "expected --quick or --full"
    if [[ $MODE == --quick ]]; then ARGUMENTS+=(--quick); fi
    if [[ -n $BASELINE ]]; then
        [[ -r $BASELINE ]] || usage_error "--baseline $BASELINE: no file that can be read"
        ARGUMENTS+=(--baseline "$BASELINE")
    fi
}

cleanup() {
    local status=$?
    trap - EXIT INT TERM HUP
    if [[ -n ${CHILD:-} ]]; then
        kill -TERM "$CHILD" 2>/dev/null || true
        wait "$CHILD" || true
    fi
    if [[ -n $STATE ]]; then lab_end "$STATE"; fi
    exit "$status"
}

prepare() {
    packages_install build lab perf peers
    if [[ $BUILD == yes ]]; then build_preset release "$BL_BUILD"; fi
    lab_sweep
    trap cleanup EXIT
    trap 'exit 130' INT TERM HUP
    STATE=$(lab_create $$)
    if ! hugepages_take "$STATE" "$HUGEPAGES"; then
        warn "fewer than $HUGEPAGES huge pages to be had: what needs them is slower, or can't run"
    fi
}

main() {
    local status=0
    parse_options "$@"
    require_root "perf/lab.sh $*"
    prepare
    OUT=${OUT:-$BL_BUILD/lab/$(date +%Y%m%d-%H%M%S)}
    BL_BUILD=$BL_BUILD /usr/bin/python3 -B "$PERF/lab/run.py" "${ARGUMENTS[@]}" --out "$OUT" &
    CHILD=$!
    wait "$CHILD" || status=$?
    CHILD=''
    return "$status"
}

main "$@"
