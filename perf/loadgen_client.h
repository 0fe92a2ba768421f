/** @file loadgen_client.h
 * The client of a dialogue, without memory: what it says next is a function of the segment that it hears (trial → client).
 *
 * Two numbers come back in every segment of a server: our addresses and ports, and how much of what we said it has. The
 * client's first sequence number is (number of the dialogue + keyed hash of the ends, 24 bits) << 8, and all that it says
 * is shorter than 256 bytes, so that any acknowledgement tells which dialogue it belongs to and how far that is. An
 * acknowledgement that is off by anything else, or belongs to other ends, names a dialogue that does not exist. Pure.
 * Threads: any. Source: the cookies of dataplane/cookie.h, used from the other side. */
#ifndef BL_PERF_LOADGEN_CLIENT_H
#define BL_PERF_LOADGEN_CLIENT_H

#include "bounceline/siphash.h"
#include "perf/loadgen_frame.h"

/** What is heard, in this order. X(name, text) */
#define LOADGEN_STEPS(X) \
    X(SYN_ACK, "syn_ack") \
    X(GREETING, "greeting") \
    X(EHLO, "ehlo") \
    X(MAIL, "mail") \
    X(RCPT, "rcpt") \
    X(BYE, "bye") \
    X(LAST, "last")

enum loadgen_step {
#define X(name, text) LOADGEN_STEP_##name,
    LOADGEN_STEPS(X)
#undef X
        LOADGEN_N_STEPS
};

const char *loadgen_client_step_text(enum loadgen_step step);

/** Numbers of dialogues are told apart modulo this. */
#define LOADGEN_WINDOW (UINT64_C(1) << 24)

/** SipHash of the ends. */
uint64_t loadgen_client_hash(const struct bl_siphash_key *key, const struct loadgen_ends *ends);

/** The first sequence number. @param hash loadgen_client_hash */
uint32_t loadgen_client_isn(uint64_t hash, uint64_t index);

/** The latest dialogue before @p n_begun that a number behind its first one (what is acknowledged, less the SYN's) belongs
 * to, and *offset, the bytes between. @return false: there is none. */
bool loadgen_client_find(uint64_t hash, uint32_t number, uint64_t n_begun, uint64_t *index, uint32_t *offset);

/** The step that a segment is, by how much it acknowledges; LOADGEN_N_STEPS: none. */
enum loadgen_step loadgen_client_step(bool syn, uint32_t offset);

/** Writes what is said to a segment heard. @return how many segments, 0 to 2. */
unsigned loadgen_client_next(enum loadgen_step step, const struct loadgen_heard *heard,
                             struct loadgen_segment segments[2]);

/** The SYN. */
void loadgen_client_syn(uint32_t isn, struct loadgen_segment *segment);

#endif
