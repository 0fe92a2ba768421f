/** @file client.h
 * A small TCP client of its own kind for tests: it keeps what it has sent until it is acknowledged, sends that again
 * when it is not, takes data in order only, and acknowledges it. Every segment goes through the whole pure path, and
 * every answer past the judge. */
#ifndef BL_TEST_CLIENT_H
#define BL_TEST_CLIENT_H

#include <check.h>

#include "exchange.h"

enum { CLIENT_SEND_TRIES = 100, CLIENT_RECEIVED_MAX = 200000 };

struct client {
    struct exchange exchange;
    struct frame_spec spec;
    uint32_t sent;    /* next number of ours to send, SYN and FIN counted */
    uint32_t acked;   /* what the peer has of ours */
    uint32_t taken;   /* next number of theirs */
    bool peer_closed; /* their FIN came */
    size_t n_received;
    char received[CLIENT_RECEIVED_MAX]; /* all their text, NUL-terminated */
};

/** One segment out, and what comes back judged and taken. */
static inline void client_segment(struct client *client, uint32_t sequence, uint8_t flags, const void *data, size_t n)
{
    struct exchange *exchange = &client->exchange;
    const struct frame_view *view = &exchange->view;
    const char *wrong;

    client->spec.sequence = sequence;
    client->spec.acknowledgement = client->taken;
    client->spec.flags = flags;
    client->spec.payload = data;
    client->spec.payload_bytes = n;
    wrong = exchange_run(exchange, exchange->frame, frame_build(&client->spec, exchange->frame));
    ck_assert_msg(wrong == NULL, "%s", wrong);
    if (exchange->out_bytes == 0)
        return;
    /* Acknowledgement of something that was sent, and not yet acknowledged. */
    ck_assert_uint_le(view->acknowledgement - client->acked, client->sent - client->acked);
    client->acked = view->acknowledgement;
    if ((view->flags & FRAME_SYN) != 0) {
        client->taken = view->sequence + 1;
        return;
    }
    /* A hole or an overlap would lose or repeat a reply: the dialogue has neither. */
    ck_assert_uint_eq(view->sequence, client->taken);
    ck_assert_uint_lt(client->n_received + view->payload_bytes, CLIENT_RECEIVED_MAX);
    memcpy(client->received + client->n_received, exchange_payload(exchange), view->payload_bytes);
    client->n_received += view->payload_bytes;
    client->received[client->n_received] = '\0';
    client->taken += (uint32_t)view->payload_bytes + ((view->flags & FRAME_FIN) != 0 ? 1 : 0);
    if ((view->flags & FRAME_FIN) != 0)
        client->peer_closed = true;
    if (view->payload_bytes != 0 || (view->flags & FRAME_FIN) != 0) {
        client_segment(client, client->sent, FRAME_ACK, NULL, 0);
        ck_assert_uint_eq(client->exchange.out_bytes, 0);
        ck_assert_int_eq(client->exchange.reason, BL_REASON_REJECT_ACK);
    }
}

/** SYN, SYN-ACK, ACK, greeting. */
static inline void client_connect(struct client *client, uint8_t family)
{
    memset(client, 0, sizeof(*client));
    exchange_init(&client->exchange);
    client->spec = frame_spec_init(family);
    client->acked = 0xfffffff0; /* the numbers wrap around soon */
    client->sent = client->acked + 1;
    client_segment(client, client->acked, FRAME_SYN, NULL, 0);
    ck_assert_uint_eq(client->acked, client->sent);
    client_segment(client, client->sent, FRAME_ACK, NULL, 0);
    ck_assert_str_eq(client->received, "220 mx.example.org ESMTP\r\n");
}

/** Sends @p n bytes in one segment, and what of it is not acknowledged again, until all is. */
static inline void client_send(struct client *client, const char *data, size_t n)
{
    uint32_t first = client->sent;

    client->sent += (uint32_t)n;
    for (unsigned tries = 0; client->acked != client->sent; tries++) {
        size_t done = client->acked - first;

        ck_assert_uint_lt(tries, CLIENT_SEND_TRIES);
        client_segment(client, first + (uint32_t)done, FRAME_ACK | FRAME_PSH, data + done, n - done);
    }
}

static inline void client_send_line(struct client *client, const char *line)
{
    client_send(client, line, strlen(line));
}

/** Our FIN, and theirs. */
static inline void client_close(struct client *client)
{
    uint32_t fin = client->sent++;

    client_segment(client, fin, FRAME_ACK | FRAME_FIN, NULL, 0);
    ck_assert_uint_eq(client->acked, client->sent);
    ck_assert(client->peer_closed);
}

/** How many lines of what was received begin with @p start. */
static inline unsigned client_count(const struct client *client, const char *start)
{
    unsigned n = 0;

    for (const char *line = client->received; *line != '\0'; line = strchr(line, '\n') + 1)
        n += strncmp(line, start, strlen(start)) == 0 ? 1 : 0;
    return n;
}

/** The last line that was received. */
static inline const char *client_last_line(const struct client *client)
{
    const char *last = client->received;

    for (const char *at = last; *at != '\0'; at = strchr(at, '\n') + 1)
        last = at;
    return last;
}

#endif
