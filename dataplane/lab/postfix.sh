# shellcheck shell=bash
# A Postfix of our own in a namespace: its own configuration, queue and data directories; the host's is not touched.
# Sourced; needs common.sh and network.sh.
#
# No DNS anywhere: routes are literal addresses, and nobody looks a client's name up. Mail that arrives is one file a
# message in DIR/ROLE/mail/USER/new: alice, the sender's only user, gets the bounce; bob, the receiver's, gets the mail.

POSTFIX_SENDER_DOMAIN=sender.example.net
POSTFIX_RECEIVER_DOMAIN=example.org

# postfix_make DIR ROLE: writes the configuration.
postfix_make() {
    local base=$1/$2
    mkdir -p "$base/etc" "$base/queue" "$base/data" "$base/mail"
    chown postfix "$base/data"
    chown nobody "$base/mail"
    sed 's/^#.*//' /usr/share/postfix/master.cf.dist >"$base/etc/master.cf"
    postfix_common "$base" >"$base/etc/main.cf"
    "postfix_$2" >>"$base/etc/main.cf"
    # No chroot: its copies of the host's files would be a second installation.
    postconf -c "$base/etc" -F '*/*/chroot=n'
}

postfix_common() {
    cat <<EOT
compatibility_level = 3.6
config_directory = $1/etc
queue_directory = $1/queue
data_directory = $1/data
maillog_file = $1/maillog
maillog_file_prefixes = $1
syslog_name = postfix
mynetworks_style = host
mydestination =
alias_maps =
alias_database =
local_recipient_maps =
virtual_mailbox_base = $1/mail
virtual_uid_maps = static:$(id -u nobody)
virtual_gid_maps = static:$(id -g nobody)
virtual_minimum_uid = 1
smtp_dns_support_level = disabled
smtp_host_lookup = native
smtpd_peername_lookup = no
biff = no
smtputf8_enable = no
EOT
}

postfix_sender() {
    cat <<EOT
myhostname = mail.$POSTFIX_SENDER_DOMAIN
myorigin = $POSTFIX_SENDER_DOMAIN
virtual_mailbox_domains = $POSTFIX_SENDER_DOMAIN
virtual_mailbox_maps = inline:{ { @$POSTFIX_SENDER_DOMAIN = alice/ } }
inet_interfaces = loopback-only
relayhost = [$LAB_RECEIVER_IPV4]
transport_maps = inline:{ { v6.$POSTFIX_RECEIVER_DOMAIN = smtp:[$LAB_RECEIVER_IPV6] } }
smtp_bind_address = $LAB_SENDER_IPV4
smtp_bind_address6 = $LAB_SENDER_IPV6
smtp_connect_timeout = 10s
smtp_helo_timeout = 20s
queue_run_delay = 5s
minimal_backoff_time = 5s
maximal_backoff_time = 10s
bounce_queue_lifetime = 1h
maximal_queue_lifetime = 1h
EOT
}

postfix_receiver() {
    cat <<EOT
myhostname = mx.$POSTFIX_RECEIVER_DOMAIN
myorigin = $POSTFIX_RECEIVER_DOMAIN
virtual_mailbox_domains = $POSTFIX_RECEIVER_DOMAIN v4.$POSTFIX_RECEIVER_DOMAIN v6.$POSTFIX_RECEIVER_DOMAIN
virtual_mailbox_maps = inline:{ { @$POSTFIX_RECEIVER_DOMAIN = bob/ }, { @v4.$POSTFIX_RECEIVER_DOMAIN = bob/ },
    { @v6.$POSTFIX_RECEIVER_DOMAIN = bob/ } }
inet_interfaces = all
smtpd_relay_restrictions = reject_unauth_destination
EOT
}

# postfix_start DIR ROLE: starts it and waits until it listens.
postfix_start() {
    lab_in "$1" "$2" postfix -c "$1/$2/etc" start >"$1/$2/start.log" 2>&1 ||
        { cat "$1/$2/start.log" >&2; return 1; }
    wait_until 20 postfix_listens "$1" "$2"
}

postfix_listens() {
    lab_in "$1" "$2" bash -c 'exec 3<>/dev/tcp/127.0.0.1/25' 2>/dev/null
}

postfix_stop() {
    lab_in "$1" "$2" postfix -c "$1/$2/etc" stop >/dev/null 2>&1 || true
}

# postfix_send DIR TO: alice sends the message (headers, empty line, body) on standard input.
postfix_send() {
    lab_in "$1" sender sendmail -C "$1/sender/etc" -f "alice@$POSTFIX_SENDER_DOMAIN" -i "$2"
}

# postfix_mail DIR ROLE USER: prints the oldest message of the user, as a path; false when there is none.
postfix_mail() {
    local file
    for file in "$1/$2/mail/$3/new/"*; do
        [[ -f $file ]] || return 1
        printf '%s\n' "$file"
        return 0
    done
}

# postfix_up DIR: both mail servers, at the same time: each takes a second to start.
postfix_up() {
    local role pid status=0 pids=()
    progress "Starting two mail servers"
    for role in sender receiver; do
        postfix_make "$1" "$role"
        postfix_start "$1" "$role" &
        pids+=("$!")
    done
    for pid in "${pids[@]}"; do wait "$pid" || status=1; done
    return "$status"
}
