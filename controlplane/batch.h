/** @file batch.h
 * A client's batch and its result in the control plane's own terms: codec.c decodes and encodes them, policy.c decides
 * them. Plain data. Enum values are the wire's (bounceline.v1). */
#ifndef BL_BATCH_H
#define BL_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bounceline/address.h"
#include "bounceline/settings.h"

enum bl_update_kind { BL_UPDATE_LIST = 1, BL_UPDATE_DELIST = 2, BL_UPDATE_EXEMPT = 3, BL_UPDATE_UNEXEMPT = 4 };

enum bl_self_service { BL_SELF_SERVICE_DEFAULT = 0, BL_SELF_SERVICE_OPEN = 1, BL_SELF_SERVICE_CLOSED = 2 };

enum bl_outcome {
    BL_OUTCOME_NONE = 0,
    BL_OUTCOME_APPLIED = 1,
    BL_OUTCOME_UNCHANGED = 2,
    BL_OUTCOME_REMOVED = 3,
    BL_OUTCOME_EXEMPTED = 4,
    BL_OUTCOME_NOT_LISTED = 5,
    BL_OUTCOME_REFUSED = 6,
    BL_OUTCOME_COUNT
};

enum bl_refusal {
    BL_REFUSAL_NONE = 0,
    BL_REFUSAL_INVALID = 1,
    BL_REFUSAL_TOO_WIDE = 2,
    BL_REFUSAL_NEVER_LISTED = 3,
    BL_REFUSAL_ROLE = 4,
    BL_REFUSAL_SOURCE = 5,
    BL_REFUSAL_OPERATOR_LISTING = 6,
    BL_REFUSAL_SELF_SERVICE_CLOSED = 7,
    BL_REFUSAL_HELD_FOR_FORCE = 8,
    BL_REFUSAL_CLASSES_EXHAUSTED = 9,
    BL_REFUSAL_BATCH = 10,
    BL_REFUSAL_QUOTA = 11,
};

/** What a caller is, as authorize.c found it. Borrowed for the time of the call. */
struct bl_actor {
    const char *name;
    enum bl_role role;
    const char *source; /**< feeder: its own source; else "" */
    uint32_t number;    /**< 1 and on: of controlplane.actors, for its limits; 0: not one of them */
};

/** One update as asked. 0 and "" mean "not said". */
struct bl_update {
    enum bl_update_kind kind;
    const char *prefix; /**< text; NULL in a bulk */
    const char *source;
    const char *reason;
    uint32_t code;
    uint8_t self_service; /**< enum bl_self_service */
    uint8_t action;       /**< enum bl_action; 0: the source's */
    int64_t observed_at_ms;
    int64_t expires_at_ms;
};

/** The columns of a bulk; all borrowed from the decoded request. ipv4_lengths NULL: every item is a /32. */
struct bl_bulk {
    struct bl_update update; /**< what all items share */
    const uint8_t *ipv4_addresses;
    const uint8_t *ipv4_lengths;
    const uint8_t *ipv6_addresses;
    const uint8_t *ipv6_lengths;
    const uint8_t *expires_at_s; /**< 4 bytes an item, IPv4 first; NULL: all as update says */
    size_t n_ipv4;
    size_t n_ipv6;
};

struct bl_batch {
    const char *session;
    uint64_t sequence;
    uint64_t request_hash;
    uint64_t expected_serial;
    bool atomic;
    bool force;
    bool replace; /**< what the bulk's source lists and the bulk does not is removed */
    bool dry_run;
    const struct bl_update *updates;
    size_t n_updates;
    const struct bl_bulk *bulk; /**< or NULL; never both */
};

static inline size_t bl_batch_n_items(const struct bl_batch *batch)
{
    return batch->bulk == NULL ? batch->n_updates : batch->bulk->n_ipv4 + batch->bulk->n_ipv6;
}

struct bl_item_result {
    uint32_t index;
    uint8_t outcome; /**< enum bl_outcome */
    uint8_t refusal; /**< enum bl_refusal */
    char *detail;    /**< owned; NULL for none */
};

enum { BL_BATCH_BULK_REFUSALS_MAX = 100 };

/** The decision on a batch. Items: one an update, in order; of a bulk the first refused ones only. */
struct bl_batch_result {
    uint64_t epoch;
    uint64_t serial;              /**< 0: nothing was recorded */
    struct bl_item_result *items; /**< owned */
    size_t n_items;
    uint64_t n_outcomes[BL_OUTCOME_COUNT];
    bool repeated;
};

#endif
