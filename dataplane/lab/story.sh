# shellcheck shell=bash
# What the lab shows: a listed sender gets its bounce, is delisted, and its mail arrives. Sourced; needs the others.
#
# Every step checks what it shows; the first that does not hold ends the story with false.

STORY_WAIT_S=30
STORY_STEPS=()

# story_took WHAT MILLISECONDS: a line for the table at the end.
story_took() {
    STORY_STEPS+=("$(printf '  %-34s %6d ms' "$1" "$2")")
}

# story_change DIR WHAT COMMAND...: list or delist, and its time until every worker enforces it.
story_change() {
    local dir=$1 what=$2 start
    shift 2
    progress "$what"
    start=$(now_ms)
    lab_client "$dir" --wait enforced "$@" >"$dir/client.log" 2>&1 || { cat "$dir/client.log" >&2; return 1; }
    story_took "$what" "$(($(now_ms) - start))"
    say "\$ bounceline --wait enforced $(story_quote "$@")"
    sed 's/^/    /' "$dir/client.log"
}

# The words of a command as one would type them.
story_quote() {
    local word line=''
    for word in "$@"; do
        if [[ $word == *' '* ]]; then word="'$word'"; fi
        line+=" $word"
    done
    printf '%s\n' "${line# }"
}

# story_bounced DIR TO SOURCE: sends to TO and expects alice's bounce with SOURCE's 550, from one attempt.
story_bounced() {
    local dir=$1 to=$2 source=$3 start file
    progress "$source is listed: waiting for the bounce"
    start=$(now_ms)
    story_send "$dir" "$to"
    wait_until "$STORY_WAIT_S" postfix_mail "$dir" sender alice >/dev/null ||
        { story_explain "$dir" "no bounce within $STORY_WAIT_S s"; return 1; }
    story_took "mail from $source bounced" "$(($(now_ms) - start))"
    file=$(postfix_mail "$dir" sender alice)
    say "alice@$POSTFIX_SENDER_DOMAIN got this bounce:"
    story_report "$file" | sed 's/^./    &/'
    story_check_bounce "$dir" "$to" "$source" "$file" || { story_explain "$dir" "the bounce is not as it must be"; return 1; }
    rm "$file"
}

# story_report FILE: the sentence for people and the fields for machines, of a bounce.
story_report() {
    awk '/^<.*>: host/ {show = 1} /^Final-Recipient:/ {show = 1; print ""} /^$/ || /^--/ {show = 0} show' "$1"
}

# The whole line of the 550 (the notice is folded at spaces), and a log with one attempt, refused for good.
story_check_bounce() {
    local url=${LAB_URL/\{address\}/$3} text attempts
    text="550 5.7.606 Access denied, banned sending IP [$3]; To request removal from this list please visit $url and follow the directions."
    tr -s ' \n' '  ' <"$4" | grep -qF "$text" || { warn "the bounce lacks: $text"; return 1; }
    attempts=$(grep -cF "to=<$2>, relay=" "$1/sender/maillog") || true
    [[ $attempts == 1 ]] || { warn "expected one delivery attempt, the log has $attempts"; return 1; }
    grep -F "to=<$2>, relay=" "$1/sender/maillog" | grep -q 'dsn=5\.7\.606, status=bounced'
}

# story_delivered DIR TO SOURCE: sends to TO and expects it in bob's mailbox.
story_delivered() {
    local dir=$1 to=$2 start file
    progress "$3 is not listed: waiting for the mail"
    start=$(now_ms)
    story_send "$dir" "$to"
    wait_until "$STORY_WAIT_S" postfix_mail "$dir" receiver bob >/dev/null ||
        { story_explain "$dir" "no mail within $STORY_WAIT_S s"; return 1; }
    story_took "mail from $3 delivered" "$(($(now_ms) - start))"
    file=$(postfix_mail "$dir" receiver bob)
    say "bob@$POSTFIX_RECEIVER_DOMAIN got this mail:"
    sed 's/^./    &/' "$file"
    grep -qF "Sent to $to" "$file" || { story_explain "$dir" "another mail than the one sent"; return 1; }
    rm "$file"
}

story_send() {
    printf 'From: Alice <alice@%s>\nTo: %s\nSubject: Lunch?\n\nSent to %s, through Bounceline.\n' \
        "$POSTFIX_SENDER_DOMAIN" "$2" "$2" | postfix_send "$1" "$2"
}

# story_explain DIR WHY: what the machines said last.
story_explain() {
    local file
    warn "$2"
    for file in "$1"/sender/maillog "$1"/receiver/maillog "$1"/dataplane.log "$1"/controlplane.log "$1"/portal.log; do
        printf '== %s\n' "${file#"$1/"}" >&2
        tail -n 12 "$file" >&2 || true
    done
}

# story_family DIR SUFFIX SOURCE: the whole round for one address.
story_family() {
    story_change "$1" "list $3" list "$3" --reason "spam seen by the lab" &&
        story_bounced "$1" "bob@$2$POSTFIX_RECEIVER_DOMAIN" "$3" &&
        story_change "$1" "delist $3" delist "$3" &&
        story_delivered "$1" "bob+again@$2$POSTFIX_RECEIVER_DOMAIN" "$3"
}

# story_portal DIR SUFFIX SOURCE: a feed lists the address, and the person who got the bounce delists it at the portal.
story_portal() {
    local start
    story_change "$1" "list $3 by a feed" list "$3" --source spamtrap --reason "seen by a feed" &&
        story_bounced "$1" "bob+bounced@$2$POSTFIX_RECEIVER_DOMAIN" "$3" || return 1
    start=$(now_ms)
    portal_visit "$1" "$3" || { story_explain "$1" "the portal did not delist $3"; return 1; }
    story_took "portal: form, mail, link, button" "$(($(now_ms) - start))"
    rm -f "$1"/sender/mail/alice/new/*
    story_delivered "$1" "bob+portal@$2$POSTFIX_RECEIVER_DOMAIN" "$3"
}

# story_tell DIR
story_tell() {
    local step
    story_family "$1" v4. "$LAB_SENDER_IPV4" && story_family "$1" v6. "$LAB_SENDER_IPV6" || return 1
    portal_up "$1" && story_portal "$1" v4. "$LAB_SENDER_IPV4" || return 1
    say "Times (a change: from the command until every worker enforces it):"
    for step in "${STORY_STEPS[@]}"; do say "$step"; done
}
