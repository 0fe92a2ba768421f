# shellcheck shell=bash
# Installs what is missing of dataplane/packages.txt. Sourced; needs common.sh.
#
# Silent and without effect when everything is there. Asks no question, and starts no daemon: a mail server that a
# package's script starts would listen on this host's port 25.

BL_POLICY=/usr/sbin/policy-rc.d

# packages_wanted SECTION...: the packages of the sections, one a line.
packages_wanted() {
    local wanted=" $* " section='' line
    while read -r line; do
        line=${line%%#*}
        line=${line// /}
        case $line in
            '') ;;
            \[*\]) section=${line:1:-1} ;;
            *) if [[ $wanted == *" $section "* ]]; then printf '%s\n' "$line"; fi ;;
        esac
    done <"$BL_ROOT/dataplane/packages.txt"
}

packages_missing() {
    local name
    packages_wanted "$@" | while read -r name; do
        # shellcheck disable=SC2016  # the format is dpkg's, not the shell's
        [[ $(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null) == installed ]] || printf '%s\n' "$name"
    done
}

# A policy that forbids every start, while apt runs; the one that was there comes back. A run that was killed may have
# left ours behind: it is not saved as if it had been the host's.
packages_policy_set() {
    if [[ -e $BL_POLICY ]] && ! grep -q 'by bounceline' "$BL_POLICY"; then mv "$BL_POLICY" "$BL_POLICY.bounceline"; fi
    printf '#!/bin/sh\n# put here by bounceline while it installs packages\nexit 101\n' >"$BL_POLICY"
    chmod 755 "$BL_POLICY"
}

packages_policy_restore() {
    rm -f "$BL_POLICY"
    if [[ -e $BL_POLICY.bounceline ]]; then mv "$BL_POLICY.bounceline" "$BL_POLICY"; fi
}

# packages_install SECTION...
packages_install() (
    local missing log
    mapfile -t missing < <(packages_missing "$@")
    if ((${#missing[@]} == 0)); then return 0; fi
    say "Installing ${#missing[@]} packages: ${missing[*]}"
    log=$(mktemp)
    packages_policy_set
    trap 'packages_policy_restore; rm -f "$log"' EXIT
    trap 'exit 130' INT TERM
    export DEBIAN_FRONTEND=noninteractive DEBCONF_NONINTERACTIVE_SEEN=true NEEDRESTART_SUSPEND=1
    # Postfix's script would ask for a kind of mail system; this one is for the lab, nothing of it runs on the host.
    if ! packages_apt "${missing[@]}" >"$log" 2>&1 </dev/null; then
        tail -n 30 "$log" >&2
        warn "could not install ${missing[*]}"
        return 1
    fi
)

packages_apt() {
    apt-get -q update &&
        printf 'postfix postfix/main_mailer_type select No configuration\n' | postfix_preseed &&
        apt-get -q -y --no-install-recommends -o Dpkg::Options::=--force-confold install "$@"
}

# Only where Postfix is not there yet: an installed one keeps its own answers.
postfix_preseed() {
    if [[ -d /etc/postfix ]]; then cat >/dev/null; else debconf-set-selections; fi
}
