# shellcheck shell=bash
# Three network namespaces in a row, the appliance's in the middle with no address of its own:
#
#   sender  mail0 ─── wan0  appliance  lan0 ─── mail0  receiver
#   198.51.100.10                               192.0.2.25
#   2001:db8:5::10                              2001:db8:25::25
#
# Sourced; needs common.sh. A lab has a directory /run/bounceline-lab/blXXXXXX: its name is the lab's, the namespaces
# are NAME-sender, NAME-appliance, NAME-receiver. `owner` there names the process that will clean up, `keep` says that
# a person will. So whatever a killed run left can be told from a lab that lives.

LAB_HOME=/run/bounceline-lab
LAB_SENDER_IPV4=198.51.100.10
LAB_SENDER_IPV6=2001:db8:5::10
LAB_OTHER_IPV4=198.51.100.11
LAB_OTHER_IPV6=2001:db8:6::11
LAB_RECEIVER_IPV4=192.0.2.25
LAB_RECEIVER_IPV6=2001:db8:25::25

# lab_create OWNER_PID: makes an empty lab and prints its directory.
lab_create() {
    local dir
    mkdir -p "$LAB_HOME"
    dir=$(mktemp -d "$LAB_HOME/blXXXXXX")
    chmod 755 "$LAB_HOME" "$dir"
    printf '%s %s\n' "$1" "$(process_start "$1")" >"$dir/owner"
    printf '%s\n' "$dir"
}

# When the process began, in the kernel's ticks: with it a process number names one process for ever.
process_start() {
    local stat
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 0
    # The name, field 2, may hold spaces; field 22 of all is field 20 behind the last parenthesis.
    awk '{print $20}' <<<"${stat##*) }"
}

lab_namespace() {
    printf '%s-%s\n' "$(basename "$1")" "$2"
}

# lab_in DIR ROLE COMMAND...: runs the command in the role's namespace.
lab_in() {
    local namespace
    namespace=$(lab_namespace "$1" "$2")
    shift 2
    ip netns exec "$namespace" "$@"
}

# network_up DIR
network_up() {
    local name role
    name=$(basename "$1")
    for role in sender appliance receiver; do
        ip netns add "$name-$role"
        ip -n "$name-$role" link set lo up
    done
    network_wire "$name" sender wan0
    network_wire "$name" receiver lan0
    network_address "$name-sender" "$LAB_SENDER_IPV4/24" "$LAB_OTHER_IPV4/24" "$LAB_SENDER_IPV6/64" "$LAB_OTHER_IPV6/64"
    network_address "$name-receiver" "$LAB_RECEIVER_IPV4/24" "$LAB_RECEIVER_IPV6/64"
    # Both ends are on the wire, in networks of their own: no router is needed, and a /64 that is listed is the sender's.
    ip -n "$name-sender" route add 192.0.2.0/24 dev mail0 src "$LAB_SENDER_IPV4"
    ip -n "$name-sender" route add 2001:db8:25::/64 dev mail0 src "$LAB_SENDER_IPV6"
    ip -n "$name-receiver" route add 198.51.100.0/24 dev mail0
    ip -n "$name-receiver" route add 2001:db8:5::/64 dev mail0
    ip -n "$name-receiver" route add 2001:db8:6::/64 dev mail0
}

# network_wire NAME ROLE PORT [END]: a cable from the role's mail0, or END, to the appliance's PORT.
network_wire() {
    local end=${4:-mail0}
    ip -n "$1-$2" link add "$end" type veth peer name "$3" netns "$1-appliance"
    # The appliance's kernel must say nothing on the wire of its own.
    ip netns exec "$1-appliance" sysctl -qw "net.ipv6.conf.$3.disable_ipv6=1"
    network_plain "$1-$2" "$end"
    network_plain "$1-appliance" "$3"
    ip -n "$1-$2" link set "$end" up
    ip -n "$1-appliance" link set "$3" up
}

# With offloads a veth carries frames without checksums, and larger than the MTU; a wire does not.
network_plain() {
    ip netns exec "$1" ethtool -K "$2" rx off tx off sg off tso off gso off gro off >/dev/null
}

# network_address NAMESPACE ADDRESS/LENGTH...
network_address() {
    local namespace=$1 address
    shift
    for address in "$@"; do
        if [[ $address == *:* ]]; then
            ip -n "$namespace" address add "$address" dev mail0 nodad
        else
            ip -n "$namespace" address add "$address" dev mail0
        fi
    done
}

# network_client_up DIR: a client behind the sender, which becomes a router: what that drops is lost on the way.
#
#   client  mail0 ─── client0  sender
#   203.0.113.10      203.0.113.1
#   2001:db8:c::10    2001:db8:c::1
network_client_up() {
    local name client sender
    name=$(basename "$1")
    client=$name-client
    sender=$name-sender
    ip netns add "$client"
    ip -n "$client" link set lo up
    ip -n "$client" link add mail0 type veth peer name client0 netns "$sender"
    network_plain "$client" mail0
    network_plain "$sender" client0
    network_address "$client" 203.0.113.10/24 2001:db8:c::10/64
    ip -n "$sender" address add 203.0.113.1/24 dev client0
    ip -n "$sender" address add 2001:db8:c::1/64 dev client0 nodad
    ip -n "$client" link set mail0 up
    ip -n "$sender" link set client0 up
    ip -n "$client" route add default via 203.0.113.1
    ip -n "$client" route add default via 2001:db8:c::1
    ip netns exec "$sender" sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
    # Each write is to be a segment of its own, where Nagle allows it.
    ip netns exec "$client" sysctl -qw net.ipv4.tcp_autocorking=0
    ip -n "$name-receiver" route add 203.0.113.0/24 via "$LAB_SENDER_IPV4"
    ip -n "$name-receiver" route add 2001:db8:c::/64 via "$LAB_SENDER_IPV6"
}

# network_second_up DIR: a second way from the sender to the receiver, by the appliance's wan1 and lan1; what is marked 1
# takes it.
network_second_up() {
    local name mac
    name=$(basename "$1")
    network_wire "$name" sender wan1 mail1
    network_wire "$name" receiver lan1 mail1
    mac=$(ip netns exec "$name-receiver" cat /sys/class/net/mail1/address)
    ip -n "$name-sender" neighbour add "$LAB_RECEIVER_IPV4" lladdr "$mac" dev mail1
    ip -n "$name-sender" neighbour add "$LAB_RECEIVER_IPV6" lladdr "$mac" dev mail1
    ip -n "$name-sender" route add 192.0.2.0/24 dev mail1 table 101
    ip -n "$name-sender" route add 2001:db8:25::/64 dev mail1 table 101
    ip -n "$name-sender" rule add fwmark 1 table 101
    ip -n "$name-sender" -6 rule add fwmark 1 table 101
    # What came by one wire is looked up as if it were not marked: any way back is right.
    ip netns exec "$name-sender" sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.mail1.rp_filter=0
}

# lab_end DIR: ends what runs in the lab's namespaces and takes everything away. Never fails half-way.
lab_end() {
    local dir=$1 name role pid
    name=$(basename "$dir")
    for role in sender appliance receiver client; do
        # Whatever lives in a namespace that we made is ours.
        for pid in $(ip netns pids "$name-$role" 2>/dev/null); do kill -KILL "$pid" 2>/dev/null || true; done
        ip netns delete "$name-$role" 2>/dev/null || true
    done
    if [[ -f $dir/pids ]]; then lab_end_pids "$dir/pids"; fi
    if [[ -f $dir/hugepages ]]; then sysctl -qw "vm.nr_hugepages=$(cat "$dir/hugepages")" || true; fi
    rm -rf "$dir"
    rmdir "$LAB_HOME" 2>/dev/null || true
}

# Processes outside the namespaces: "pid start" a line; another process with the same number is not touched.
lab_end_pids() {
    local pid start
    while read -r pid start; do
        if [[ $(process_start "$pid") == "$start" ]]; then kill -KILL "$pid" 2>/dev/null || true; fi
    done <"$1"
}

# lab_sweep: ends the labs whose owner is gone and that nobody wanted kept.
lab_sweep() {
    local dir pid start
    for dir in "$LAB_HOME"/bl??????; do
        [[ -f $dir/owner && ! -e $dir/keep ]] || continue
        read -r pid start <"$dir/owner"
        if [[ $(process_start "$pid") != "$start" || -z $start ]]; then lab_end "$dir"; fi
    done
}

# hugepages_take DIR N: at least N huge pages, the former number noted for lab_end. False: there is no such memory.
hugepages_take() {
    local former
    [[ -e /proc/sys/vm/nr_hugepages ]] || return 1
    former=$(</proc/sys/vm/nr_hugepages)
    ((former < $2)) || return 0
    printf '%s\n' "$former" >"$1/hugepages"
    sysctl -qw "vm.nr_hugepages=$2" 2>/dev/null || true
    (($(</proc/sys/vm/nr_hugepages) >= $2))
}

# hugepages_setting DIR N: the same, as the value of the setting `hugepages`.
hugepages_setting() {
    if hugepages_take "$1" "$2"; then printf 'auto\n'; else printf 'off\n'; fi
}
