/** @file mailbox.h
 * The way from the main core to one worker: an ordered queue of messages, each of which is acknowledged.
 *
 *   main core:  send ──▶ [list: not yet in the ring] ──▶ rte_ring (SP/SC) ──▶ receive, done  :worker
 *               collect ◀──────────────── n_done (release / acquire) ◀──────────────────┘
 *
 * No message is ever lost: what finds the ring full waits in the sender's list, and bl_mailbox_flush() tries again. A
 * message belongs to the main core all the time; the worker may read it, and write what it is asked to hand back,
 * between receive and done. So whatever a message points to may be freed once it was collected, and not before. */
#ifndef BL_MAILBOX_H
#define BL_MAILBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rte_ring.h>

#include "bounceline/class.h"
#include "bounceline/digest.h"
#include "bounceline/table.h"

enum { BL_MAILBOX_RING = 64 };

enum bl_message_kind {
    BL_MESSAGE_PATCH,  /**< apply `patch`; use `classes` from now on when it is not NULL */
    BL_MESSAGE_SWITCH, /**< use `table` and `classes`; put the old block into `table` */
    BL_MESSAGE_CHECK,  /**< sum up the replica's regions into `sums` when there is time, publish under `round`; put the
                            sums of before into `sums` */
    BL_MESSAGE_REPAIR, /**< copy `bytes` to `offset` of the replica */
};

/** What a replica holds once a message is done; the worker does not look at it. */
struct bl_held {
    uint64_t epoch;
    uint64_t serial;
    struct bl_digest digest;
    uint64_t n_ipv4;
    uint64_t n_ipv6;
};

struct bl_replica_sums;

struct bl_message {
    struct bl_message *next; /**< main core's */
    enum bl_message_kind kind;
    bool failed; /**< set by the worker: the patch or repair does not fit its replica */
    struct bl_held held;
    const struct bl_table_patch *patch;
    const struct bl_class *classes; /**< BL_CLASS_COUNT */
    struct bl_table *table;
    struct bl_replica_sums *sums;
    uint64_t round;
    const uint8_t *bytes;
    size_t offset;
    size_t n_bytes; /**< of `bytes`, or of `table` */
};

struct bl_mailbox {
    struct rte_ring *ring;
    /* Main core's: messages not yet collected, oldest first; `unsent` is the first that is not in the ring. */
    struct bl_message *first;
    struct bl_message *last;
    struct bl_message *unsent;
    uint64_t n_collected;
    uint32_t n_waiting;
    /* Written by the worker (release), read by the main core (acquire in bl_mailbox_collect); its own line. */
    uint64_t n_done __rte_cache_aligned;
} __rte_cache_aligned;

/** @param name unique, for DPDK. @return 0 or BL_ENOMEM. Threads: before workers start. */
int bl_mailbox_init(struct bl_mailbox *mailbox, const char *name, int socket_id);

/** The caller has collected or taken back every message. Threads: after workers stopped. */
void bl_mailbox_fini(struct bl_mailbox *mailbox);

/** Takes the message until bl_mailbox_collect returns it. Can't fail. Threads: main core only. */
void bl_mailbox_send(struct bl_mailbox *mailbox, struct bl_message *message);

/** Puts waiting messages into the ring for as long as there is room. Threads: main core only. */
void bl_mailbox_flush(struct bl_mailbox *mailbox);

/** @return the oldest message that is done, now the caller's, or NULL. Threads: main core only. */
struct bl_message *bl_mailbox_collect(struct bl_mailbox *mailbox);

/** @return the oldest message whether done or not, or NULL. Threads: main core, after workers stopped. */
struct bl_message *bl_mailbox_take_back(struct bl_mailbox *mailbox);

/** @return the next message, borrowed until bl_mailbox_done, or NULL. Threads: owning worker. Cost: fast path. */
struct bl_message *bl_mailbox_receive(struct bl_mailbox *mailbox);

/** The received message is done with, and so are all before it. Threads: owning worker. */
void bl_mailbox_done(struct bl_mailbox *mailbox);

#endif
