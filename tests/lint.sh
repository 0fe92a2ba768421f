#!/bin/bash
# shellcheck disable=SC2317  # the checks are called by name, at the end
# Checks what no compiler does: layout, who includes whom, sizes, words, and that the README tells the truth.
#
#   tests/lint.sh           all checks
#   tests/lint.sh CHECK...  some of them: format shell python includes sizes words readme
#
# Prints what is wrong as file:line; exit 0 all well, 1 not, 2 usage. Reads the tree and changes nothing.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
CHECKS=(format shell python includes sizes words readme)

C_LINES_MAX=800
H_LINES_MAX=300
FUNCTION_LINES_MAX=100

# files PATTERN...: tracked files and new ones that are not ignored. The tree may be another user's: root runs the tests.
files() {
    git -c safe.directory="$(pwd -P)" ls-files -co --exclude-standard -- "$@" | while read -r file; do
        if [[ -f $file ]]; then printf '%s\n' "$file"; fi
    done
}

lint_format() {
    files '*.c' '*.h' | xargs -r clang-format-14 --dry-run -Werror --ferror-limit=3
}

lint_shell() {
    { files '*.sh'; printf '.ci/run\n'; } | xargs -r shellcheck -x
}

lint_python() {
    local file status=0
    while read -r file; do
        /usr/bin/python3 -c 'import ast, sys; ast.parse(open(sys.argv[1]).read(), sys.argv[1])' "$file" || status=1
    done < <(files '*.py' perf/bench_wire)
    return "$status"
}

# forbid WHERE PATTERN WHY: no line of the files on standard input may match.
forbid() {
    local found
    found=$(xargs -r grep -nEI -e "$1" -- /dev/null 2>/dev/null) || return 0
    printf '%s\n' "$found" | sed "s|\$|  <- $2|"
    return 1
}

# The pure files are the ones that CMakeLists.txt names for the library bounceline-pure, the codecs those of bl_codec.
pure_files() {
    awk '/add_library\(bounceline-pure/ {on = 1} on {print} on && /\)$/ {exit}' CMakeLists.txt |
        grep -oE 'dataplane/[a-z0-9_]+\.c' | while read -r file; do files "$file" "${file%.c}.h"; done
}

codec_files() {
    { grep -E '^ *bl_codec\(' CMakeLists.txt || true; } | { grep -oE '[a-z/]+[a-z0-9_]+\.c' || true; }
}

lint_includes() {
    local status=0
    files 'include/*.[ch]' | forbid '#include "(dataplane|controlplane|proto)/' 'include/bounceline stands on libc' || status=1
    files 'dataplane/*.[ch]' | forbid '#include "controlplane/' 'the planes never include each other' || status=1
    files 'controlplane/*.[ch]' | forbid '#include "dataplane/' 'the planes never include each other' || status=1
    { pure_files; files 'controlplane/*.[ch]' 'include/*.[ch]' 'proto/*.[ch]'; } |
        forbid '#include [<"]rte_' 'DPDK stays in the data plane, out of the pure files' || status=1
    pure_files | forbid '#include <(sys/socket|sys/time|time|pthread|unistd|poll)\.h>' 'a pure file: no socket, clock or thread' ||
        status=1
    files 'include/*.[ch]' 'dataplane/*.[ch]' 'controlplane/*.[ch]' | grep -vxF -f <(codec_files) |
        forbid '#include .*\.pb-c\.h' 'generated code is for the codecs' || status=1
    files '*.[ch]' | forbid '#include .*\.c[>"]' 'a .c file is never included' || status=1
    return "$status"
}

lint_sizes() {
    local file status=0
    while read -r file; do
        awk -v file="$file" -v c_max="$C_LINES_MAX" -v h_max="$H_LINES_MAX" -v function_max="$FUNCTION_LINES_MAX" '
            /^{/ {start = NR}
            /^}/ && start {
                if (NR - start - 1 > function_max) {
                    printf "%s:%d: function of %d lines: expected at most %d\n", file, start, NR - start - 1, function_max
                    bad = 1
                }
                start = 0
            }
            END {
                # A header of the tests holds code, as a .c file does.
                max = file ~ /\.h$/ && file !~ /^tests\// ? h_max : c_max
                if (NR > max) {printf "%s:%d: %d lines: expected at most %d\n", file, NR, NR, max; bad = 1}
                exit bad
            }' "$file" || status=1
    done < <(files '*.[ch]')
    return "$status"
}

lint_words() {
    local status=0
    files | forbid '[Bb]lac[k][-_ ]?list|[Ww]hit[e][-_ ]?list|\b[Ss]lav[e]' 'see the words of the project' || status=1
    files | forbid '\b(TOD[O]|FIXM[E]|XX[X])\b' 'nothing is left for later in the tree' || status=1
    files | forbid '(^|[^a-z.])/wor[k]/|/hom[e]/[a-z]' 'a path of one machine' || status=1
    return "$status"
}

lint_readme() {
    local command status=0
    for command in dataplane/run.sh tests/run.sh; do
        grep -qF "$command" README.md || { printf 'README.md:1: does not name %s\n' "$command"; status=1; }
        [[ -x $command ]] || { printf '%s:1: not executable\n' "$command"; status=1; }
    done
    /usr/bin/python3 -B tests/lib/readme.py || status=1
    return "$status"
}

main() {
    local check status=0
    if (($# == 0)); then set -- "${CHECKS[@]}"; fi
    # Of no files all would be well.
    if [[ -z $(files CMakeLists.txt) ]]; then
        printf 'lint.sh: git does not list the files of %s\n' "$PWD" >&2
        exit 1
    fi
    for check in "$@"; do
        if [[ " ${CHECKS[*]} " != *" $check "* ]]; then
            printf 'lint.sh: %s: expected one of: %s\n' "$check" "${CHECKS[*]}" >&2
            exit 2
        fi
        "lint_$check" || status=1
    done
    exit "$status"
}

main "$@"
