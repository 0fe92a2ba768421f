/** @file peers.h
 * Which user is behind a gRPC connection (listen → peers → gRPC core; ingest asks).
 *
 * The gRPC core knows no credentials of a Unix socket. All that a call says of its connection is grpc_call_get_peer(),
 * which for a descriptor handed over with grpc_server_add_channel_from_fd() is "fd:N", with N the descriptor's number.
 * So this keeps N → who that is.
 *
 * The danger is a number that is used again: the core closes descriptors by itself, and a call that came in on a
 * connection which has closed since still says "fd:N". If N were another user's by then, the call would borrow his
 * rights. Therefore each accepted socket is moved to a number above all others, and the numbers go up through a large
 * range: a number comes again only after all the others were used, and never within BL_PEERS_QUARANTINE_MS of its last
 * use; a connection that would need it sooner is closed. A call is asked for its peer when it arrives, not later, so
 * what could be mixed up is a matter of milliseconds.
 *
 * Threads: admit by the accepting thread only; find by any. */
#ifndef BL_PEERS_H
#define BL_PEERS_H

#include <stdint.h>

#include "bounceline/error.h"

enum {
    BL_PEERS_QUARANTINE_MS = 10000,
    BL_PEERS_RANGE_MAX = 65536,
    BL_PEERS_OPEN_MAX = 1024,     /**< connections at a time */
    BL_PEERS_OPEN_USER_MAX = 256, /**< of one user, so that no user locks the others out */
};

struct bl_peers;

/** Who is at the other end, as it was when the connection was accepted. */
struct bl_peer {
    uint32_t uid;
    uint8_t socket; /**< 0: controlplane.socket; 1 and on: of controlplane.sockets */
    uint8_t actor;  /**< 1 and on: of controlplane.actors; 0: none of them */
};

/** Raises RLIMIT_NOFILE as far as it may. @return 0, BL_ENOMEM, or BL_ERANGE when too few descriptors are allowed. */
int bl_peers_create(struct bl_peers **out, struct bl_error_detail *detail);
void bl_peers_free(struct bl_peers *peers);

/** Moves @p accepted to a number of the range and notes @p peer for it; @p accepted is closed in any case.
 * @return the new descriptor, BL_EFULL (too many connections; this one is closed) or BL_EAGAIN (the range is in
 * quarantine; this one is closed). */
int bl_peers_admit(struct bl_peers *peers, int accepted, const struct bl_peer *peer, int64_t now_ms);

/** Who is behind the connection that a call's peer names. @return 0, or BL_ENOENT for anything not admitted. */
int bl_peers_find(const struct bl_peers *peers, const char *name, struct bl_peer *peer);

#endif
