/* Bytes to structs and back; see client_codec.h.
 *
 * Decoding copies numbers and lends strings: the message stays, in one piece, as long as the struct that points into
 * it. Arrays are made anew, since the message's are of its own types, which nobody else may see. */
#include "controlplane/cli/client_codec.h"

#include <assert.h>
#include <stdlib.h>

#include "bounceline/v1/list_control.pb-c.h"
#include "controlplane/cli/client.h"
#include "proto/wire.h"

/* A status of 64 data planes with 64 workers and all reasons is below 1 MiB. */
static const struct bl_wire_limits answer_limits = {
    .message_bytes_max = BL_CLIENT_MESSAGE_BYTES_MAX,
    .memory_bytes_max = 256 << 20,
    .repeats_max = 1 << 20,
};

/* What crosses as a number must mean the same on both sides. */
static_assert((int)BL_WAIT_ENFORCED == (int)BOUNCELINE__V1__WAIT_LEVEL__WAIT_LEVEL_ENFORCED, "wire value");
static_assert((int)BL_UPDATE_UNEXEMPT == (int)BOUNCELINE__V1__UPDATE_KIND__UPDATE_KIND_UNEXEMPT, "wire value");
static_assert((int)BL_OUTCOME_REFUSED == (int)BOUNCELINE__V1__OUTCOME__OUTCOME_REFUSED, "wire value");
static_assert((int)BL_REFUSAL_QUOTA == (int)BOUNCELINE__V1__REFUSAL__REFUSAL_QUOTA, "wire value");
static_assert((int)BL_LAYER_DELIST == (int)BOUNCELINE__V1__LAYER_KIND__LAYER_KIND_DELIST, "wire value");
static_assert((int)BL_ACTION_MONITOR == (int)BOUNCELINE__V1__ACTION__ACTION_MONITOR, "wire value");
static_assert((int)BL_SELF_SERVICE_CLOSED == (int)BOUNCELINE__V1__SELF_SERVICE__SELF_SERVICE_CLOSED, "wire value");

/* protobuf-c has no const in its messages; encoding only reads. */
static char *lend_text(const char *text)
{
    return (char *)(uintptr_t)(text == NULL ? "" : text);
}

/* NULL is an empty field, whatever the length: see ipv4_lengths in batch.h. */
static ProtobufCBinaryData lend_bytes(const uint8_t *data, size_t length)
{
    return (ProtobufCBinaryData){.len = data == NULL ? 0 : length, .data = (uint8_t *)(uintptr_t)data};
}

/* The limit is the message's, not the number of items: what fits depends on families and lengths. */
static int encode(const ProtobufCMessage *message, uint8_t **out, size_t *length, struct bl_error_detail *detail)
{
    *length = protobuf_c_message_get_packed_size(message);
    if (*length > BL_CLIENT_MESSAGE_BYTES_MAX)
        return bl_error_set(detail, BL_ETOOBIG,
                            "takes %zu bytes as one message: expected at most %d (32 MiB, about 8 million IPv4 "
                            "addresses): split it",
                            *length, BL_CLIENT_MESSAGE_BYTES_MAX);
    *out = malloc(*length == 0 ? 1 : *length);
    if (*out == NULL)
        return bl_error_set(detail, BL_ENOMEM, "out of memory");
    (void)protobuf_c_message_pack(message, *out);
    return BL_OK;
}

static Bounceline__V1__Update wire_update(const struct bl_update *update)
{
    Bounceline__V1__Update wire;

    bounceline__v1__update__init(&wire);
    wire.kind = (Bounceline__V1__UpdateKind)update->kind;
    wire.prefix = lend_text(update->prefix);
    wire.source = lend_text(update->source);
    wire.code = update->code;
    wire.reason = lend_text(update->reason);
    wire.observed_at_ms = update->observed_at_ms;
    wire.expires_at_ms = update->expires_at_ms;
    wire.self_service = (Bounceline__V1__SelfService)update->self_service;
    wire.action = (Bounceline__V1__Action)update->action;
    return wire;
}

static Bounceline__V1__BulkUpdate wire_bulk(const struct bl_bulk *bulk)
{
    Bounceline__V1__BulkUpdate wire;

    bounceline__v1__bulk_update__init(&wire);
    wire.kind = (Bounceline__V1__UpdateKind)bulk->update.kind;
    wire.source = lend_text(bulk->update.source);
    wire.code = bulk->update.code;
    wire.reason = lend_text(bulk->update.reason);
    wire.observed_at_ms = bulk->update.observed_at_ms;
    wire.expires_at_ms = bulk->update.expires_at_ms;
    wire.self_service = (Bounceline__V1__SelfService)bulk->update.self_service;
    wire.action = (Bounceline__V1__Action)bulk->update.action;
    wire.ipv4_addresses = lend_bytes(bulk->ipv4_addresses, bulk->n_ipv4 * 4);
    wire.ipv4_lengths = lend_bytes(bulk->ipv4_lengths, bulk->n_ipv4);
    wire.ipv6_addresses = lend_bytes(bulk->ipv6_addresses, bulk->n_ipv6 * 16);
    wire.ipv6_lengths = lend_bytes(bulk->ipv6_lengths, bulk->n_ipv6);
    wire.expires_at_s = lend_bytes(bulk->expires_at_s, (bulk->n_ipv4 + bulk->n_ipv6) * 4);
    return wire;
}

int bl_client_codec_encode_batch(const struct bl_batch *batch, enum bl_wait wait, uint32_t deadline_ms, uint8_t **out,
                                 size_t *length, struct bl_error_detail *detail)
{
    Bounceline__V1__UpdateBatch wire;
    /* One more than needed: calloc(0) may be NULL. */
    Bounceline__V1__Update *updates = calloc(batch->n_updates + 1, sizeof(*updates));
    Bounceline__V1__Update **pointers = calloc(batch->n_updates + 1, sizeof(Bounceline__V1__Update *));
    Bounceline__V1__BulkUpdate bulk;
    int error = BL_ENOMEM;

    if (updates == NULL || pointers == NULL) {
        bl_error_set(detail, error, "out of memory");
        goto out_free_updates;
    }
    for (size_t i = 0; i < batch->n_updates; i++) {
        updates[i] = wire_update(&batch->updates[i]);
        pointers[i] = &updates[i];
    }
    bounceline__v1__update_batch__init(&wire);
    wire.session = lend_text(batch->session);
    wire.sequence = batch->sequence;
    wire.n_updates = batch->n_updates;
    wire.updates = pointers;
    wire.wait = (Bounceline__V1__WaitLevel)wait;
    wire.deadline_ms = deadline_ms;
    wire.atomic = batch->atomic;
    wire.force = batch->force;
    wire.replace = batch->replace;
    wire.dry_run = batch->dry_run;
    wire.expected_serial = batch->expected_serial;
    if (batch->bulk != NULL) {
        bulk = wire_bulk(batch->bulk);
        wire.bulk = &bulk;
    }
    error = encode(&wire.base, out, length, detail);

out_free_updates:
    free(pointers);
    free(updates);
    return error;
}

int bl_client_codec_encode_lookup(const char *prefix, uint8_t **out, size_t *length, struct bl_error_detail *detail)
{
    Bounceline__V1__LookupRequest wire;

    bounceline__v1__lookup_request__init(&wire);
    wire.prefix = lend_text(prefix);
    return encode(&wire.base, out, length, detail);
}

/* calloc of nothing may be NULL: not a failure. */
static void *make_array(size_t n, size_t size)
{
    return calloc(n == 0 ? 1 : n, size);
}

int bl_client_codec_decode_result(const uint8_t *data, size_t length, struct bl_result *out,
                                  struct bl_error_detail *detail)
{
    ProtobufCMessage *message = NULL;
    const Bounceline__V1__UpdateResult *wire;
    struct bl_result result = {0};
    int error =
        bl_wire_decode(&bounceline__v1__update_result__descriptor, data, length, &answer_limits, &message, detail);

    if (error != BL_OK)
        return error;
    wire = (const Bounceline__V1__UpdateResult *)message;
    result = (struct bl_result){
        .epoch = wire->epoch,
        .serial = wire->serial,
        .durable = wire->durable != 0,
        .enforced = wire->enforced != 0,
        .repeated = wire->repeated_answer != 0,
        .n_dataplanes_enforced = wire->dataplanes_enforced,
        .n_dataplanes_connected = wire->dataplanes_connected,
        .n_outcomes = {[BL_OUTCOME_APPLIED] = wire->n_applied,
                       [BL_OUTCOME_UNCHANGED] = wire->n_unchanged,
                       [BL_OUTCOME_REMOVED] = wire->n_removed,
                       [BL_OUTCOME_EXEMPTED] = wire->n_exempted,
                       [BL_OUTCOME_NOT_LISTED] = wire->n_not_listed,
                       [BL_OUTCOME_REFUSED] = wire->n_refused},
        .items = make_array(wire->n_items, sizeof(*result.items)),
        .n_items = wire->n_items,
        .message = message,
    };
    if (result.items == NULL) {
        bl_client_codec_free_result(&result);
        return bl_error_set(detail, BL_ENOMEM, "out of memory");
    }
    for (size_t i = 0; i < wire->n_items; i++) {
        const Bounceline__V1__ItemResult *item = wire->items[i];

        result.items[i] = (struct bl_result_item){item->index, item->outcome, item->refusal, item->detail};
    }
    *out = result;
    return BL_OK;
}

void bl_client_codec_free_result(struct bl_result *result)
{
    free(result->items);
    bl_wire_free(result->message);
    *result = (struct bl_result){0};
}

static struct bl_layer read_layer(const Bounceline__V1__Layer *wire)
{
    return (struct bl_layer){
        .kind = wire->kind,
        .prefix = wire->prefix,
        .source = wire->source,
        .reason = wire->reason,
        .actor = wire->actor,
        .code = wire->code,
        .self_service = wire->self_service,
        .action = wire->action,
        .observed_at_ms = wire->observed_at_ms,
        .expires_at_ms = wire->expires_at_ms,
        .serial = wire->serial,
        .effective = wire->effective != 0,
        .suppressed = wire->suppressed != 0,
        .n_hits = wire->n_hits,
        .hits_error = wire->hits_error,
        .last_hit_ms = wire->last_hit_ms,
    };
}

int bl_client_codec_decode_lookup(const uint8_t *data, size_t length, struct bl_lookup *out,
                                  struct bl_error_detail *detail)
{
    ProtobufCMessage *message = NULL;
    const Bounceline__V1__LookupResponse *wire;
    struct bl_lookup lookup = {0};
    int error =
        bl_wire_decode(&bounceline__v1__lookup_response__descriptor, data, length, &answer_limits, &message, detail);

    if (error != BL_OK)
        return error;
    wire = (const Bounceline__V1__LookupResponse *)message;
    lookup = (struct bl_lookup){
        .prefix = wire->prefix,
        .listed = wire->listed != 0,
        .code = wire->code,
        .action = wire->action,
        .class_id = wire->class_id,
        .layers = make_array(wire->n_layers, sizeof(*lookup.layers)),
        .n_layers = wire->n_layers,
        .epoch = wire->epoch,
        .serial = wire->serial,
        .enforced_serial = wire->enforced_serial,
        .n_dataplanes_enforced = wire->dataplanes_enforced,
        .n_dataplanes_connected = wire->dataplanes_connected,
        .message = message,
    };
    if (lookup.layers == NULL) {
        bl_client_codec_free_lookup(&lookup);
        return bl_error_set(detail, BL_ENOMEM, "out of memory");
    }
    for (size_t i = 0; i < wire->n_layers; i++)
        lookup.layers[i] = read_layer(wire->layers[i]);
    *out = lookup;
    return BL_OK;
}

void bl_client_codec_free_lookup(struct bl_lookup *lookup)
{
    free(lookup->layers);
    bl_wire_free(lookup->message);
    *lookup = (struct bl_lookup){0};
}

static int read_dataplane(const Bounceline__V1__DataplaneStatus *wire, struct bl_status_dataplane *out)
{
    *out = (struct bl_status_dataplane){
        .name = wire->name,
        .version = wire->version,
        .connected = wire->connected != 0,
        .epoch = wire->epoch,
        .serial = wire->serial,
        .digest_hi = wire->digest_hi,
        .digest_lo = wire->digest_lo,
        .n_entries_ipv4 = wire->n_entries_ipv4,
        .n_entries_ipv6 = wire->n_entries_ipv6,
        .age_ms = wire->age_ms,
        .n_resyncs = wire->n_resyncs,
        .n_digest_mismatches = wire->n_digest_mismatches,
        .workers = make_array(wire->n_workers, sizeof(*out->workers)),
        .n_workers = wire->n_workers,
        .counters = make_array(wire->n_counters, sizeof(*out->counters)),
        .n_counters = wire->n_counters,
    };
    if (out->workers == NULL || out->counters == NULL)
        return BL_ENOMEM;
    for (size_t i = 0; i < wire->n_workers; i++) {
        const Bounceline__V1__WorkerStatus *worker = wire->workers[i];

        out->workers[i] = (struct bl_status_worker){worker->worker, worker->serial, worker->checksum,
                                                    worker->rx_packets, worker->tx_packets};
    }
    for (size_t i = 0; i < wire->n_counters; i++)
        out->counters[i] = (struct bl_status_counter){wire->counters[i]->name, wire->counters[i]->value};
    return BL_OK;
}

int bl_client_codec_decode_status(const uint8_t *data, size_t length, struct bl_status *out,
                                  struct bl_error_detail *detail)
{
    ProtobufCMessage *message = NULL;
    const Bounceline__V1__GetStatusResponse *wire;
    struct bl_status status = {0};
    int error = bl_wire_decode(&bounceline__v1__get_status_response__descriptor, data, length, &answer_limits, &message,
                               detail);

    if (error != BL_OK)
        return error;
    wire = (const Bounceline__V1__GetStatusResponse *)message;
    status = (struct bl_status){
        .version = wire->version,
        .write_fault = wire->write_fault,
        .expiry_hold = wire->expiry_hold,
        .epoch = wire->epoch,
        .durable_serial = wire->durable_serial,
        .enforced_serial = wire->enforced_serial,
        .digest_hi = wire->digest_hi,
        .digest_lo = wire->digest_lo,
        .n_listings = wire->n_listings,
        .n_exemptions = wire->n_exemptions,
        .n_delists = wire->n_delists,
        .n_effective_ipv4 = wire->n_effective_ipv4,
        .n_effective_ipv6 = wire->n_effective_ipv6,
        .uptime_ms = wire->uptime_ms,
        .n_classes = wire->n_classes,
        .dataplanes = make_array(wire->n_dataplanes, sizeof(*status.dataplanes)),
        .counters = make_array(wire->n_counters, sizeof(*status.counters)),
        .message = message,
    };
    error = status.dataplanes == NULL || status.counters == NULL ? BL_ENOMEM : BL_OK;
    for (size_t i = 0; error == BL_OK && i < wire->n_counters; i++)
        status.counters[status.n_counters++] =
            (struct bl_status_counter){wire->counters[i]->name, wire->counters[i]->value};
    /* n_dataplanes counts the one that failed as well: its arrays are freed with the rest. */
    for (size_t i = 0; error == BL_OK && i < wire->n_dataplanes; i++) {
        error = read_dataplane(wire->dataplanes[i], &status.dataplanes[i]);
        status.n_dataplanes = i + 1;
    }
    if (error != BL_OK) {
        bl_client_codec_free_status(&status);
        return bl_error_set(detail, error, "out of memory");
    }
    *out = status;
    return BL_OK;
}

void bl_client_codec_free_status(struct bl_status *status)
{
    for (size_t i = 0; i < status->n_dataplanes; i++) {
        free(status->dataplanes[i].workers);
        free(status->dataplanes[i].counters);
    }
    free(status->dataplanes);
    free(status->counters);
    bl_wire_free(status->message);
    *status = (struct bl_status){0};
}

const char *bl_client_codec_outcome_text(unsigned outcome)
{
    static const char *const texts[BL_OUTCOME_COUNT] = {
        [BL_OUTCOME_APPLIED] = "applied",   [BL_OUTCOME_UNCHANGED] = "unchanged",   [BL_OUTCOME_REMOVED] = "removed",
        [BL_OUTCOME_EXEMPTED] = "exempted", [BL_OUTCOME_NOT_LISTED] = "not_listed", [BL_OUTCOME_REFUSED] = "refused",
    };

    return outcome < BL_OUTCOME_COUNT && texts[outcome] != NULL ? texts[outcome] : "unknown";
}

const char *bl_client_codec_refusal_text(unsigned refusal)
{
    static const char *const texts[] = {
        [BL_REFUSAL_NONE] = "none",
        [BL_REFUSAL_INVALID] = "invalid",
        [BL_REFUSAL_TOO_WIDE] = "too_wide",
        [BL_REFUSAL_NEVER_LISTED] = "never_listed",
        [BL_REFUSAL_ROLE] = "role",
        [BL_REFUSAL_SOURCE] = "source",
        [BL_REFUSAL_OPERATOR_LISTING] = "operator_listing",
        [BL_REFUSAL_SELF_SERVICE_CLOSED] = "self_service_closed",
        [BL_REFUSAL_HELD_FOR_FORCE] = "held_for_force",
        [BL_REFUSAL_CLASSES_EXHAUSTED] = "classes_exhausted",
        [BL_REFUSAL_BATCH] = "batch",
        [BL_REFUSAL_QUOTA] = "quota",
    };

    return refusal < sizeof(texts) / sizeof(texts[0]) ? texts[refusal] : "unknown";
}

const char *bl_client_codec_layer_text(unsigned kind)
{
    static const char *const texts[] = {
        [BL_LAYER_EXEMPTION] = "exemption",
        [BL_LAYER_OPERATOR_LISTING] = "operator_listing",
        [BL_LAYER_LISTING] = "listing",
        [BL_LAYER_DELIST] = "delist",
    };

    return kind >= BL_LAYER_EXEMPTION && kind <= BL_LAYER_DELIST ? texts[kind] : "unknown";
}
