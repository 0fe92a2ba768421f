/** @file worker_judge.h
 * The judge over what a worker does beyond one answer (answer_judge.h): connections that are not ours, resets to the
 * server, challenges, what the ring sends again, and which frames go on. Used by mutate_frames.c. */
#ifndef BL_TEST_WORKER_JUDGE_H
#define BL_TEST_WORKER_JUDGE_H

#include "dataplane/worker_path.h"

enum { JUDGE_MEMORY = 4096 };

/** The SYN-ACKs and greetings that went out last, for what comes again. */
struct judge_memory {
    struct {
        uint64_t hash;
        unsigned n_again;
    } answers[JUDGE_MEMORY];
    unsigned n;
};

/* FNV-1a. */
static inline uint64_t judge_hash(const uint8_t *bytes, size_t length)
{
    uint64_t hash = 0xcbf29ce484222325;

    for (size_t i = 0; i < length; i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3;
    return hash;
}

static inline void judge_remember(struct judge_memory *memory, const uint8_t *bytes, size_t length)
{
    unsigned at = memory->n++ % JUDGE_MEMORY;

    memory->answers[at].hash = judge_hash(bytes, length);
    memory->answers[at].n_again = 0;
}

/** Something sent again: to the byte what was sent before, and at most twice. */
static inline const char *judge_again(struct judge_memory *memory, const struct worker_path_out *out)
{
    uint64_t hash = judge_hash(out->bytes, out->length);

    for (unsigned i = 1; i <= JUDGE_MEMORY && i <= memory->n; i++) {
        unsigned at = (memory->n - i) % JUDGE_MEMORY;

        if (memory->answers[at].hash == hash)
            return ++memory->answers[at].n_again > 2 ? "sent again more than twice" : NULL;
    }
    return "sent again what never was sent";
}

/** A bare RST: to the server in the client's name (@p turned false), or back to the server for its own segment. The
 * envelope of an answer, with the ends as they should be. */
static inline const char *judge_rst(const uint8_t *in, size_t in_bytes, const struct worker_path_out *out,
                                    uint32_t sequence, bool turned)
{
    uint8_t as_if[FRAME_BYTES_MAX];
    struct judge_case c = {.in = as_if, .in_bytes = in_bytes, .out = out->bytes, .out_bytes = out->length};

    memcpy(as_if, in, in_bytes);
    if (!frame_view_read(as_if, in_bytes, &c.seen) || !frame_view_read(out->bytes, out->length, &c.said))
        return "RST for, or as, no TCP segment";
    if (!turned) {
        /* The judge wants an answer: this is one to the frame from the other end. */
        uint8_t other[16];

        memcpy(as_if, in + 6, 6);
        memcpy(as_if + 6, in, 6);
        memcpy(other, c.seen.source, 16);
        memcpy(c.seen.source, c.seen.destination, 16);
        memcpy(c.seen.destination, other, 16);
        c.seen.source_port ^= c.seen.destination_port;
        c.seen.destination_port ^= c.seen.source_port;
        c.seen.source_port ^= c.seen.destination_port;
    }
    if (judge_envelope(&c) != NULL)
        return judge_envelope(&c);
    if (c.said.flags != FRAME_RST || c.said.payload_bytes != 0 || c.said.window != 0 || c.said.acknowledgement != 0)
        return "RST: flags, payload, window or acknowledgement";
    return c.said.sequence != sequence ? "RST: sequence" : NULL;
}

/** True for a segment of a listed source, to port 25, that is of no dialogue of ours: it has an ACK that proves nothing,
 * or is a RST without one. */
static inline bool judge_is_foreign(const struct judge_case *c, const struct judgement *judgement)
{
    uint8_t flags = c->seen.flags;

    if (c->seen.destination_port != 25 || !judge_is_answerable(c) || judgement->cookie || (flags & FRAME_SYN) != 0)
        return false;
    return (flags & (FRAME_ACK | FRAME_RST)) != 0;
}

static inline const char *judge_foreign(const struct judge_case *c, const struct worker_path *path,
                                        enum bl_reason reason)
{
    uint8_t established = path->common->rules.established;

    if (established == BL_ESTABLISHED_DROP)
        return reason != BL_REASON_DROP_ESTABLISHED || path->n_wan != 0 ? "established: drop is silence" : NULL;
    if (established == BL_ESTABLISHED_PASS || (c->seen.flags & FRAME_RST) != 0)
        return reason != BL_REASON_PASS_ESTABLISHED || path->n_wan != 0 ? "established: it goes on" : NULL;
    if (reason != BL_REASON_RESET_ESTABLISHED || path->n_wan != 1 || path->n_lan != 1)
        return "established: reset is one RST each way";
    if (judge_envelope(c) != NULL)
        return judge_envelope(c);
    if (judge_reset(c) != NULL)
        return judge_reset(c);
    return judge_rst(c->in, c->in_bytes, &path->lan[0], c->seen.sequence, false);
}

/** What goes where, whatever it is: one answer for a frame, a frame goes on when its reason passes, and one to the server
 * is a reset's. */
static inline const char *judge_ways(const struct worker_path *path, enum bl_reason reason)
{
    if (reason == BL_REASON_COUNT)
        return "not counted by exactly one reason";
    if (path->n_wan > 1)
        return "more than one answer";
    if (path->forwarded != (bl_verdict_of(reason) == BL_VERDICT_PASS))
        return "goes on against its verdict";
    if ((path->n_lan != 0) != (reason == BL_REASON_RESET_ESTABLISHED))
        return "a frame to the server that is no reset's";
    if (path->n_wan != 0 && bl_verdict_of(reason) != BL_VERDICT_REJECT && bl_verdict_of(reason) != BL_VERDICT_RESET)
        return "answer, and a reason that says there is none";
    return NULL;
}

/** A server's frame. @p rejected: the client's segments would be. */
static inline const char *judge_lan(const struct worker_path *path, const uint8_t *in, size_t in_bytes, bool rejected,
                                    bool limited)
{
    struct judge_case c = {.in = in, .in_bytes = in_bytes};
    bool challenge = frame_view_read(in, in_bytes, &c.seen) && c.seen.source_port == 25 && rejected &&
                     (c.seen.flags & (FRAME_ACK | FRAME_SYN | FRAME_FIN | FRAME_RST)) == FRAME_ACK &&
                     c.seen.payload_bytes == 0 && judge_is_answerable(&c);

    if (path->n_wan != 0)
        return "a server's frame makes one to the client";
    if (limited && path->n_lan == 0)
        return NULL;
    if (path->n_lan != (challenge ? 1 : 0))
        return challenge ? "challenge not answered" : "answer to a server's frame that is no challenge";
    return challenge ? judge_rst(in, in_bytes, &path->lan[0], c.seen.acknowledgement, true) : NULL;
}

#endif
