/** @file resend.h
 * Handshakes that may have lost a packet which nobody else would send again: the handshake's last ACK, or the greeting
 * (called by answer.c).
 *
 * Every other lost answer heals by the client's own retransmission, because an answer follows from its segment alone.
 * After these two the client waits for us: at 5 % loss each way one session in ten would hang. So a worker remembers
 * its latest handshakes and sends the SYN-ACK, or from the valid ACK on the greeting, again after BL_RESEND_WAIT_S, at
 * most BL_RESEND_TRIES_MAX times. Correctness never depends on it: what is forgotten costs a hung session of a listed
 * source.
 *
 * Nobody can be flooded by way of it: a SYN-ACK is sent again only for a credit, which a completed handshake earns, so
 * that any number of forged SYNs gets at most BL_RESEND_CREDITS_MAX more than one answer each; a SYN without options,
 * as only tools send it, is not remembered; and all of it stands behind a rate limit.
 *
 * The entries are a set-associative cache: bl_cookie_hash says which set, by its upper bits, which are never sent (a
 * client that could choose its set could crowd others out); the oldest of the set is overwritten. All wait equally
 * long, so that one queue holds them in the order in which they are due. Pure: memory, keys and time come from outside.
 * Threads: owning worker. Cost: fast path; a handshake misses two cache lines, its set's and its entry's, and any other
 * segment of a dialogue the first. Source: REJECT notes, "Loss". */
#ifndef BL_RESEND_H
#define BL_RESEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/bucket.h"
#include "dataplane/parse.h"

enum {
    BL_RESEND_WAIT_S = 1,
    BL_RESEND_TRIES_MAX = 2,
    BL_RESEND_CREDITS_FIRST = 64,
    BL_RESEND_CREDITS_MAX = 256,
    BL_RESEND_WAYS = 7,
    BL_RESEND_HEADERS_MAX = 14 + 16 + 40 + 4, /**< Ethernet, 4 tags, IPv6, the ports */
};

enum bl_resend_state { BL_RESEND_SYN_ACK, BL_RESEND_GREETING };

/** What is looked through: one cache line. */
struct bl_resend_set {
    uint64_t cookies[BL_RESEND_WAYS]; /**< bl_cookie_hash of each entry; 0: free */
    uint64_t oldest;                  /**< the way that is overwritten next */
};

/** A handshake. */
struct bl_resend_entry {
    uint64_t due_ticks; /**< when it is looked at, which also says which item of the queue counts; 0: never again */
    uint32_t sequence;  /**< what the peer sends next */
    uint8_t state;      /**< enum bl_resend_state */
    uint8_t n_tries;    /**< so often it was sent again in this state */
    uint8_t family;
    uint8_t l3_offset;
    uint8_t l4_offset;
    /** The received frame's headers as far as an answer's frame is made from them (segment.h): Ethernet with its tags,
     * an IP header of which only the addresses count, the ports. */
    uint8_t headers[BL_RESEND_HEADERS_MAX];
} __attribute__((aligned(128)));

/** One look at an entry that is to come. */
struct bl_resend_item {
    uint64_t due_ticks;
    uint64_t cookie;
};

/** What a ring of handshakes lives in: all of it zeroed, borrowed, aligned to a cache line. */
struct bl_resend_memory {
    struct bl_resend_set *sets;      /**< n_sets */
    struct bl_resend_entry *entries; /**< BL_RESEND_WAYS for each set */
    struct bl_resend_item *items;    /**< n_items: the queue */
    uint32_t n_sets;                 /**< 0: nothing is remembered */
    uint32_t n_items;                /**< a power of two, at least the number of entries */
};

struct bl_resend {
    struct bl_resend_memory memory;
    uint64_t n_pushed; /**< items; the queue holds those from n_popped on */
    uint64_t n_popped;
    uint64_t wait_ticks;
    uint32_t n_credits;
    struct bl_bucket limit;
};

/** What bl_resend_next wants sent. */
struct bl_resend_due {
    enum bl_resend_state state; /**< SYN_ACK or GREETING */
    uint64_t cookie;
    uint32_t sequence;
    struct bl_packet packet; /**< family and offsets of `headers`, for bl_segment_build */
    const uint8_t *headers;  /**< borrowed until the next call */
};

/** The numbers of a memory for at least @p n_handshakes, without the memory. */
struct bl_resend_memory bl_resend_size(uint32_t n_handshakes);

/** Threads: before workers start. */
void bl_resend_init(struct bl_resend *resend, const struct bl_resend_memory *memory);

/** How long a second is, and the rate limit; 0: none. Threads: before workers start. */
void bl_resend_set_time(struct bl_resend *resend, uint32_t per_s, uint64_t ticks_per_s);

/** Fetches what a dialogue's next note or clear will touch, in two steps with time between them: its set, then, for a
 * note, its entry. Changes nothing. */
void bl_resend_fetch_set(const struct bl_resend *resend, uint64_t cookie);
void bl_resend_fetch_entry(const struct bl_resend *resend, uint64_t cookie);

/** The SYN @p frame was answered with the SYN-ACK of @p cookie. */
void bl_resend_note_syn(struct bl_resend *resend, const uint8_t *frame, const struct bl_packet *packet, uint64_t cookie,
                        uint64_t now_ticks);

/** A valid ACK came, and the greeting went out. */
void bl_resend_note_greeting(struct bl_resend *resend, const uint8_t *frame, const struct bl_packet *packet,
                             uint64_t cookie, uint64_t now_ticks);

/** The peer has got the greeting, or wants none: nothing is sent again. */
void bl_resend_clear(struct bl_resend *resend, uint64_t cookie);

/** The next one that is to be sent again now, among the next 64 that are due: more of them wait for the next turn. Call
 * until it returns false, with a bound of one's own.
 * @p n_limited counts what was due but is above the rate limit, or without a credit: that is given up. */
bool bl_resend_next(struct bl_resend *resend, uint64_t now_ticks, struct bl_resend_due *due, uint64_t *n_limited);

#endif
