# shellcheck shell=bash
# The two planes on two interfaces of this host, in the foreground. Sourced; needs common.sh and network.sh.
#
# Changes on each interface what a bump in the wire needs, and changes it back at the end: offloads off (with them the
# kernel hands over frames that no wire carries), promiscuous, up, no IPv6 of the host's own. An interface that is the
# host's way out is refused: the host would lose its network.

PORTS_DIR=''
PORTS_OFFLOADS='rx-checksumming tx-checksumming scatter-gather tcp-segmentation-offload generic-segmentation-offload
    generic-receive-offload'

ports_run() {
    local port status=0
    for port in "$1" "$2"; do ports_check "$port"; done
    [[ $1 != "$2" ]] || die "--wan and --lan are both $1: expected two interfaces"
    [[ -r $3 ]] || die "$3: can't be read"
    PORTS_DIR=$(mktemp -d /run/bounceline-ports.XXXXXX)
    trap 'ports_restore' EXIT
    trap 'exit 130' INT TERM HUP
    for port in "$1" "$2"; do ports_prepare "$port"; done
    mkdir -p /run/bounceline
    if ! hugepages_take "$PORTS_DIR" "$LAB_HUGEPAGES"; then warn "fewer than $LAB_HUGEPAGES huge pages to be had"; fi
    ports_config "$3" "$1" "$2" >"$PORTS_DIR/bounceline.yaml"
    ports_start controlplane
    ports_start dataplane
    say "Bounceline stands between $1 (internet) and $2 (mail servers). Ctrl-C ends it and cuts the wire."
    wait -n || status=$?
    warn "one of the two planes ended (exit $status)"
    return 1
}

# Other forms of a port (a PCI address, a DPDK virtual device) are DPDK's: nothing of the kernel's is to be prepared.
ports_is_interface() {
    [[ $1 != net_* && $1 != *:* ]]
}

ports_check() {
    ports_is_interface "$1" || return 0
    [[ -d /sys/class/net/$1 ]] || die "$1: there is no such interface; 'ip link' shows them"
    if ip -o route show default | grep -q " dev $1 " || ip -6 -o route show default | grep -q " dev $1 "; then
        die "$1 carries this host's default route: Bounceline would take the network from it"
    fi
}

# ports_prepare PORT: notes what will be changed, then changes it.
ports_prepare() {
    local feature value flags
    ports_is_interface "$1" || return 0
    for feature in $PORTS_OFFLOADS; do
        value=$(ethtool -k "$1" | awk -v want="$feature:" '$1 == want && $3 != "[fixed]" {print $2}')
        if [[ $value == on ]]; then printf 'ethtool -K %s %s on\n' "$1" "$feature" >>"$PORTS_DIR/restore"; fi
    done
    printf 'sysctl -qw net.ipv6.conf.%s.disable_ipv6=%s\n' "${1//.//}" "$(<"/proc/sys/net/ipv6/conf/$1/disable_ipv6")" \
        >>"$PORTS_DIR/restore"
    # "<BROADCAST,PROMISC,UP,...>", between commas: what somebody else had set stays set.
    flags=$(ip -o link show dev "$1" | sed -E 's/^[^<]*<([^>]*)>.*/,\1,/')
    [[ $flags == *,PROMISC,* ]] || printf 'ip link set %s promisc off\n' "$1" >>"$PORTS_DIR/restore"
    [[ $flags == *,UP,* ]] || printf 'ip link set %s down\n' "$1" >>"$PORTS_DIR/restore"
    ethtool -K "$1" rx off tx off sg off tso off gso off gro off >/dev/null 2>&1 || true
    sysctl -qw "net.ipv6.conf.${1//.//}.disable_ipv6=1"
    ip link set "$1" promisc on up
}

# ports_config FILE WAN LAN: the file with the two ports replaced. They are keys of one section only.
ports_config() {
    local key
    for key in wan lan; do
        grep -qE "^ +$key:" "$1" || die "$1: expected the key $key in section dataplane"
    done
    sed -E "s|^( +wan:).*|\\1 $2|; s|^( +lan:).*|\\1 $3|" "$1"
}

ports_start() {
    "$BL_BUILD/bounceline-$1" --config "$PORTS_DIR/bounceline.yaml" &
}

ports_restore() {
    local status=$? pid line
    trap - EXIT INT TERM HUP
    for pid in $(jobs -p); do kill -TERM "$pid" 2>/dev/null || true; done
    wait
    if [[ -f $PORTS_DIR/restore ]]; then
        while read -r line; do $line >/dev/null 2>&1 || warn "could not undo: $line"; done <"$PORTS_DIR/restore"
    fi
    if [[ -f $PORTS_DIR/hugepages ]]; then sysctl -qw "vm.nr_hugepages=$(cat "$PORTS_DIR/hugepages")" || true; fi
    rm -rf "$PORTS_DIR"
    exit "$status"
}
