#!/bin/bash
# loadgen against the real bounceline-dataplane on this machine. See --help.
set -euo pipefail

BL_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
BL_BUILD=${BL_BUILD:-$BL_ROOT/build}
BL_DATAPLANE=${BL_DATAPLANE:-$BL_BUILD/bounceline-dataplane}
BL_LOADGEN=${BL_LOADGEN:-$BL_BUILD/perf/loadgen}
WIRE=memif
DATAPLANE_CPUS=0@0,1@1
LOADGEN_CPU=0
RING=11
TABLE=''
LISTS=()
SETTINGS=()
REST=()
DIR=''
PLANE=''
URL='https://delist.example.net/?ip={address}'

usage() {
    cat <<'EOT'
Usage: perf/loadgen_here.sh [--wire memif|veth] [--listed FILE[=CODE]]... [--url URL] [--set 'KEY: VALUE']... [--keys] [--table FILE]
                            [--plane-lcores LCORES] [--loadgen-cpu N] [--ring N]
                            [-- LOADGEN OPTIONS]

Starts a data plane on two wires, with the lists as its table file and no control plane, runs loadgen on the other ends
of the wires with the same lists, ends everything, and exits with loadgen's code. Must run as root.

  --wire memif    two processes, shared memory, no kernel (default)
  --wire veth     net_af_packet on veth pairs in a network namespace that is made and removed: the port is the limit
  --listed        as loadgen's; without one a made list of 1,000 IPv4 and 1,000 IPv6 prefixes
  --table         this table file instead of one of the lists
  --url           of the 550, of both programs
  --set           a line for section dataplane of the settings, such as 'workers: 2'
  --keys          cookies and tickets are verified with keys that are made for the run; the URL gets a {ticket}
  --plane-lcores  DPDK's lcores of the data plane, main first (default: 0@0,1@1)
  --ring          2^N frames wait in each memif ring (default: 11)
  --loadgen-cpu   default: 0, with the data plane's main core, which mostly sleeps

Programs: BL_BUILD, BL_DATAPLANE, BL_LOADGEN. Anything behind -- is loadgen's: see loadgen --help.
EOT
}

die() {
    printf 'loadgen_here.sh: %s\n' "$*" >&2
    exit "${CODE:-3}"
}

parse() {
    while (($# > 0)); do
        case $1 in
            --help | -h) usage; exit 0 ;;
            --keys) KEYS=yes; shift; continue ;;
            --) shift; REST=("$@"); return ;;
            --wire | --listed | --url | --set | --plane-lcores | --loadgen-cpu | --ring | --table)
                (($# > 1)) || CODE=2 die "$1: expected a value: see --help" ;;
            *) CODE=2 die "$1 is not an option: see --help" ;;
        esac
        case $1 in
            --wire) WIRE=$2 ;;
            --listed) LISTS+=(--listed "$2") ;;
            --url) URL=$2 ;;
            --set) SETTINGS+=("$2") ;;
            --plane-lcores) DATAPLANE_CPUS=$2 ;;
            --loadgen-cpu) LOADGEN_CPU=$2 ;;
            --ring) RING=$2 ;;
            --table) TABLE=$2 ;;
        esac
        shift 2
    done
}

cleanup() {
    local status=$?
    trap - EXIT INT TERM HUP
    if [[ -n $PLANE ]]; then
        kill -TERM "$PLANE" 2>/dev/null || true
        wait "$PLANE" 2>/dev/null || true
    fi
    ip netns del "$NAMESPACE" 2>/dev/null || true
    if [[ -n $DIR ]]; then rm -rf "$DIR"; fi
    # What DPDK makes and leaves, empty: loadgen removes its own, unless it was killed.
    rmdir "/var/run/dpdk/loadgen-$$" 2>/dev/null || true
    exit "$status"
}

# Hosts and /64s of the documentation networks would do, but senders are all over the world.
make_list() {
    awk 'BEGIN {
        srand(7)
        for (i = 0; i < 1000; i++) printf "%d.%d.%d.%d\n", 11 + int(rand() * 110), i % 251, rand() * 256, rand() * 256
        for (i = 0; i < 1000; i++) printf "2a%02x:%x:%x:%x::/64\n", rand() * 256, i + 1, 1 + rand() * 65000, 1 + rand() * 65000
    }' | sort -u >"$DIR/list"
    LISTS=(--listed "$DIR/list")
}

# veth NAME: NAME is the data plane's end, NAME-far loadgen's; no offloads, no addresses of the kernel's.
veth() {
    local end
    ip -n "$NAMESPACE" link add "$1" type veth peer name "$1-far"
    for end in "$1" "$1-far"; do
        ip netns exec "$NAMESPACE" sysctl -qw "net.ipv6.conf.$end.disable_ipv6=1"
        ip netns exec "$NAMESPACE" ethtool -K "$end" rx off tx off sg off tso off gso off gro off >/dev/null
        ip -n "$NAMESPACE" link set "$end" promisc on up
    done
}

# Sets WAN and LAN (the data plane's), PORTS (loadgen's EAL arguments) and IN (how a program is started).
make_wires() {
    case $WIRE in
        memif)
            WAN="net_memif_wan,role=server,id=0,rsize=$RING,socket-abstract=no,socket=$DIR/wan.memif"
            LAN="net_memif_lan,role=server,id=0,rsize=$RING,socket-abstract=no,socket=$DIR/lan.memif"
            PORTS=(--vdev "net_memif0,role=client,id=0,rsize=$RING,socket-abstract=no,socket=$DIR/wan.memif"
                --vdev "net_memif1,role=client,id=0,rsize=$RING,socket-abstract=no,socket=$DIR/lan.memif")
            IN=()
            ;;
        veth)
            ip netns add "$NAMESPACE"
            veth wan
            veth lan
            WAN=wan
            LAN=lan
            PORTS=(--vdev "net_af_packet0,iface=wan-far,framesz=2048,blocksz=4096,framecnt=2048"
                --vdev "net_af_packet1,iface=lan-far,framesz=2048,blocksz=4096,framecnt=2048")
            IN=(ip netns exec "$NAMESPACE")
            ;;
        *) CODE=2 die "--wire $WIRE: expected memif or veth" ;;
    esac
}

write_settings() {
    local line
    cat <<EOT
dataplane:
  name: loadgen
  wan: "$WAN"
  lan: "$LAN"
  hostname: mx.example.org
  sync_socket: $DIR/sync.sock
  table_file: $DIR/table
  memory_mb: ${BL_PLANE_MB:-512}
EOT
    [[ -z $DATAPLANE_CPUS ]] || printf '  lcores: "%s"\n' "$DATAPLANE_CPUS"
    if [[ -n ${KEYS:-} ]]; then printf '  cookie_key_file: %s\n  ticket_key_file: %s\n' "$DIR/cookie.key" "$DIR/ticket.key"; fi
    for line in "${SETTINGS[@]}"; do printf '  %s\n' "$line"; done
}

forwards() {
    kill -0 "$PLANE" 2>/dev/null || die "the data plane ended: $(tail -n 5 "$DIR/log")"
    grep -q 'forwarding between' "$DIR/log"
}

main() {
    local end=$((SECONDS + 30)) status=0 more=()
    NAMESPACE=bl-loadgen-$$
    parse "$@"
    ((EUID == 0)) || CODE=2 die "must run as root: huge pages, namespaces"
    [[ -x $BL_LOADGEN && -x $BL_DATAPLANE ]] || die "$BL_LOADGEN or $BL_DATAPLANE is not there: build them first"
    DIR=$(mktemp -d /run/bounceline-loadgen.XXXXXX)
    trap cleanup EXIT
    trap 'exit 130' INT TERM HUP
    ((${#LISTS[@]} > 0)) || make_list
    if [[ -n ${KEYS:-} ]]; then
        (umask 077; head -c 16 /dev/urandom >"$DIR/cookie.key"; head -c 16 /dev/urandom >"$DIR/ticket.key")
        more=(--cookie-key "$DIR/cookie.key" --ticket-key "$DIR/ticket.key")
        [[ $URL == *'{ticket}'* ]] || URL+='&t={ticket}'
    fi
    if [[ -n $TABLE ]]; then
        install -m 600 "$TABLE" "$DIR/table"
    else
        "$BL_BUILD/perf/make_table_file" --url "$URL" "${LISTS[@]}" "$DIR/table" >&2
    fi
    make_wires
    write_settings >"$DIR/bounceline.yaml"
    "${IN[@]}" "$BL_DATAPLANE" --config "$DIR/bounceline.yaml" </dev/null 2>"$DIR/log" &
    PLANE=$!
    until forwards; do
        ((SECONDS < end)) || die "the data plane does not forward after 30 s: $(tail -n 5 "$DIR/log")"
        sleep 0.05
    done
    "${IN[@]}" "$BL_LOADGEN" --lcores "0@$LOADGEN_CPU" --no-pci --in-memory -m "${BL_LOADGEN_MB:-256}" --no-telemetry \
        --file-prefix "loadgen-$$" --log-level=pmd.net.memif:critical --log-level=*:warning "${PORTS[@]}" -- --stop-first "$PLANE" "${LISTS[@]}" --url "$URL" "${more[@]}" \
        "${REST[@]}" || status=$?
    [[ -z ${BL_LOG:-} ]] || cp "$DIR/log" "$BL_LOG"
    return "$status"
}

main "$@"
