# shellcheck shell=bash
# Builds a CMake preset; sourced, needs common.sh. Quiet when all goes well, the compiler's words when not.

# What to build; everything when empty.
BUILD_TARGETS=()

# build_preset PRESET FOLDER [CMAKE_OPTION...]
build_preset() {
    local preset=$1 folder=$2 log status=0
    shift 2
    log=$(mktemp)
    cmake -S "$BL_ROOT" --preset "$preset" -B "$folder" "$@" >"$log" 2>&1 || status=$?
    if ((status == 0)); then build_targets "$folder" "$log" || status=$?; fi
    if ((status != 0)); then
        say "Building $preset failed:"
        grep -vE '^\[[0-9]+/[0-9]+\] (Building|Linking|Generating)' "$log" | tail -n 60 >&2 || true
    fi
    rm -f "$log"
    return "$status"
}

# build_targets FOLDER LOG: ninja's [n/m] becomes the progress line.
build_targets() {
    local line
    cmake --build "$1" -j "$(nproc)" ${BUILD_TARGETS[@]+--target "${BUILD_TARGETS[@]}"} 2>&1 | while IFS= read -r line; do
        printf '%s\n' "$line" >>"$2"
        if [[ $line =~ ^\[([0-9]+/[0-9]+)\] ]]; then progress "Building ${BASH_REMATCH[1]}"; fi
    done
}
