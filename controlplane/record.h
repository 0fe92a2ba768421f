/** @file record.h
 * Decided effects and the records that carry them: what policy.c makes, log.h keeps, list_state.c folds, codec.c
 * encodes. Plain data; no functions but free. Times are milliseconds since 1970 UTC, 0 = none. Strings are
 * NUL-terminated UTF-8, never NULL in a finished record ("" for none). */
#ifndef BL_RECORD_H
#define BL_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bounceline/address.h"

/** The reserved source of an operator's listings: wins over delists and feeds. */
#define BL_RECORD_OPERATOR "operator"

/** The actor of expiry records. */
#define BL_RECORD_EXPIRY "expiry"

/** The values are the log's (bounceline.v1.EffectKind). */
enum bl_effect_kind {
    BL_EFFECT_LIST = 1,     /**< sets the listing (prefix, source) */
    BL_EFFECT_UNLIST = 2,   /**< removes it */
    BL_EFFECT_DELIST = 3,   /**< sets the delist of prefix */
    BL_EFFECT_UNDELIST = 4, /**< removes it */
    BL_EFFECT_EXEMPT = 5,
    BL_EFFECT_UNEXEMPT = 6,
};

/** What the prefixes of one group share. Which fields count depends on the kind: LIST all but suppress_until;
 * UNLIST source; DELIST reason, observed_at (when it was said), expires_at, suppress_until, self_delists; EXEMPT reason,
 * expires_at. */
struct bl_effect_attributes {
    const char *source;
    const char *reason;
    const char *url;   /**< of the class */
    const char *actor; /**< who set it; in a live record the record's actor */
    uint64_t serial;   /**< that set it; in a live record the record's serial */
    int64_t observed_at_ms;
    int64_t expires_at_ms;
    int64_t suppress_until_ms; /**< listings observed at or before it do not count */
    const char *self_delists;  /**< when self-service delisted it, oldest first (policy_escalation.h); may be NULL */
    uint16_t code;
    uint8_t action; /**< enum bl_action */
    bool self_service;
};

/** A run of effects that differ in their prefix only; applied in order. */
struct bl_effect_group {
    enum bl_effect_kind kind;
    struct bl_effect_attributes attributes;
    const struct bl_prefix *prefixes;
    size_t n_prefixes;
};

struct bl_record {
    uint64_t epoch;
    uint64_t serial;
    int64_t time_ms;
    const char *actor;
    const char *session;
    uint64_t sequence;
    uint64_t request_hash;
    const struct bl_effect_group *groups;
    size_t n_groups;
    const uint8_t *answer; /**< the encoded first answer, for retries */
    size_t answer_bytes;
};

#endif
