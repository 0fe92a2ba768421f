/** @file answer.h
 * A segment whose verdict is REJECT or RESET: verify it, ask reject.c what to say, hold that against the limits, build it
 * in a buffer of its own (classify → answer → tx on the WAN port, or → forward when the segment is of a connection that
 * is not ours); and send again what may have been lost (resend.c).
 *
 * Answers never use the ports' receive buffers: when a worker has no buffer for an answer it drops listed segments,
 * and forwarded traffic does not notice. Threads: owning worker. Cost: fast path. */
#ifndef BL_ANSWER_H
#define BL_ANSWER_H

#include <rte_mbuf.h>

#include "dataplane/worker.h"

/** A frame that is to be answered; all borrowed but the frame. */
struct bl_answer_job {
    struct rte_mbuf *frame; /**< in one segment */
    const struct bl_packet *packet;
    const struct bl_decision *decision; /**< REJECT or RESET */
    struct bl_reject_proof proof;       /**< made by bl_answer_burst */
    bool passes; /**< set by bl_answer_burst: the frame goes on to the server, and is still there */
};

/** Takes the frames of @p n jobs, in their order, but for those that pass, and counts the final reasons of all. */
void bl_answer_burst(struct bl_worker *worker, struct bl_answer_job *jobs, unsigned n);

/** Sends the SYN-ACKs and greetings that are due again, a bounded number. @return false when there were none. Cost: one
 * load when nothing is due. */
bool bl_answer_resend(struct bl_worker *worker);

/** Builds @p reply to @p packet of the frame @p bytes and hands it to the side's port. @return false when there is no
 * buffer. */
bool bl_answer_send(struct bl_worker *worker, enum bl_side side, const uint8_t *bytes, const struct bl_packet *packet,
                    const struct bl_reply *reply);

#endif
