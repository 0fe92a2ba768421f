# shellcheck shell=bash
# The two planes in the lab's middle namespace, on net_af_packet. Sourced; needs common.sh and network.sh.

LAB_URL='https://delist.example.net/?ip={address}'

# appliance_config DIR [WORKERS] [HUGEPAGES]: writes DIR/bounceline.yaml.
appliance_config() {
    cat >"$1/bounceline.yaml" <<EOT
dataplane:
  name: lab
  wan: wan0
  lan: lan0
  workers: ${2:-2}
  hugepages: ${3:-auto}
  idle_sleep_us: ${BL_LAB_IDLE_SLEEP_US:-160}
  hostname: mx.example.org
  sync_socket: $1/sync.sock
  table_file: ""
controlplane:
  socket: $1/control.sock
  sockets:
    - path: $1/portal.sock
      owner: nobody
      mode: 0600
      role: delister
  sync_socket: $1/sync.sock
  data_directory: $1/log
  url: $LAB_URL
  actors:
    - name: portal
      uid: $(id -u nobody)
      role: delister
client:
  socket: $1/control.sock
EOT
}

# appliance_start DIR PLANE: starts bounceline-PLANE in the background, its words in DIR/PLANE.log. A session of its
# own: ctrl-C goes to the script, which then ends everything in order.
appliance_start() {
    local namespace
    namespace=$(lab_namespace "$1" appliance)
    setsid ip netns exec "$namespace" "$BL_BUILD/bounceline-$2" --config "$1/bounceline.yaml" \
        </dev/null >>"$1/$2.log" 2>&1 &
    printf '%s\n' "$!" >"$1/$2.pid"
    disown
}

appliance_lives() {
    kill -0 "$(<"$1/$2.pid")" 2>/dev/null
}

# appliance_ready DIR: true when the control plane answers and the data plane has acknowledged its last serial.
appliance_ready() {
    appliance_lives "$1" controlplane && appliance_lives "$1" dataplane || return 0 # dead: the caller looks
    lab_client "$1" status --json 2>/dev/null | grep -q '"dataplanes": *\[ *{'
}

# appliance_up DIR: both planes run and know each other, or false and why.
appliance_up() {
    local plane
    for plane in controlplane dataplane; do appliance_start "$1" "$plane"; done
    if wait_until 30 appliance_ready "$1" && appliance_lives "$1" controlplane && appliance_lives "$1" dataplane; then
        return 0
    fi
    for plane in controlplane dataplane; do
        warn "bounceline-$plane said:"
        tail -n 20 "$1/$plane.log" >&2
    done
    return 1
}

# lab_client DIR ARGUMENT...: the command line on the lab's socket.
lab_client() {
    local dir=$1
    shift
    "$BL_BUILD/bounceline" --socket "$dir/control.sock" "$@"
}
