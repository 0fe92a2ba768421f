/* TableSync messages ↔ codec_sync.h's structs. */
#include "controlplane/codec_sync.h"

#include <stdlib.h>
#include <string.h>

#include "bounceline/v1/table_sync.pb-c.h"
#include "bounceline/version.h"
#include "proto/wire.h"

_Static_assert(BL_CODEC_SYNC_ENTRIES_MAX *(16 + 1 + 1) + BL_CLASS_COUNT * (BL_CLASS_URL_MAX + 32) <= 1 << 20,
               "a frame stays under 1 MiB, so that no frame blocks the way of a delist for long");

/* A name that goes to logs and to clients: not empty, printable, short. */
static int take_name(const char *in, char *out, size_t out_bytes, const char *field, struct bl_error_detail *detail)
{
    size_t length = strlen(in);

    if (length == 0 || length >= out_bytes)
        return bl_error_set(detail, BL_EINVAL, "%s: %zu bytes: expected 1 to %zu", field, length, out_bytes - 1);
    for (size_t i = 0; i < length; i++)
        if (in[i] < ' ' || in[i] > '~')
            return bl_error_set(detail, BL_EINVAL, "%s: expected printable ASCII", field);
    memcpy(out, in, length + 1);
    return BL_OK;
}

/* The protocol's version is the caller's to judge: it wants to refuse it by name. */
static int take_hello(const Bounceline__V1__Hello *in, struct bl_codec_sync_message *out,
                      struct bl_error_detail *detail)
{
    int error = take_name(in->name, out->name, sizeof(out->name), "Hello.name", detail);

    if (error == BL_OK)
        error = take_name(in->version, out->version, sizeof(out->version), "Hello.version", detail);
    out->kind = BL_CODEC_SYNC_HELLO;
    out->protocol_version = in->protocol_version;
    out->n_workers = in->n_workers;
    out->epoch = in->epoch;
    out->serial = in->serial;
    out->digest = (struct bl_digest){in->digest_hi, in->digest_lo};
    return error;
}

/* What is over the limits is refused, not cut: half a report would look like a whole one. */
static int take_report(const Bounceline__V1__Report *in, struct bl_codec_sync_report *out,
                       struct bl_error_detail *detail)
{
    int error = BL_OK;

    if (in->n_workers > BL_CODEC_SYNC_WORKERS_MAX || in->n_counters > BL_CODEC_SYNC_COUNTERS_MAX)
        return bl_error_set(detail, BL_EINVAL, "Report: %zu workers, %zu counters: expected at most %d and %d",
                            in->n_workers, in->n_counters, BL_CODEC_SYNC_WORKERS_MAX, BL_CODEC_SYNC_COUNTERS_MAX);
    out->epoch = in->epoch;
    out->serial = in->serial;
    out->digest = (struct bl_digest){in->digest_hi, in->digest_lo};
    out->n_entries_ipv4 = in->n_entries_ipv4;
    out->n_entries_ipv6 = in->n_entries_ipv6;
    out->n_workers = (uint32_t)in->n_workers;
    out->n_counters = (uint32_t)in->n_counters;
    for (size_t i = 0; i < in->n_workers; i++)
        out->workers[i] = (struct bl_codec_sync_worker){
            .worker = in->workers[i]->worker,
            .serial = in->workers[i]->serial,
            /* Taken when the worker had time: of an earlier state it says nothing about this one. */
            .checksum = in->workers[i]->checksum_serial == in->workers[i]->serial ? in->workers[i]->checksum : 0,
            .rx_packets = in->workers[i]->rx_packets,
            .tx_packets = in->workers[i]->tx_packets,
        };
    for (size_t i = 0; i < in->n_counters && error == BL_OK; i++) {
        error = take_name(in->counters[i]->name, out->counters[i].name, sizeof(out->counters[i].name),
                          "SyncCounter.name", detail);
        out->counters[i].value = in->counters[i]->value;
    }
    return error;
}

static int take_addresses(const Bounceline__V1__RejectSample *in, struct bl_codec_sync_reject *out,
                          struct bl_error_detail *detail)
{
    if ((in->source.len != 4 && in->source.len != 16) ||
        (in->destination.len != in->source.len && in->destination.len != 0))
        return bl_error_set(detail, BL_EINVAL,
                            "RejectSample: addresses of %zu and %zu bytes: expected 4 or 16 each, or no destination",
                            in->source.len, in->destination.len);
    out->source.family = in->source.len == 4 ? BL_FAMILY_IPV4 : BL_FAMILY_IPV6;
    memcpy(out->source.bytes, in->source.data, in->source.len);
    if (in->destination.len == 0)
        return BL_OK;
    out->destination.family = out->source.family;
    memcpy(out->destination.bytes, in->destination.data, in->destination.len);
    return BL_OK;
}

/* A reason of another version is no fault: the sample still says who, when and by which class. */
static int take_reject(const Bounceline__V1__RejectSample *in, struct bl_codec_sync_reject *out,
                       struct bl_error_detail *detail)
{
    memset(out, 0, sizeof(*out));
    if (in->time_ms < 0 || in->weight == 0 || in->source_port > UINT16_MAX || in->destination_port > UINT16_MAX ||
        in->class_id < BL_CLASS_FIRST || in->class_id > BL_CLASS_LAST || in->denied_at >= BL_DENIED_AT_COUNT ||
        in->worker >= BL_CODEC_SYNC_WORKERS_MAX)
        return bl_error_set(detail, BL_EINVAL,
                            "RejectSample: time, weight, port, class_id, denied_at or worker out of range");
    out->time_ms = in->time_ms;
    out->weight = in->weight;
    out->source_port = (uint16_t)in->source_port;
    out->destination_port = (uint16_t)in->destination_port;
    out->class_id = (uint8_t)in->class_id;
    out->reason = (uint8_t)bl_verdict_find_reason(in->reason);
    out->denied_at = (uint8_t)in->denied_at;
    out->worker = (uint8_t)in->worker;
    return take_addresses(in, out, detail);
}

static int take_rejects(const Bounceline__V1__RejectSamples *in, struct bl_codec_sync_rejects *out,
                        struct bl_error_detail *detail)
{
    int error = BL_OK;

    if (in->n_samples > BL_CODEC_SYNC_REJECTS_MAX)
        return bl_error_set(detail, BL_EINVAL, "RejectSamples: %zu samples: expected at most %d", in->n_samples,
                            BL_CODEC_SYNC_REJECTS_MAX);
    out->n = (uint32_t)in->n_samples;
    for (size_t i = 0; i < in->n_samples && error == BL_OK; i++)
        error = take_reject(in->samples[i], &out->rejects[i], detail);
    return error;
}

/* Snapshots and deltas go the other way only. */
static int take_message(const Bounceline__V1__SyncMessage *in, struct bl_codec_sync_message *out,
                        struct bl_error_detail *detail)
{
    switch (in->body_case) {
    case BOUNCELINE__V1__SYNC_MESSAGE__BODY_HELLO:
        return take_hello(in->hello, out, detail);
    case BOUNCELINE__V1__SYNC_MESSAGE__BODY_ACK:
        out->kind = BL_CODEC_SYNC_ACK;
        out->epoch = in->ack->epoch;
        out->serial = in->ack->serial;
        out->digest = (struct bl_digest){in->ack->digest_hi, in->ack->digest_lo};
        return BL_OK;
    case BOUNCELINE__V1__SYNC_MESSAGE__BODY_REPORT:
        out->kind = BL_CODEC_SYNC_REPORT;
        return take_report(in->report, &out->report, detail);
    case BOUNCELINE__V1__SYNC_MESSAGE__BODY_REJECTS:
        out->kind = BL_CODEC_SYNC_REJECTS;
        return take_rejects(in->rejects, &out->rejects, detail);
    case BOUNCELINE__V1__SYNC_MESSAGE__BODY_REFUSAL:
        out->kind = BL_CODEC_SYNC_REFUSAL;
        out->refusal = (uint32_t)in->refusal->reason;
        (void)bl_error_set(&out->detail, BL_OK, "%s", in->refusal->detail);
        return BL_OK;
    default:
        return bl_error_set(detail, BL_EINVAL, "SyncMessage: expected a hello, ack, report, rejects or refusal");
    }
}

int bl_codec_sync_decode(const uint8_t *data, size_t length, struct bl_codec_sync_message *out,
                         struct bl_error_detail *detail)
{
    /* The largest that a data plane may say are rejects; what only the control plane sends is refused by its kind. */
    static const struct bl_wire_limits limits = {
        .message_bytes_max = 64 << 10, .memory_bytes_max = 256 << 10, .repeats_max = BL_CODEC_SYNC_REJECTS_MAX};
    ProtobufCMessage *message = NULL;
    int error = bl_wire_decode(&bounceline__v1__sync_message__descriptor, data, length, &limits, &message, detail);

    if (error != BL_OK)
        return error;
    /* Rejects are written whole where they are counted: there is nothing to clear for an acknowledgement. */
    memset(out, 0, offsetof(struct bl_codec_sync_message, rejects));
    memset(&out->report, 0, sizeof(out->report));
    error = take_message((const Bounceline__V1__SyncMessage *)message, out, detail);
    bl_wire_free(message);
    return error;
}

/* Header and message in one block: one send, one buffer to count. */
static int pack_frame(const Bounceline__V1__SyncMessage *message, struct bl_codec_bytes *frame)
{
    int error = bl_codec_pack(&message->base, BL_WIRE_FRAME_HEADER_BYTES, frame);

    if (error == BL_OK)
        bl_wire_frame_write(frame->data, frame->length - BL_WIRE_FRAME_HEADER_BYTES);
    return error;
}

static char *borrow(const char *text)
{
    union {
        const char *in;
        char *out;
    } pointer = {.in = text};

    return pointer.out;
}

int bl_codec_sync_encode_hello(uint64_t epoch, uint64_t serial, struct bl_digest digest, struct bl_codec_bytes *frame)
{
    Bounceline__V1__SyncMessage message;
    Bounceline__V1__Hello hello;

    bounceline__v1__sync_message__init(&message);
    bounceline__v1__hello__init(&hello);
    hello.protocol_version = BL_VERSION_SYNC;
    hello.version = borrow("bounceline-controlplane " BL_VERSION_TEXT);
    hello.epoch = epoch;
    hello.serial = serial;
    hello.digest_hi = digest.hi;
    hello.digest_lo = digest.lo;
    message.body_case = BOUNCELINE__V1__SYNC_MESSAGE__BODY_HELLO;
    message.hello = &hello;
    return pack_frame(&message, frame);
}

int bl_codec_sync_encode_refusal(enum bl_codec_sync_refusal reason, const char *text, struct bl_codec_bytes *frame)
{
    Bounceline__V1__SyncMessage message;
    Bounceline__V1__SyncRefusal refusal;

    bounceline__v1__sync_message__init(&message);
    bounceline__v1__sync_refusal__init(&refusal);
    refusal.reason = (Bounceline__V1__SyncRefusal__Reason)reason;
    refusal.detail = borrow(text);
    message.body_case = BOUNCELINE__V1__SYNC_MESSAGE__BODY_REFUSAL;
    message.refusal = &refusal;
    return pack_frame(&message, frame);
}

/* The repeated fields and columns of one part. */
struct part_rows {
    Bounceline__V1__ClassDefinition classes[BL_CLASS_COUNT];
    Bounceline__V1__ClassDefinition *class_pointers[BL_CLASS_COUNT];
    size_t n_classes;
    ProtobufCBinaryData ipv4[3]; /* addresses, lengths, classes */
    ProtobufCBinaryData ipv6[3];
    uint8_t columns[];
};

/* Those of the mask that are in use; a class that is no longer in use is not sent, nothing refers to it. */
static void fill_classes(const struct bl_codec_sync_part *part, struct part_rows *rows)
{
    for (uint32_t id = BL_CLASS_FIRST; part->classes != NULL && id <= BL_CLASS_LAST; id++) {
        Bounceline__V1__ClassDefinition *out = &rows->classes[rows->n_classes];

        if ((part->classes_mask >> id & 1) == 0 || part->classes[id].code == 0)
            continue;
        bounceline__v1__class_definition__init(out);
        out->class_id = id;
        out->code = part->classes[id].code;
        out->action = part->classes[id].action;
        out->self_service = part->classes[id].self_service;
        out->url = borrow(part->classes[id].url);
        rows->class_pointers[rows->n_classes++] = out;
    }
}

/* One family's three columns, in the order of the entries: where a prefix comes twice, the last one counts.
 * @return the first byte behind them. */
static uint8_t *fill_family(const struct bl_codec_sync_part *part, uint8_t family, uint8_t *column,
                            ProtobufCBinaryData data[3])
{
    size_t width = family == BL_FAMILY_IPV4 ? 4 : 16;
    size_t n = 0;

    for (size_t i = 0; i < part->n_entries; i++)
        n += part->entries[i].prefix.family == family;
    data[0] = (ProtobufCBinaryData){n * width, column};
    data[1] = (ProtobufCBinaryData){n, column + n * width};
    data[2] = (ProtobufCBinaryData){n, column + n * width + n};
    n = 0;
    for (size_t i = 0; i < part->n_entries; i++) {
        const struct bl_list_change *entry = &part->entries[i];

        if (entry->prefix.family != family)
            continue;
        memcpy(data[0].data + n * width, entry->prefix.bytes, width);
        data[1].data[n] = entry->prefix.length;
        data[2].data[n] = entry->class_id;
        n++;
    }
    return data[2].data + n;
}

/* One block for a part: its rows, and its columns behind them. */
static struct part_rows *make_rows(const struct bl_codec_sync_part *part)
{
    struct part_rows *rows = malloc(sizeof(*rows) + part->n_entries * (16 + 1 + 1));

    if (rows == NULL)
        return NULL;
    rows->n_classes = 0;
    fill_classes(part, rows);
    (void)fill_family(part, BL_FAMILY_IPV6, fill_family(part, BL_FAMILY_IPV4, rows->columns, rows->ipv4), rows->ipv6);
    return rows;
}

/* Delta and SnapshotChunk have the same columns and classes under different field numbers. */
#define FILL_COLUMNS(out, rows) \
    do { \
        (out)->classes = (rows)->class_pointers; \
        (out)->n_classes = (rows)->n_classes; \
        (out)->ipv4_addresses = (rows)->ipv4[0]; \
        (out)->ipv4_lengths = (rows)->ipv4[1]; \
        (out)->ipv4_classes = (rows)->ipv4[2]; \
        (out)->ipv6_addresses = (rows)->ipv6[0]; \
        (out)->ipv6_lengths = (rows)->ipv6[1]; \
        (out)->ipv6_classes = (rows)->ipv6[2]; \
    } while (0)

int bl_codec_sync_encode_delta(const struct bl_codec_sync_part *part, struct bl_codec_bytes *frame)
{
    Bounceline__V1__SyncMessage message;
    Bounceline__V1__Delta delta;
    struct part_rows *rows = make_rows(part);
    int error;

    bounceline__v1__sync_message__init(&message);
    bounceline__v1__delta__init(&delta);
    if (rows == NULL)
        return BL_ENOMEM;
    FILL_COLUMNS(&delta, rows);
    delta.epoch = part->epoch;
    delta.from_serial = part->from_serial;
    delta.serial = part->serial;
    delta.partial = !part->last;
    if (part->last) {
        delta.digest_hi = part->digest.hi;
        delta.digest_lo = part->digest.lo;
    }
    message.body_case = BOUNCELINE__V1__SYNC_MESSAGE__BODY_DELTA;
    message.delta = &delta;
    error = pack_frame(&message, frame);
    free(rows);
    return error;
}

int bl_codec_sync_encode_snapshot(const struct bl_codec_sync_part *part, struct bl_codec_bytes *frame)
{
    Bounceline__V1__SyncMessage message;
    Bounceline__V1__SnapshotChunk chunk;
    struct part_rows *rows = make_rows(part);
    int error;

    bounceline__v1__sync_message__init(&message);
    bounceline__v1__snapshot_chunk__init(&chunk);
    if (rows == NULL)
        return BL_ENOMEM;
    FILL_COLUMNS(&chunk, rows);
    chunk.epoch = part->epoch;
    chunk.serial = part->serial;
    chunk.chunk = part->chunk;
    chunk.last = part->last;
    if (part->last) {
        chunk.digest_hi = part->digest.hi;
        chunk.digest_lo = part->digest.lo;
    }
    if (part->chunk == 0 || part->last)
        chunk.n_entries = part->n_entries_all;
    message.body_case = BOUNCELINE__V1__SYNC_MESSAGE__BODY_SNAPSHOT;
    message.snapshot = &chunk;
    error = pack_frame(&message, frame);
    free(rows);
    return error;
}
