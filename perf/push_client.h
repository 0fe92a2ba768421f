/** @file push_client.h
 * One stream of batches to the control plane's Unix socket (Push), one batch under way: what a feed's client does, with
 * gRPC's C core. Knows bytes, not messages (controlplane/cli/client_codec.h makes and reads those; sink_bounceline.c).
 * Threads: a client belongs to one. */
#ifndef BL_PERF_PUSH_CLIENT_H
#define BL_PERF_PUSH_CLIENT_H

#include <stddef.h>
#include <stdint.h>

struct push_client;

/** @return NULL: no connection. */
struct push_client *push_client_open(const char *path);

/** Sends @p request, which it takes over (free), and waits for the answer.
 * @return 0 with *answer owned by the caller (free), or -1: the stream is over. */
int push_client_send(struct push_client *client, uint8_t *request, size_t length, uint8_t **answer,
                     size_t *answer_length);

void push_client_close(struct push_client *client);

#endif
