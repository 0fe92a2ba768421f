/** @file sync_peer.h
 * One connection of a data plane: what it says, what it is sent (publish ⇄ sync_peer ⇄ dataplane/feed.c).
 *
 *   hello → refused, or: its serial is the last or in the ring → deltas from there; else a snapshot, then deltas
 *   ack   → must be of a point that was sent, with that point's digest; else the digest mismatch is counted and a
 *           snapshot sent
 *   rejects → handed on; nobody waits for what becomes of them
 *   report → kept; its digest is held against the acknowledged point as well, and it stands for an ack that is due
 *
 * A hello says what a data plane holds, not that every worker enforces it: only acks and reports say that.
 * Nothing is queued here: one delta or snapshot at a time is on its way, and the next is fetched from the ring when it
 * has gone. A data plane that takes no byte for BL_SYNC_PEER_STUCK_MS, says nothing useful, or breaks the protocol is
 * disconnected and starts over. Threads: sync thread only. */
#ifndef BL_SYNC_PEER_H
#define BL_SYNC_PEER_H

#include "controlplane/publish.h"
#include "controlplane/rejects.h"
#include "controlplane/store.h"

enum {
    BL_SYNC_PEER_STUCK_MS = 10000,
    BL_SYNC_PEER_HELLO_MS = 5000, /**< to say hello in */
};

struct bl_sync_peer;

/** What a peer needs; all borrowed. */
struct bl_sync_parts {
    struct bl_publish *publish;
    struct bl_store *store;
    struct bl_rejects *rejects;
};

/** Takes over @p descriptor in any case. @return 0 or BL_ENOMEM. */
int bl_sync_peer_create(struct bl_sync_peer **out, int descriptor, const struct bl_sync_parts *parts, int64_t now_ms);
void bl_sync_peer_free(struct bl_sync_peer *peer);

int bl_sync_peer_descriptor(const struct bl_sync_peer *peer);

/** The poll events that it waits for. */
short bl_sync_peer_events(const struct bl_sync_peer *peer);

/** Its place in publish; NULL before a good hello. */
struct bl_publish_plane *bl_sync_peer_plane(const struct bl_sync_peer *peer);

/** Reads and handles what came. @return 0, BL_EEXIST: a hello in the name of a data plane that is connected (*held is
 * its place; the caller frees it when it is dead and reads again, or refuses), or BL_ECLOSED: free it. */
int bl_sync_peer_read(struct bl_sync_peer *peer, int64_t now_ms, struct bl_publish_plane **held);

/** Refuses the hello that read returned BL_EEXIST for. */
void bl_sync_peer_refuse_name(struct bl_sync_peer *peer);

/** Sends as much as goes. @return 0 or BL_ECLOSED: free it. */
int bl_sync_peer_write(struct bl_sync_peer *peer, int64_t now_ms);

/** @return when write must be called at the latest, whatever happens; INT64_MAX: not at all. */
int64_t bl_sync_peer_due_ms(const struct bl_sync_peer *peer);

#endif
