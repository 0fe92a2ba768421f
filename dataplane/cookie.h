/** @file cookie.h
 * The initial sequence number of our side is a keyed hash of the connection and the epoch, so that every later segment
 * proves by its acknowledgement number that its sender got our SYN-ACK (called by reject.c).
 *
 * The peer's own sequence number can't be in the hash: later segments do not show it. A blind guess succeeds with
 * 2 * 65536 / 2^32 = 3e-5 a segment and buys one small answer. Pure. Threads: any. Cost: fast path, one to three
 * SipHash calls. Source: Bernstein, SYN cookies (1996); RFC 4987, 3.6. */
#ifndef BL_COOKIE_H
#define BL_COOKIE_H

#include <stdbool.h>
#include <stdint.h>

#include "bounceline/siphash.h"
#include "dataplane/parse.h"

/** Bytes of our side that one dialogue may use: an offset at or above is not ours. */
enum { BL_COOKIE_OFFSET_MAX = 65536 };

/** The keyed hash of the packet's connection in @p epoch. Its low 32 bits are our initial sequence number, which anybody
 * on the path may see; the high ones are never sent, and tell where resend.c keeps the connection. */
uint64_t bl_cookie_hash(const struct bl_siphash_key *key, const struct bl_packet *packet, uint64_t epoch);

/** Our initial sequence number for the packet's connection in @p epoch. */
uint32_t bl_cookie_isn(const struct bl_siphash_key *key, const struct bl_packet *packet, uint64_t epoch);

/** What a segment has proved. */
struct bl_cookie_proof {
    uint64_t hash;   /**< bl_cookie_hash of the epoch in which the dialogue began */
    uint32_t offset; /**< bytes of our side that the peer has (0: the SYN-ACK only) */
};

/** Seconds of one epoch. */
enum { BL_COOKIE_EPOCH_S = 1024 };

/** How far the clocks of a pair that shares the key may be apart, in seconds, and how far one may be set back: a cookie
 * of an epoch that begins within this time is good already. */
enum { BL_COOKIE_SKEW_S = 32 };

/** The epochs whose cookies are good at a moment. */
struct bl_cookie_epochs {
    uint64_t epochs[3]; /**< the most likely one first */
    unsigned n;
};

struct bl_cookie_epochs bl_cookie_epochs(uint64_t now_s);

/** True when packet->acknowledgement is of our dialogue, begun in one of the epochs that are good at @p now_s. */
bool bl_cookie_verify(const struct bl_siphash_key *key, const struct bl_packet *packet, uint64_t now_s,
                      struct bl_cookie_proof *proof);

#endif
