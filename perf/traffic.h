/** @file traffic.h
 * The frames of bench_burst and bench_wire: what arrives at the WAN port, by class (list → traffic → bench).
 *
 * A frame follows from its class, its family and a number alone: frames of one number are of one connection, with a
 * source and a port of its own, whatever their class. Made with the tests' builder, which shares no code with the product; the cookie
 * in the acknowledgement number is the product's. Threads: any. Cost: start-up, some 300 ns. */
#ifndef BL_PERF_TRAFFIC_H
#define BL_PERF_TRAFFIC_H

#include "bounceline/siphash.h"
#include "bounceline/verdict.h"
#include "list.h"

/** The eight frames of a complete dialogue stand first, in their order. */
enum traffic_class {
    TRAFFIC_SYN,
    TRAFFIC_ACK,
    TRAFFIC_EHLO,
    TRAFFIC_MAIL,
    TRAFFIC_RCPT,
    TRAFFIC_QUIT,
    TRAFFIC_ACK_FIN,
    TRAFFIC_FIN,
    TRAFFIC_DIALOGUE, /**< so many frames */
    TRAFFIC_OTHER = TRAFFIC_DIALOGUE,
    TRAFFIC_ALLOWED,
    TRAFFIC_DROP,
    TRAFFIC_RESET,
    TRAFFIC_GARBAGE,
    TRAFFIC_MIXED,
    TRAFFIC_CLASSES
};

enum { TRAFFIC_FRAME_MAX = 192, TRAFFIC_MIXED_PERCENT = 30 };

struct traffic_kind {
    const char *name;
    const char *text;      /**< for people */
    enum bl_reason reason; /**< that the worker gives it; of the mixture: of its listed part */
    bool listed;           /**< its source is */
    uint8_t action;        /**< enum bl_action of the class that it is listed with */
};

extern const struct traffic_kind traffic_kinds[TRAFFIC_CLASSES];

/** What all frames of a run have in common. */
struct traffic {
    const struct list *list;      /**< listed sources come from it; of one family */
    const struct bl_table *table; /**< the same list: an unlisted source is one that it does not know */
    struct bl_siphash_key cookie_key;
    uint64_t now_s;
    uint64_t seed;
};

/** Whether frame @p number of the class is from a listed source. */
bool traffic_is_listed(enum traffic_class class, uint64_t number);

/** Writes the frame of connection @p number, at most TRAFFIC_FRAME_MAX bytes. @return its length. */
size_t traffic_build(const struct traffic *traffic, enum traffic_class class, uint64_t number, uint8_t *out);

#endif
