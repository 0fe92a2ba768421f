#!/bin/bash
# Builds Bounceline and shows it at work: a lab of network namespaces with a real mail server on both sides, or the two
# planes on this host's interfaces. See --help. Installs what is missing of dataplane/packages.txt.
#
#   dataplane/run.sh → lab/packages.sh, lab/build.sh → lab/network.sh, lab/postfix.sh, lab/appliance.sh → lab/story.sh
#
# Everything of a lab is in one directory of /run/bounceline-lab and three namespaces; it goes when the script ends,
# however it ends. Exit: 0 all was seen, 1 something was not, 2 usage.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
for part in common packages build network postfix appliance portal story ports; do
    # shellcheck disable=SC1090  # lab/*.sh, each checked as a file of its own
    . "$HERE/lab/$part.sh"
done

LAB_HUGEPAGES=512
KEEP=no
ACTION=lab
WAN=''
LAN=''
CONFIG=''
LAB=''

usage() {
    cat <<'EOT'
Usage: dataplane/run.sh [--keep]
       dataplane/run.sh --end
       dataplane/run.sh --wan IF --lan IF [--config FILE]

Without arguments: makes a sending mail server, Bounceline and a receiving mail server in network namespaces, lists the
sender, shows the bounce that its user gets, delists it, shows that the mail arrives; then once more with the delist
portal and a real browser; and takes everything away.

  --keep          leave the lab running, and say what to try in it
  --end           end the labs that were kept
  --wan IF        put Bounceline between two interfaces of this host, in the foreground: IF is toward the internet
  --lan IF        and IF toward the mail servers
  --config FILE   with --wan and --lan: these settings, not those of dataplane/bounceline.yaml (wan and lan are replaced)
  --help          this text

Installs the Debian packages that are missing and builds into build/ first. Must run as root.
EOT
}

usage_error() {
    printf 'run.sh: %s: see dataplane/run.sh --help\n' "$1" >&2
    exit 2
}

parse_options() {
    while (($# > 0)); do
        case $1 in
            --keep) KEEP=yes ;;
            --end) ACTION=end ;;
            --wan | --lan | --config)
                (($# > 1)) || usage_error "$1 expects a value"
                case $1 in
                    --wan) WAN=$2 ;;
                    --lan) LAN=$2 ;;
                    --config) CONFIG=$2 ;;
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
    if [[ -n $WAN$LAN ]]; then
        [[ -n $WAN && -n $LAN ]] || usage_error "--wan and --lan go together"
        [[ $ACTION == lab && $KEEP == no ]] || usage_error "--wan and --lan make no lab"
        ACTION=ports
    elif [[ -n $CONFIG ]]; then
        usage_error "--config goes with --wan and --lan"
    fi
}

prepare() {
    packages_install build lab
    # shellcheck disable=SC2034  # lab/build.sh reads it
    BUILD_TARGETS=(bounceline-dataplane bounceline-controlplane bounceline-portal bounceline)
    build_preset release "$BL_BUILD"
}

lab_cleanup() {
    local status=$?
    trap - EXIT INT TERM HUP
    if [[ -n $LAB && ! -e $LAB/keep ]]; then lab_end "$LAB"; fi
    exit "$status"
}

lab_make() {
    local hugepages
    lab_sweep
    trap lab_cleanup EXIT
    trap 'rm -f "$LAB/keep"; exit 130' INT TERM HUP
    LAB=$(lab_create $$)
    hugepages=$(hugepages_setting "$LAB" "$LAB_HUGEPAGES")
    if [[ $hugepages == off ]]; then say "No huge pages to be had here: the data plane runs on ordinary memory."; fi
    progress "Making three network namespaces"
    network_up "$LAB"
    postfix_up "$LAB"
    appliance_config "$LAB" 2 "$hugepages"
    progress "Starting Bounceline"
    appliance_up "$LAB"
    say "The lab runs: sender $LAB_SENDER_IPV4 and $LAB_SENDER_IPV6, Bounceline with 2 workers, receiver $LAB_RECEIVER_IPV4."
}

lab_keep() {
    local name
    name=$(basename "$LAB")
    : >"$LAB/keep"
    cat <<EOT

The lab is left running. Try:
    bounceline() { $BL_BUILD/bounceline --socket $LAB/control.sock "\$@"; }
    bounceline status
    bounceline list $LAB_SENDER_IPV4 --code 649 --reason "because I can" --wait enforced
    bounceline lookup $LAB_SENDER_IPV4
    printf 'Subject: hello\n\nhello\n' | ip netns exec $name-sender sendmail -C $LAB/sender/etc -f alice@$POSTFIX_SENDER_DOMAIN bob@v4.$POSTFIX_RECEIVER_DOMAIN
    ls $LAB/sender/mail/alice/new $LAB/receiver/mail/bob/new
    ip netns exec $name-appliance tcpdump -ni wan0 port 25
End it:
    dataplane/run.sh --end
EOT
}

run_lab() {
    local status=0
    lab_make
    story_tell "$LAB" || status=1
    if [[ $KEEP == yes ]]; then lab_keep; fi
    if ((status == 0)); then
        say "All was seen: bounced with the 550 while listed, delivered after the delist, over IPv4 and IPv6."
    fi
    return "$status"
}

run_end() {
    local dir n=0
    for dir in "$LAB_HOME"/bl??????; do
        [[ -e $dir/keep ]] || continue
        lab_end "$dir"
        n=$((n + 1))
    done
    lab_sweep
    say "$n kept lab(s) ended."
}

main() {
    parse_options "$@"
    require_root "dataplane/run.sh $*"
    case $ACTION in
        end) run_end ;;
        ports)
            prepare
            ports_run "$WAN" "$LAN" "${CONFIG:-$HERE/bounceline.yaml}"
            ;;
        lab)
            prepare
            run_lab
            ;;
    esac
}

main "$@"
