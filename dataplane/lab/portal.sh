# shellcheck shell=bash
# The portal in the lab: in the sender's namespace, where the person who got the bounce sits, with the sender's mail
# server for its mails. As user nobody, which the lab's control plane knows as a delister. Sourced; needs the others.

LAB_PORTAL=127.0.0.1:8025

# portal_up DIR: the portal runs and answers, or false and why.
portal_up() {
    local namespace
    namespace=$(lab_namespace "$1" sender)
    cat >"$1/portal.yaml" <<EOT
portal:
  base_url: http://$LAB_PORTAL
  mail_from: delist@example.org
  contact: postmaster@example.org
  mail_server: smtp://127.0.0.1:25
  listen: $LAB_PORTAL
  socket: $1/portal.sock
  data_directory: $1/portal
  user: nobody
  delay_s: 2
EOT
    setsid ip netns exec "$namespace" "$BL_BUILD/bounceline-portal" --config "$1/portal.yaml" \
        </dev/null >>"$1/portal.log" 2>&1 &
    disown
    wait_until 10 grep -q 'ready: ' "$1/portal.log" || { cat "$1/portal.log" >&2; return 1; }
}

# portal_visit DIR SOURCE: a person follows the bounce's link, asks, opens the mail's link, presses the button.
portal_visit() {
    local url="http://$LAB_PORTAL/?ip=$2"
    say "alice opens the portal, here at $url (in namespace $(lab_namespace "$1" sender)):"
    lab_in "$1" sender /usr/bin/python3 -B "$BL_ROOT/dataplane/lab/browser.py" --url "$url" \
        --mailbox "$1/sender/mail/alice" --email "alice@$POSTFIX_SENDER_DOMAIN"
}
