/** @file client_codec.h
 * The command line's messages in its own terms: what it sends as bytes, what it gets as plain structs.
 *
 * client_codec.c is the command line's only file that sees generated code. A decoded answer borrows its strings from
 * one block that it owns; free it with the function of its kind. Answers are scanned and decoded within limits
 * (proto/wire.h): a server that was taken over must not take its operators' terminals. Enum values are the wire's and
 * unchecked: print them with the *_text functions. Pure but for the heap; any thread. */
#ifndef BL_CLIENT_CODEC_H
#define BL_CLIENT_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bounceline/error.h"
#include "controlplane/batch.h"

#define BL_CLIENT_CODEC_APPLY "/bounceline.v1.ListControl/Apply"
#define BL_CLIENT_CODEC_LOOKUP "/bounceline.v1.ListControl/Lookup"
#define BL_CLIENT_CODEC_GET_STATUS "/bounceline.v1.ListControl/GetStatus"

/** The values are the wire's. */
enum bl_wait { BL_WAIT_DURABLE = 1, BL_WAIT_ENFORCED = 2 };

/** The values are the wire's. */
enum bl_layer_kind {
    BL_LAYER_EXEMPTION = 1,
    BL_LAYER_OPERATOR_LISTING = 2,
    BL_LAYER_LISTING = 3,
    BL_LAYER_DELIST = 4,
};

struct bl_result_item {
    uint32_t index;
    unsigned outcome; /**< enum bl_outcome */
    unsigned refusal; /**< enum bl_refusal */
    const char *detail;
};

/** UpdateResult. */
struct bl_result {
    uint64_t epoch;
    uint64_t serial;
    bool durable;
    bool enforced;
    bool repeated;
    uint32_t n_dataplanes_enforced;
    uint32_t n_dataplanes_connected;
    struct bl_result_item *items;
    size_t n_items;
    uint64_t n_outcomes[BL_OUTCOME_COUNT];
    void *message; /**< owns the strings */
};

struct bl_layer {
    unsigned kind; /**< enum bl_layer_kind */
    const char *prefix;
    const char *source;
    const char *reason;
    const char *actor;
    uint32_t code;
    unsigned self_service; /**< enum bl_self_service */
    unsigned action;       /**< enum bl_action */
    int64_t observed_at_ms;
    int64_t expires_at_ms;
    uint64_t serial;
    bool effective;
    bool suppressed;
    uint64_t n_hits; /**< of a listing: at most so many, of which hits_error may not be its own */
    uint64_t hits_error;
    int64_t last_hit_ms; /**< 0: none that was counted */
};

/** LookupResponse. */
struct bl_lookup {
    const char *prefix;
    bool listed;
    uint32_t code;
    unsigned action;
    uint32_t class_id;
    struct bl_layer *layers;
    size_t n_layers;
    uint64_t epoch;
    uint64_t serial;
    uint64_t enforced_serial;
    uint32_t n_dataplanes_enforced;
    uint32_t n_dataplanes_connected;
    void *message;
};

struct bl_status_worker {
    uint32_t worker;
    uint64_t serial;
    uint64_t checksum;
    uint64_t rx_packets;
    uint64_t tx_packets;
};

struct bl_status_counter {
    const char *name;
    uint64_t value;
};

struct bl_status_dataplane {
    const char *name;
    const char *version;
    bool connected; /**< false: it was before; the rest is its last report */
    uint64_t epoch;
    uint64_t serial;
    uint64_t digest_hi;
    uint64_t digest_lo;
    uint64_t n_entries_ipv4;
    uint64_t n_entries_ipv6;
    uint64_t age_ms;
    uint64_t n_resyncs;
    uint64_t n_digest_mismatches;
    struct bl_status_worker *workers;
    size_t n_workers;
    struct bl_status_counter *counters;
    size_t n_counters;
};

/** GetStatusResponse. */
struct bl_status {
    const char *version;
    const char *write_fault; /**< empty: writes are taken */
    const char *expiry_hold; /**< empty: what is due expires */
    uint64_t epoch;
    uint64_t durable_serial;
    uint64_t enforced_serial;
    uint64_t digest_hi;
    uint64_t digest_lo;
    uint64_t n_listings;
    uint64_t n_exemptions;
    uint64_t n_delists;
    uint64_t n_effective_ipv4;
    uint64_t n_effective_ipv6;
    uint64_t uptime_ms;
    uint32_t n_classes;
    struct bl_status_dataplane *dataplanes;
    size_t n_dataplanes;
    struct bl_status_counter *counters; /**< the control plane's own */
    size_t n_counters;
    void *message;
};

/** Encodes an UpdateBatch (request_hash is not sent). @return 0 with *out owned by the caller (free), BL_ENOMEM, or
 * BL_ETOOBIG with the limit in words: more than BL_CLIENT_MESSAGE_BYTES_MAX. */
int bl_client_codec_encode_batch(const struct bl_batch *batch, enum bl_wait wait, uint32_t deadline_ms, uint8_t **out,
                                 size_t *length, struct bl_error_detail *detail);

/** Encodes a LookupRequest. @return 0 with *out owned by the caller, or BL_ENOMEM. */
int bl_client_codec_encode_lookup(const char *prefix, uint8_t **out, size_t *length, struct bl_error_detail *detail);

/** Decode answers. @return 0, BL_EINVAL, BL_ETOOBIG or BL_ENOMEM; on failure *out owns nothing. */
int bl_client_codec_decode_result(const uint8_t *data, size_t length, struct bl_result *out,
                                  struct bl_error_detail *detail);
int bl_client_codec_decode_lookup(const uint8_t *data, size_t length, struct bl_lookup *out,
                                  struct bl_error_detail *detail);
int bl_client_codec_decode_status(const uint8_t *data, size_t length, struct bl_status *out,
                                  struct bl_error_detail *detail);

void bl_client_codec_free_result(struct bl_result *result);
void bl_client_codec_free_lookup(struct bl_lookup *lookup);
void bl_client_codec_free_status(struct bl_status *status);

/** The enum's names in lower case: "removed", "held_for_force", "operator_listing"; "unknown" for a value of a later
 * version. JSON has them as they are, people get them with spaces. */
const char *bl_client_codec_outcome_text(unsigned outcome);
const char *bl_client_codec_refusal_text(unsigned refusal);
const char *bl_client_codec_layer_text(unsigned kind);

#endif
