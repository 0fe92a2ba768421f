/** @file codec_client.h
 * The messages of ListControl in the control plane's own terms (ingest.c calls). See codec.h.
 *
 * Limits, held before anything is allocated: a request has at most BL_CODEC_CLIENT_REQUEST_MAX bytes, a batch at most
 * BL_CODEC_CLIENT_UPDATES_MAX items; bulks are bounded by the bytes. So a request takes its bytes and at most
 * BL_CODEC_CLIENT_DECODED_MAX decoded, whatever is in it (test_codec_client.c measures the worst). A refused request
 * names its field. */
#ifndef BL_CODEC_CLIENT_H
#define BL_CODEC_CLIENT_H

#include "bounceline/digest.h"
#include "bounceline/error.h"
#include "controlplane/batch.h"
#include "controlplane/codec.h"
#include "controlplane/codec_sync.h"
#include "controlplane/list_state.h"
#include "controlplane/rejects.h"

enum {
    BL_CODEC_CLIENT_REQUEST_MAX = 32 << 20,
    BL_CODEC_CLIENT_UPDATES_MAX = 10000,
    /** 512 bytes an item beside the texts: protobuf-c's 136 and ours, rounded up. */
    BL_CODEC_CLIENT_DECODED_MAX = BL_CODEC_CLIENT_REQUEST_MAX + BL_CODEC_CLIENT_UPDATES_MAX * 512,
    BL_CODEC_CLIENT_SESSION_MAX = 128,  /**< bytes of text */
    BL_CODEC_CLIENT_DEADLINE_MS = 5000, /**< where a batch says none */
    BL_CODEC_CLIENT_DEADLINE_MS_MAX = 600000,
};

/** A decoded UpdateBatch. Everything in `batch` borrows from it; batch.request_hash is filled in. It refers to itself:
 * never copied. */
struct bl_codec_request {
    struct bl_batch batch;
    bool wait_enforced;
    uint32_t deadline_ms;
    struct bl_bulk bulk;
    struct bl_update *updates;
    void *message;
};

/** @return 0, BL_EINVAL, BL_ERANGE, BL_ETOOBIG or BL_ENOMEM; on failure there is nothing to fini. */
int bl_codec_client_decode_batch(const uint8_t *data, size_t length, struct bl_codec_request *out,
                                 struct bl_error_detail *detail);

/** The same of a stream's batch. A message that is a batch but not a good one is no failure: *out then names it
 * (session, sequence), *refusal says what is wrong with it, and it needs fini as a good one does. */
int bl_codec_client_decode_pushed(const uint8_t *data, size_t length, struct bl_codec_request *out, int *refusal,
                                  struct bl_error_detail *detail);
void bl_codec_client_request_fini(struct bl_codec_request *request);

/** The prefix that a LookupRequest asks for, copied into @p text. */
int bl_codec_client_decode_lookup(const uint8_t *data, size_t length, char *text, size_t text_bytes,
                                  struct bl_error_detail *detail);

/** A GetStatusRequest says nothing; this holds it to that. */
int bl_codec_client_decode_get_status(const uint8_t *data, size_t length, struct bl_error_detail *detail);

/** Encodes the answer as the log keeps it: an UpdateResult without what was reached in the data planes and without
 * repeated_answer. Control bytes and bytes outside ASCII in the items' details become '?'. */
int bl_codec_client_encode_answer(const struct bl_batch *batch, const struct bl_batch_result *result,
                                  struct bl_codec_bytes *out);

/** Encodes the answer to a batch of a stream that was refused as a whole with @p status. */
int bl_codec_client_encode_refusal(const struct bl_batch *batch, uint32_t status, const char *text,
                                   struct bl_codec_bytes *out);

/** What the data planes had reached when the answer was sent. */
struct bl_codec_reached {
    bool enforced;
    uint32_t n_enforced;
    uint32_t n_connected;
};

/** @p answer with the rest of the UpdateResult behind it (protobuf merges what is concatenated). */
int bl_codec_client_encode_result(const uint8_t *answer, size_t answer_bytes, const struct bl_codec_reached *reached,
                                  bool repeated, struct bl_codec_bytes *out);

struct bl_codec_lookup {
    struct bl_prefix prefix;
    uint8_t class_id;
    const struct bl_class *meaning; /**< of class_id; NULL when not listed */
    const struct bl_list_layer *layers;
    const struct bl_rejects_item *hits; /**< of each layer; NULL: not known */
    size_t n_layers;
    uint64_t epoch;
    uint64_t serial;
    uint64_t enforced_serial;
    struct bl_codec_reached reached;
};

int bl_codec_client_encode_lookup(const struct bl_codec_lookup *lookup, struct bl_codec_bytes *out);

/** One data plane, as far as this control plane knows it. */
struct bl_codec_dataplane {
    char name[BL_CODEC_SYNC_NAME_MAX];
    char version[BL_CODEC_SYNC_NAME_MAX];
    bool connected;
    uint64_t age_ms;
    uint64_t n_resyncs;
    uint64_t n_digest_mismatches;
    struct bl_codec_sync_report report;
};

struct bl_codec_status {
    uint64_t epoch;
    uint64_t durable_serial;
    uint64_t enforced_serial;
    struct bl_digest digest;
    struct bl_list_counts counts;
    uint64_t uptime_ms;
    const char *write_fault;
    const char *expiry_hold;
    struct bl_rejects_counts rejects;
    const struct bl_codec_dataplane *dataplanes;
    size_t n_dataplanes;
};

int bl_codec_client_encode_status(const struct bl_codec_status *status, struct bl_codec_bytes *out);

#endif
