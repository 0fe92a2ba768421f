/* ListControl messages ↔ batches, results, layers, status; see codec_client.h.
 *
 * Decoding borrows: strings and columns of a batch stay in the decoded message. Encoding builds the generated structs
 * around borrowed strings and packs them once; only the arrays of repeated fields are allocated. */
#include "controlplane/codec_client.h"

#include <stdlib.h>
#include <string.h>

#include "bounceline/siphash.h"
#include "bounceline/v1/list_control.pb-c.h"
#include "bounceline/version.h"
#include "proto/wire.h"

/* A value outside its enum must not become another one when it is cut to a byte: policy refuses this one. */
static uint8_t checked_enum(int value, int last)
{
    return value < 0 || value > last ? UINT8_MAX : (uint8_t)value;
}

static enum bl_update_kind checked_kind(int value)
{
    return value < BL_UPDATE_LIST || value > BL_UPDATE_UNEXEMPT ? (enum bl_update_kind)0 : (enum bl_update_kind)value;
}

static void take_update(const Bounceline__V1__Update *in, struct bl_update *out)
{
    *out = (struct bl_update){
        .kind = checked_kind((int)in->kind),
        .prefix = in->prefix,
        .source = in->source,
        .reason = in->reason,
        .code = in->code,
        .self_service = checked_enum((int)in->self_service, BL_SELF_SERVICE_CLOSED),
        .action = checked_enum((int)in->action, BL_ACTION_MONITOR),
        .observed_at_ms = in->observed_at_ms,
        .expires_at_ms = in->expires_at_ms,
    };
}

/* The scan has bounded the bytes; here the columns must fit each other. */
static int check_columns(const Bounceline__V1__BulkUpdate *in, struct bl_error_detail *detail)
{
    size_t n_ipv4 = in->ipv4_addresses.len / 4;
    size_t n_ipv6 = in->ipv6_addresses.len / 16;

    if (in->ipv4_addresses.len % 4 != 0)
        return bl_error_set(detail, BL_EINVAL, "bulk.ipv4_addresses: %zu bytes: expected a multiple of 4",
                            in->ipv4_addresses.len);
    if (in->ipv6_addresses.len % 16 != 0)
        return bl_error_set(detail, BL_EINVAL, "bulk.ipv6_addresses: %zu bytes: expected a multiple of 16",
                            in->ipv6_addresses.len);
    if (in->ipv4_lengths.len != n_ipv4 && in->ipv4_lengths.len != 0)
        return bl_error_set(detail, BL_EINVAL, "bulk.ipv4_lengths: %zu bytes: expected %zu, or none: every item a /32",
                            in->ipv4_lengths.len, n_ipv4);
    if (in->ipv6_lengths.len != n_ipv6)
        return bl_error_set(detail, BL_EINVAL, "bulk.ipv6_lengths: %zu bytes: expected %zu", in->ipv6_lengths.len,
                            n_ipv6);
    if (in->expires_at_s.len != (n_ipv4 + n_ipv6) * 4 && in->expires_at_s.len != 0)
        return bl_error_set(detail, BL_EINVAL, "bulk.expires_at_s: %zu bytes: expected %zu, or none",
                            in->expires_at_s.len, (n_ipv4 + n_ipv6) * 4);
    if (n_ipv4 + n_ipv6 == 0)
        return bl_error_set(detail, BL_EINVAL, "bulk: no addresses: expected at least one");
    return BL_OK;
}

static int take_bulk(const Bounceline__V1__BulkUpdate *in, struct bl_bulk *out, struct bl_error_detail *detail)
{
    int error = check_columns(in, detail);

    if (error != BL_OK)
        return error;
    *out = (struct bl_bulk){
        .update =
            {
                .kind = checked_kind((int)in->kind),
                .source = in->source,
                .reason = in->reason,
                .code = in->code,
                .self_service = checked_enum((int)in->self_service, BL_SELF_SERVICE_CLOSED),
                .action = checked_enum((int)in->action, BL_ACTION_MONITOR),
                .observed_at_ms = in->observed_at_ms,
                .expires_at_ms = in->expires_at_ms,
            },
        .ipv4_addresses = in->ipv4_addresses.data,
        .ipv4_lengths = in->ipv4_lengths.len == 0 ? NULL : in->ipv4_lengths.data,
        .ipv6_addresses = in->ipv6_addresses.data,
        .ipv6_lengths = in->ipv6_lengths.data,
        .expires_at_s = in->expires_at_s.len == 0 ? NULL : in->expires_at_s.data,
        .n_ipv4 = in->ipv4_addresses.len / 4,
        .n_ipv6 = in->ipv6_addresses.len / 16,
    };
    return BL_OK;
}

/* Items or a bulk, never both: their order would mean something then. */
static int take_items(const Bounceline__V1__UpdateBatch *in, struct bl_codec_request *out,
                      struct bl_error_detail *detail)
{
    if (in->bulk != NULL && in->n_updates != 0)
        return bl_error_set(detail, BL_EINVAL, "updates: comes with bulk: expected one of the two");
    if (in->bulk != NULL) {
        out->batch.bulk = &out->bulk;
        return take_bulk(in->bulk, &out->bulk, detail);
    }
    /* By force it means something: see UpdateBatch.force. */
    if (in->n_updates == 0 && !in->force)
        return bl_error_set(detail, BL_EINVAL, "updates: empty: expected at least one, or bulk");
    out->updates = calloc(in->n_updates, sizeof(*out->updates));
    if (out->updates == NULL)
        return BL_ENOMEM;
    for (size_t i = 0; i < in->n_updates; i++)
        take_update(in->updates[i], &out->updates[i]);
    out->batch.updates = out->updates;
    out->batch.n_updates = in->n_updates;
    return BL_OK;
}

/* What can't be said on the wire's own terms: ranges, lengths, enums. */
static int take_batch(const Bounceline__V1__UpdateBatch *in, struct bl_codec_request *out,
                      struct bl_error_detail *detail)
{
    out->batch.session = in->session;
    out->batch.sequence = in->sequence;
    if ((int)in->wait < 0 || in->wait > BOUNCELINE__V1__WAIT_LEVEL__WAIT_LEVEL_ENFORCED)
        return bl_error_set(detail, BL_EINVAL, "wait: %d: expected a WaitLevel", (int)in->wait);
    if (in->deadline_ms > BL_CODEC_CLIENT_DEADLINE_MS_MAX)
        return bl_error_set(detail, BL_ERANGE, "deadline_ms: %u: expected at most %d", in->deadline_ms,
                            BL_CODEC_CLIENT_DEADLINE_MS_MAX);
    if (strlen(in->session) > BL_CODEC_CLIENT_SESSION_MAX)
        return bl_error_set(detail, BL_ERANGE, "session: %zu bytes: expected at most %d", strlen(in->session),
                            BL_CODEC_CLIENT_SESSION_MAX);
    out->batch.expected_serial = in->expected_serial;
    out->batch.atomic = in->atomic != 0;
    out->batch.force = in->force != 0;
    out->batch.replace = in->replace != 0;
    out->batch.dry_run = in->dry_run != 0;
    if (in->replace &&
        (!in->atomic || in->bulk == NULL || in->bulk->kind != BOUNCELINE__V1__UPDATE_KIND__UPDATE_KIND_LIST))
        return bl_error_set(detail, BL_EINVAL, "replace: expected atomic and a bulk of kind LIST");
    out->wait_enforced = in->wait == BOUNCELINE__V1__WAIT_LEVEL__WAIT_LEVEL_ENFORCED;
    out->deadline_ms = in->deadline_ms == 0 ? BL_CODEC_CLIENT_DEADLINE_MS : in->deadline_ms;
    return take_items(in, out, detail);
}

int bl_codec_client_decode_pushed(const uint8_t *data, size_t length, struct bl_codec_request *out, int *refusal,
                                  struct bl_error_detail *detail)
{
    /* Columns and texts are copied once; a decoded item takes about 120 bytes and a pointer beside its texts. */
    static const struct bl_wire_limits limits = {
        .message_bytes_max = BL_CODEC_CLIENT_REQUEST_MAX,
        .memory_bytes_max = BL_CODEC_CLIENT_DECODED_MAX,
        .repeats_max = BL_CODEC_CLIENT_UPDATES_MAX,
    };
    static const struct bl_siphash_key no_key = {0, 0};
    ProtobufCMessage *message = NULL;
    int error = bl_wire_decode(&bounceline__v1__update_batch__descriptor, data, length, &limits, &message, detail);

    if (error != BL_OK)
        return error;
    memset(out, 0, sizeof(*out));
    out->message = message;
    *refusal = take_batch((const Bounceline__V1__UpdateBatch *)message, out, detail);
    out->batch.request_hash = bl_siphash(&no_key, data, length);
    return BL_OK;
}

int bl_codec_client_decode_batch(const uint8_t *data, size_t length, struct bl_codec_request *out,
                                 struct bl_error_detail *detail)
{
    int refusal = BL_OK;
    int error = bl_codec_client_decode_pushed(data, length, out, &refusal, detail);

    if (error == BL_OK && refusal != BL_OK) {
        bl_codec_client_request_fini(out);
        return refusal;
    }
    return error;
}

void bl_codec_client_request_fini(struct bl_codec_request *request)
{
    free(request->updates);
    bl_wire_free(request->message);
    memset(request, 0, sizeof(*request));
}

/* Questions are small: a prefix, or nothing. */
static const struct bl_wire_limits question_limits = {
    .message_bytes_max = 4096, .memory_bytes_max = 16384, .repeats_max = 1};

int bl_codec_client_decode_lookup(const uint8_t *data, size_t length, char *text, size_t text_bytes,
                                  struct bl_error_detail *detail)
{
    ProtobufCMessage *message = NULL;
    int error =
        bl_wire_decode(&bounceline__v1__lookup_request__descriptor, data, length, &question_limits, &message, detail);

    if (error != BL_OK)
        return error;
    const char *prefix = ((const Bounceline__V1__LookupRequest *)message)->prefix;

    if (strlen(prefix) >= text_bytes)
        error = bl_error_set(detail, BL_ERANGE, "prefix: %zu bytes: expected an address or prefix", strlen(prefix));
    else
        memcpy(text, prefix, strlen(prefix) + 1);
    bl_wire_free(message);
    return error;
}

int bl_codec_client_decode_get_status(const uint8_t *data, size_t length, struct bl_error_detail *detail)
{
    return bl_wire_scan(&bounceline__v1__get_status_request__descriptor, data, length, &question_limits, detail);
}

/* The generated structs want char *, and never write to what is behind it. */
static char *borrow(const char *text)
{
    union {
        const char *in;
        char *out;
    } pointer = {.in = text == NULL ? "" : text};

    return pointer.out;
}

/* Details quote what clients sent, perhaps cut in the middle of a character; a protobuf string must be UTF-8. */
static void make_plain(char *text)
{
    for (; *text != '\0'; text++)
        if (*text < ' ' || *text > '~')
            *text = '?';
}

/* The rows live in two arrays, one of structs and one of pointers to them, as protobuf-c wants it. */
static void fill_items(const struct bl_batch_result *result, Bounceline__V1__ItemResult *items,
                       Bounceline__V1__ItemResult **pointers)
{
    for (size_t i = 0; i < result->n_items; i++) {
        bounceline__v1__item_result__init(&items[i]);
        items[i].outcome = (Bounceline__V1__Outcome)result->items[i].outcome;
        items[i].refusal = (Bounceline__V1__Refusal)result->items[i].refusal;
        items[i].index = result->items[i].index;
        if (result->items[i].detail != NULL) {
            make_plain(result->items[i].detail);
            items[i].detail = result->items[i].detail;
        }
        pointers[i] = &items[i];
    }
}

/* Without enforced, the data planes' numbers and repeated_answer: proto3 leaves zeros out, so that
 * bl_codec_client_encode_result can put each of them behind once. */
int bl_codec_client_encode_answer(const struct bl_batch *batch, const struct bl_batch_result *result,
                                  struct bl_codec_bytes *out)
{
    Bounceline__V1__ItemResult *items = calloc(result->n_items + 1, sizeof(*items));
    Bounceline__V1__ItemResult **pointers = calloc(result->n_items + 1, sizeof(*pointers));
    int error = BL_ENOMEM;

    if (items != NULL && pointers != NULL) {
        Bounceline__V1__UpdateResult message;

        bounceline__v1__update_result__init(&message);
        fill_items(result, items, pointers);
        message.session = borrow(batch->session);
        message.sequence = batch->sequence;
        message.epoch = result->epoch;
        message.serial = result->serial;
        message.durable = true;
        message.items = pointers;
        message.n_items = result->n_items;
        message.n_applied = result->n_outcomes[BL_OUTCOME_APPLIED];
        message.n_unchanged = result->n_outcomes[BL_OUTCOME_UNCHANGED];
        message.n_removed = result->n_outcomes[BL_OUTCOME_REMOVED];
        message.n_exempted = result->n_outcomes[BL_OUTCOME_EXEMPTED];
        message.n_not_listed = result->n_outcomes[BL_OUTCOME_NOT_LISTED];
        message.n_refused = result->n_outcomes[BL_OUTCOME_REFUSED];
        error = bl_codec_pack(&message.base, 0, out);
    }
    free(pointers);
    free(items);
    return error;
}

int bl_codec_client_encode_refusal(const struct bl_batch *batch, uint32_t status, const char *text,
                                   struct bl_codec_bytes *out)
{
    Bounceline__V1__UpdateResult message;
    struct bl_error_detail plain;

    (void)bl_error_set(&plain, 0, "%s", text);
    make_plain(plain.text);
    bounceline__v1__update_result__init(&message);
    message.session = borrow(batch->session);
    message.sequence = batch->sequence;
    message.status = status;
    message.detail = plain.text;
    return bl_codec_pack(&message.base, 0, out);
}

/* Both for a first answer and for a retry's: the log's bytes are the beginning of either. */
int bl_codec_client_encode_result(const uint8_t *answer, size_t answer_bytes, const struct bl_codec_reached *reached,
                                  bool repeated, struct bl_codec_bytes *out)
{
    Bounceline__V1__UpdateResult rest;
    int error;

    bounceline__v1__update_result__init(&rest);
    rest.enforced = reached->enforced;
    rest.dataplanes_enforced = reached->n_enforced;
    rest.dataplanes_connected = reached->n_connected;
    rest.repeated_answer = repeated;
    error = bl_codec_pack(&rest.base, answer_bytes, out);
    if (error == BL_OK && answer_bytes != 0)
        memcpy(out->data, answer, answer_bytes);
    return error;
}

static Bounceline__V1__LayerKind layer_kind(const struct bl_list_layer *layer)
{
    switch (layer->kind) {
    case BL_EFFECT_EXEMPT:
        return BOUNCELINE__V1__LAYER_KIND__LAYER_KIND_EXEMPTION;
    case BL_EFFECT_DELIST:
        return BOUNCELINE__V1__LAYER_KIND__LAYER_KIND_DELIST;
    case BL_EFFECT_LIST:
        return strcmp(layer->attributes.source, BL_RECORD_OPERATOR) == 0
                   ? BOUNCELINE__V1__LAYER_KIND__LAYER_KIND_OPERATOR_LISTING
                   : BOUNCELINE__V1__LAYER_KIND__LAYER_KIND_LISTING;
    default:
        return BOUNCELINE__V1__LAYER_KIND__LAYER_KIND_UNSPECIFIED;
    }
}

/* code, action and self_service are a listing's alone. */
static void fill_layer(const struct bl_list_layer *in, char *prefix, Bounceline__V1__Layer *out)
{
    const struct bl_effect_attributes *attributes = &in->attributes;

    bounceline__v1__layer__init(out);
    out->kind = layer_kind(in);
    out->prefix = bl_address_format_prefix(&in->prefix, prefix);
    out->source = borrow(attributes->source);
    out->reason = borrow(attributes->reason);
    out->actor = borrow(attributes->actor);
    out->serial = attributes->serial;
    out->observed_at_ms = attributes->observed_at_ms;
    out->expires_at_ms = attributes->expires_at_ms;
    out->effective = in->effective;
    out->suppressed = in->suppressed;
    if (in->kind == BL_EFFECT_LIST) {
        out->code = attributes->code;
        out->action = (Bounceline__V1__Action)attributes->action;
        out->self_service = attributes->self_service ? BOUNCELINE__V1__SELF_SERVICE__SELF_SERVICE_OPEN
                                                     : BOUNCELINE__V1__SELF_SERVICE__SELF_SERVICE_CLOSED;
    }
}

struct layer_row {
    Bounceline__V1__Layer layer;
    char prefix[BL_ADDRESS_TEXT_MAX];
};

int bl_codec_client_encode_lookup(const struct bl_codec_lookup *lookup, struct bl_codec_bytes *out)
{
    struct layer_row *rows = calloc(lookup->n_layers + 1, sizeof(*rows));
    Bounceline__V1__Layer **pointers = calloc(lookup->n_layers + 1, sizeof(*pointers));
    Bounceline__V1__LookupResponse message;
    char prefix[BL_ADDRESS_TEXT_MAX];
    int error = BL_ENOMEM;

    bounceline__v1__lookup_response__init(&message);
    if (rows != NULL && pointers != NULL) {
        for (size_t i = 0; i < lookup->n_layers; i++) {
            fill_layer(&lookup->layers[i], rows[i].prefix, &rows[i].layer);
            pointers[i] = &rows[i].layer;
            if (lookup->hits == NULL)
                continue;
            rows[i].layer.n_hits = lookup->hits[i].n_events;
            rows[i].layer.hits_error = lookup->hits[i].error;
            rows[i].layer.last_hit_ms = lookup->hits[i].last_ms;
        }
        message.prefix = bl_address_format_prefix(&lookup->prefix, prefix);
        message.class_id = lookup->class_id;
        if (lookup->meaning != NULL) {
            message.listed = true;
            message.code = lookup->meaning->code;
            message.action = (Bounceline__V1__Action)lookup->meaning->action;
        }
        message.layers = pointers;
        message.n_layers = lookup->n_layers;
        message.epoch = lookup->epoch;
        message.serial = lookup->serial;
        message.enforced_serial = lookup->enforced_serial;
        message.dataplanes_enforced = lookup->reached.n_enforced;
        message.dataplanes_connected = lookup->reached.n_connected;
        error = bl_codec_pack(&message.base, 0, out);
    }
    free(pointers);
    free(rows);
    return error;
}

/* One data plane's generated structs, with room for all that it can report. */
struct dataplane_row {
    Bounceline__V1__DataplaneStatus status;
    Bounceline__V1__WorkerStatus workers[BL_CODEC_SYNC_WORKERS_MAX];
    Bounceline__V1__WorkerStatus *worker_pointers[BL_CODEC_SYNC_WORKERS_MAX];
    Bounceline__V1__Counter counters[BL_CODEC_SYNC_COUNTERS_MAX];
    Bounceline__V1__Counter *counter_pointers[BL_CODEC_SYNC_COUNTERS_MAX];
};

/* Bounded by the report's own arrays, which codec_sync.c filled. */
static void fill_report(const struct bl_codec_sync_report *report, struct dataplane_row *row)
{
    for (uint32_t i = 0; i < report->n_workers; i++) {
        bounceline__v1__worker_status__init(&row->workers[i]);
        row->workers[i].worker = report->workers[i].worker;
        row->workers[i].serial = report->workers[i].serial;
        row->workers[i].checksum = report->workers[i].checksum;
        row->workers[i].rx_packets = report->workers[i].rx_packets;
        row->workers[i].tx_packets = report->workers[i].tx_packets;
        row->worker_pointers[i] = &row->workers[i];
    }
    for (uint32_t i = 0; i < report->n_counters; i++) {
        bounceline__v1__counter__init(&row->counters[i]);
        row->counters[i].name = borrow(report->counters[i].name);
        row->counters[i].value = report->counters[i].value;
        row->counter_pointers[i] = &row->counters[i];
    }
    row->status.workers = row->worker_pointers;
    row->status.n_workers = report->n_workers;
    row->status.counters = row->counter_pointers;
    row->status.n_counters = report->n_counters;
}

static void fill_dataplane(const struct bl_codec_dataplane *in, struct dataplane_row *row)
{
    Bounceline__V1__DataplaneStatus *out = &row->status;

    bounceline__v1__dataplane_status__init(out);
    out->name = borrow(in->name);
    out->version = borrow(in->version);
    out->connected = in->connected;
    out->epoch = in->report.epoch;
    out->serial = in->report.serial;
    out->digest_hi = in->report.digest.hi;
    out->digest_lo = in->report.digest.lo;
    out->n_entries_ipv4 = in->report.n_entries_ipv4;
    out->n_entries_ipv6 = in->report.n_entries_ipv6;
    out->age_ms = in->age_ms;
    out->n_resyncs = in->n_resyncs;
    out->n_digest_mismatches = in->n_digest_mismatches;
    fill_report(&in->report, row);
}

/* The control plane's own counters. */
struct own_counters {
    Bounceline__V1__Counter counters[4];
    Bounceline__V1__Counter *pointers[4];
};

static void fill_own_counters(const struct bl_rejects_counts *rejects, struct own_counters *own)
{
    const struct {
        const char *name;
        uint64_t value;
    } counts[] = {{"rejects_taken", rejects->n_taken},
                  {"rejects_lost", rejects->n_lost},
                  {"rejects_file_lines", rejects->n_lines},
                  {"rejects_file_lost", rejects->n_lines_lost}};

    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        bounceline__v1__counter__init(&own->counters[i]);
        own->counters[i].name = borrow(counts[i].name);
        own->counters[i].value = counts[i].value;
        own->pointers[i] = &own->counters[i];
    }
}

/* A row a data plane, about 13 KiB each: on the heap, for the length of the call. */
int bl_codec_client_encode_status(const struct bl_codec_status *status, struct bl_codec_bytes *out)
{
    struct dataplane_row *rows = calloc(status->n_dataplanes + 1, sizeof(*rows));
    Bounceline__V1__DataplaneStatus **pointers = calloc(status->n_dataplanes + 1, sizeof(*pointers));
    Bounceline__V1__GetStatusResponse message;
    struct own_counters own;
    int error = BL_ENOMEM;

    bounceline__v1__get_status_response__init(&message);
    if (rows != NULL && pointers != NULL) {
        for (size_t i = 0; i < status->n_dataplanes; i++) {
            fill_dataplane(&status->dataplanes[i], &rows[i]);
            pointers[i] = &rows[i].status;
        }
        message.version = borrow(BL_VERSION_TEXT);
        message.epoch = status->epoch;
        message.durable_serial = status->durable_serial;
        message.enforced_serial = status->enforced_serial;
        message.digest_hi = status->digest.hi;
        message.digest_lo = status->digest.lo;
        message.n_listings = status->counts.n_listings;
        message.n_exemptions = status->counts.n_exemptions;
        message.n_delists = status->counts.n_delists;
        message.n_effective_ipv4 = status->counts.n_effective_ipv4;
        message.n_effective_ipv6 = status->counts.n_effective_ipv6;
        message.n_classes = status->counts.n_classes;
        message.uptime_ms = status->uptime_ms;
        message.write_fault = borrow(status->write_fault);
        message.expiry_hold = borrow(status->expiry_hold);
        fill_own_counters(&status->rejects, &own);
        message.counters = own.pointers;
        message.n_counters = sizeof(own.pointers) / sizeof(own.pointers[0]);
        message.dataplanes = pointers;
        message.n_dataplanes = status->n_dataplanes;
        error = bl_codec_pack(&message.base, 0, out);
    }
    free(pointers);
    free(rows);
    return error;
}
