/* TableSync's messages; see sync_codec.h. */
#include "dataplane/sync_codec.h"

#include <stdlib.h>
#include <string.h>

#include "bounceline/v1/table_sync.pb-c.h"
#include "bounceline/version.h"
#include "proto/wire.h"

/* Columns are copied once by the decoder, and nothing else of a message is large. */
static const struct bl_wire_limits limits = {
    .message_bytes_max = BL_WIRE_FRAME_BYTES_MAX,
    .memory_bytes_max = BL_WIRE_FRAME_BYTES_MAX + (256 << 10),
    .repeats_max = BL_CLASS_LAST,
};

/* One family's entries in a snapshot or delta, as they are on the wire. */
struct columns {
    ProtobufCBinaryData addresses;
    ProtobufCBinaryData lengths;
    ProtobufCBinaryData classes;
    uint8_t family;
    const char *name;
};

/* What the message keeps: the decoded form, and its columns: IPv4, IPv6. */
struct decoded {
    Bounceline__V1__SyncMessage *message;
    struct columns columns[2];
};

static size_t address_bytes(const struct columns *columns)
{
    return columns->family == BL_FAMILY_IPV4 ? 4 : 16;
}

static void read_entry(const struct columns *columns, size_t i, struct bl_table_entry *entry)
{
    size_t bytes = address_bytes(columns);

    memset(entry, 0, sizeof(*entry));
    memcpy(entry->prefix.bytes, columns->addresses.data + i * bytes, bytes);
    entry->prefix.length = columns->lengths.data[i];
    entry->prefix.family = columns->family;
    entry->class_id = columns->classes.data[i];
}

static int check_columns(const struct columns *columns, uint8_t class_min, struct bl_error_detail *detail)
{
    size_t n = columns->lengths.len;
    struct bl_table_entry entry;

    if (columns->addresses.len != n * address_bytes(columns) || columns->classes.len != n)
        return bl_error_set(detail, BL_EINVAL, "%s: columns of %zu, %zu and %zu bytes do not fit together",
                            columns->name, columns->addresses.len, n, columns->classes.len);
    for (size_t i = 0; i < n; i++) {
        read_entry(columns, i, &entry);
        if (!bl_address_prefix_canonical(&entry.prefix))
            return bl_error_set(detail, BL_EINVAL,
                                "%s: entry %zu of length %u has bits below its length, or no such length",
                                columns->name, i, entry.prefix.length);
        if (entry.class_id < class_min || entry.class_id > BL_CLASS_EXEMPT)
            return bl_error_set(detail, BL_EINVAL, "%s: entry %zu has class %u: expected %u..%d", columns->name, i,
                                entry.class_id, class_min, BL_CLASS_EXEMPT);
    }
    return BL_OK;
}

static int read_class(const Bounceline__V1__ClassDefinition *from, struct bl_sync_message *out,
                      struct bl_error_detail *detail)
{
    struct bl_class *class;
    size_t url_bytes = strlen(from->url);

    if (from->class_id < BL_CLASS_FIRST || from->class_id > BL_CLASS_LAST)
        return bl_error_set(detail, BL_EINVAL, "class %u: expected %d..%d", from->class_id, BL_CLASS_FIRST,
                            BL_CLASS_LAST);
    if (out->classes_mask & UINT64_C(1) << from->class_id)
        return bl_error_set(detail, BL_EINVAL, "class %u is defined twice", from->class_id);
    if (from->code > UINT16_MAX || from->action > UINT8_MAX || url_bytes > BL_CLASS_URL_MAX)
        return bl_error_set(detail, BL_EINVAL, "class %u: code, action or URL out of range", from->class_id);
    class = &out->classes[from->class_id];
    class->code = (uint16_t)from->code;
    class->action = (uint8_t)from->action;
    class->self_service = from->self_service != 0;
    memcpy(class->url, from->url, url_bytes + 1);
    out->classes_mask |= UINT64_C(1) << from->class_id;
    return bl_class_validate(class, detail);
}

/* What snapshots and deltas have in common, after their own fields were read. */
static int read_table(struct bl_sync_message *out, Bounceline__V1__ClassDefinition *const *classes, size_t n_classes,
                      uint8_t class_min, struct bl_error_detail *detail)
{
    const struct decoded *decoded = out->decoded;
    int error = BL_OK;

    if (out->epoch == 0)
        return bl_error_set(detail, BL_EINVAL, "epoch 0 holds nothing");
    for (size_t i = 0; i < n_classes && error == BL_OK; i++)
        error = read_class(classes[i], out, detail);
    for (int i = 0; i < 2 && error == BL_OK; i++)
        error = check_columns(&decoded->columns[i], class_min, detail);
    out->n_entries = decoded->columns[0].lengths.len + decoded->columns[1].lengths.len;
    return error;
}

static int read_snapshot(const Bounceline__V1__SnapshotChunk *from, struct bl_sync_message *out,
                         struct bl_error_detail *detail)
{
    struct decoded *decoded = out->decoded;

    out->kind = BL_SYNC_SNAPSHOT;
    out->epoch = from->epoch;
    out->serial = from->serial;
    out->chunk = from->chunk;
    out->last = from->last != 0;
    out->digest = (struct bl_digest){from->digest_hi, from->digest_lo};
    out->n_entries_all = from->n_entries;
    decoded->columns[0] =
        (struct columns){from->ipv4_addresses, from->ipv4_lengths, from->ipv4_classes, BL_FAMILY_IPV4, "snapshot.ipv4"};
    decoded->columns[1] =
        (struct columns){from->ipv6_addresses, from->ipv6_lengths, from->ipv6_classes, BL_FAMILY_IPV6, "snapshot.ipv6"};
    if (from->chunk != 0 && from->n_classes != 0)
        return bl_error_set(detail, BL_EINVAL, "snapshot: classes come in the first chunk only");
    return read_table(out, from->classes, from->n_classes, BL_CLASS_FIRST, detail);
}

static int read_delta(const Bounceline__V1__Delta *from, struct bl_sync_message *out, struct bl_error_detail *detail)
{
    struct decoded *decoded = out->decoded;

    out->kind = BL_SYNC_DELTA;
    out->epoch = from->epoch;
    out->from_serial = from->from_serial;
    out->serial = from->serial;
    out->last = from->partial == 0;
    out->digest = (struct bl_digest){from->digest_hi, from->digest_lo};
    decoded->columns[0] =
        (struct columns){from->ipv4_addresses, from->ipv4_lengths, from->ipv4_classes, BL_FAMILY_IPV4, "delta.ipv4"};
    decoded->columns[1] =
        (struct columns){from->ipv6_addresses, from->ipv6_lengths, from->ipv6_classes, BL_FAMILY_IPV6, "delta.ipv6"};
    if (from->serial <= from->from_serial)
        return bl_error_set(detail, BL_EINVAL, "delta: leads from serial %llu back to %llu",
                            (unsigned long long)from->from_serial, (unsigned long long)from->serial);
    return read_table(out, from->classes, from->n_classes, BL_CLASS_NONE, detail);
}

static int read_body(const Bounceline__V1__SyncMessage *from, struct bl_sync_message *out,
                     struct bl_error_detail *detail)
{
    switch (from->body_case) {
    case BOUNCELINE__V1__SYNC_MESSAGE__BODY_HELLO:
        out->kind = BL_SYNC_HELLO;
        out->protocol_version = from->hello->protocol_version;
        out->epoch = from->hello->epoch;
        out->serial = from->hello->serial;
        out->digest = (struct bl_digest){from->hello->digest_hi, from->hello->digest_lo};
        return BL_OK;
    case BOUNCELINE__V1__SYNC_MESSAGE__BODY_REFUSAL:
        out->kind = BL_SYNC_REFUSAL;
        out->refusal = (uint32_t)from->refusal->reason;
        return bl_error_set(&out->refusal_detail, BL_OK, "%s", from->refusal->detail);
    case BOUNCELINE__V1__SYNC_MESSAGE__BODY_SNAPSHOT:
        return read_snapshot(from->snapshot, out, detail);
    case BOUNCELINE__V1__SYNC_MESSAGE__BODY_DELTA:
        return read_delta(from->delta, out, detail);
    default:
        return bl_error_set(detail, BL_EINVAL, "not a message that a control plane sends");
    }
}

int bl_sync_codec_decode(const uint8_t *data, size_t length, struct bl_sync_message **out,
                         struct bl_error_detail *detail)
{
    struct bl_sync_message *message = calloc(1, sizeof(*message));
    struct decoded *decoded = calloc(1, sizeof(*decoded));
    ProtobufCMessage *base = NULL;
    int error;

    if (message == NULL || decoded == NULL) {
        free(decoded);
        free(message);
        return bl_error_set(detail, BL_ENOMEM, "no memory for a message of %zu bytes", length);
    }
    message->decoded = decoded;
    error = bl_wire_decode(&bounceline__v1__sync_message__descriptor, data, length, &limits, &base, detail);
    if (error == BL_OK) {
        decoded->message = (Bounceline__V1__SyncMessage *)base;
        error = read_body(decoded->message, message, detail);
    }
    if (error != BL_OK) {
        bl_sync_codec_free(message);
        return error;
    }
    *out = message;
    return BL_OK;
}

void bl_sync_codec_free(struct bl_sync_message *message)
{
    struct decoded *decoded;

    if (message == NULL)
        return;
    decoded = message->decoded;
    if (decoded->message != NULL)
        bl_wire_free(&decoded->message->base);
    free(decoded);
    free(message);
}

void bl_sync_codec_entry(const struct bl_sync_message *message, size_t i, struct bl_table_entry *entry)
{
    const struct decoded *decoded = message->decoded;
    size_t n_ipv4 = decoded->columns[0].lengths.len;

    if (i < n_ipv4)
        read_entry(&decoded->columns[0], i, entry);
    else
        read_entry(&decoded->columns[1], i - n_ipv4, entry);
}

static int encode(const Bounceline__V1__SyncMessage *message, struct bl_sync_frame *frame)
{
    size_t length = protobuf_c_message_get_packed_size(&message->base);

    frame->data = malloc(BL_WIRE_FRAME_HEADER_BYTES + length);
    if (frame->data == NULL)
        return BL_ENOMEM;
    bl_wire_frame_write(frame->data, length);
    protobuf_c_message_pack(&message->base, frame->data + BL_WIRE_FRAME_HEADER_BYTES);
    frame->length = BL_WIRE_FRAME_HEADER_BYTES + length;
    return BL_OK;
}

/* protobuf-c's strings are not const, though packing only reads them. */
static char *borrow(const char *text)
{
    union {
        const char *in;
        char *out;
    } cast = {text};

    return cast.out;
}

int bl_sync_codec_encode_hello(const struct bl_sync_hello *hello, struct bl_sync_frame *frame)
{
    Bounceline__V1__SyncMessage message = BOUNCELINE__V1__SYNC_MESSAGE__INIT;
    Bounceline__V1__Hello body = BOUNCELINE__V1__HELLO__INIT;

    body.protocol_version = BL_VERSION_SYNC;
    body.version = borrow("bounceline-dataplane " BL_VERSION_TEXT);
    body.name = borrow(hello->name);
    body.epoch = hello->epoch;
    body.serial = hello->serial;
    body.digest_hi = hello->digest.hi;
    body.digest_lo = hello->digest.lo;
    body.n_workers = hello->n_workers;
    message.body_case = BOUNCELINE__V1__SYNC_MESSAGE__BODY_HELLO;
    message.hello = &body;
    return encode(&message, frame);
}

int bl_sync_codec_encode_refusal(enum bl_sync_refusal reason, const char *text, struct bl_sync_frame *frame)
{
    Bounceline__V1__SyncMessage message = BOUNCELINE__V1__SYNC_MESSAGE__INIT;
    Bounceline__V1__SyncRefusal body = BOUNCELINE__V1__SYNC_REFUSAL__INIT;

    body.reason = (Bounceline__V1__SyncRefusal__Reason)reason;
    body.detail = borrow(text);
    message.body_case = BOUNCELINE__V1__SYNC_MESSAGE__BODY_REFUSAL;
    message.refusal = &body;
    return encode(&message, frame);
}

int bl_sync_codec_encode_ack(uint64_t epoch, uint64_t serial, struct bl_digest digest, struct bl_sync_frame *frame)
{
    Bounceline__V1__SyncMessage message = BOUNCELINE__V1__SYNC_MESSAGE__INIT;
    Bounceline__V1__Ack body = BOUNCELINE__V1__ACK__INIT;

    body.epoch = epoch;
    body.serial = serial;
    body.digest_hi = digest.hi;
    body.digest_lo = digest.lo;
    message.body_case = BOUNCELINE__V1__SYNC_MESSAGE__BODY_ACK;
    message.ack = &body;
    return encode(&message, frame);
}

/* The parts of a report in protobuf-c's form: arrays of pointers to structs. */
struct report_parts {
    Bounceline__V1__SyncWorker workers[BL_SYNC_WORKERS_MAX];
    Bounceline__V1__SyncWorker *worker_pointers[BL_SYNC_WORKERS_MAX];
    Bounceline__V1__SyncCounter counters[BL_SYNC_COUNTERS_MAX];
    Bounceline__V1__SyncCounter *counter_pointers[BL_SYNC_COUNTERS_MAX];
};

static void fill_parts(const struct bl_sync_report *report, struct report_parts *parts)
{
    for (uint32_t i = 0; i < report->n_workers; i++) {
        Bounceline__V1__SyncWorker *worker = &parts->workers[i];

        bounceline__v1__sync_worker__init(worker);
        worker->worker = i;
        worker->serial = report->workers[i].serial;
        worker->checksum = report->workers[i].checksum;
        worker->checksum_serial = report->workers[i].checksum_serial;
        worker->rx_packets = report->workers[i].rx_packets;
        worker->tx_packets = report->workers[i].tx_packets;
        parts->worker_pointers[i] = worker;
    }
    for (uint32_t i = 0; i < report->n_counters; i++) {
        bounceline__v1__sync_counter__init(&parts->counters[i]);
        parts->counters[i].name = borrow(report->counters[i].name);
        parts->counters[i].value = report->counters[i].value;
        parts->counter_pointers[i] = &parts->counters[i];
    }
}

int bl_sync_codec_encode_report(const struct bl_sync_report *report, struct bl_sync_frame *frame)
{
    Bounceline__V1__SyncMessage message = BOUNCELINE__V1__SYNC_MESSAGE__INIT;
    Bounceline__V1__Report body = BOUNCELINE__V1__REPORT__INIT;
    struct report_parts parts;

    fill_parts(report, &parts);
    body.epoch = report->epoch;
    body.serial = report->serial;
    body.digest_hi = report->digest.hi;
    body.digest_lo = report->digest.lo;
    body.n_entries_ipv4 = report->n_ipv4;
    body.n_entries_ipv6 = report->n_ipv6;
    body.n_workers = report->n_workers;
    body.workers = parts.worker_pointers;
    body.n_counters = report->n_counters;
    body.counters = parts.counter_pointers;
    message.body_case = BOUNCELINE__V1__SYNC_MESSAGE__BODY_REPORT;
    message.report = &body;
    return encode(&message, frame);
}

/* A frame's samples in protobuf-c's form, with their addresses in wire order. */
struct sample_parts {
    Bounceline__V1__RejectSample samples[BL_SYNC_SAMPLES_MAX];
    Bounceline__V1__RejectSample *pointers[BL_SYNC_SAMPLES_MAX];
    uint8_t addresses[BL_SYNC_SAMPLES_MAX][2][16];
};

static void fill_sample(const struct bl_sync_sample *from, uint8_t addresses[2][16], Bounceline__V1__RejectSample *out)
{
    const struct bl_sample *sample = &from->sample;
    size_t bytes = bl_address_bits(sample->family) / 8;

    if (sample->family == BL_FAMILY_IPV4) {
        bl_address_from_ip4(sample->source_ip4, addresses[0]);
        bl_address_from_ip4(sample->destination_ip4, addresses[1]);
    } else {
        bl_address_from_ip6(sample->source_ip6, addresses[0]);
        bl_address_from_ip6(sample->destination_ip6, addresses[1]);
    }
    bounceline__v1__reject_sample__init(out);
    out->time_ms = (int64_t)sample->time_ms;
    out->source = (ProtobufCBinaryData){bytes, addresses[0]};
    out->destination = (ProtobufCBinaryData){sample->destination_cut ? 0 : bytes, addresses[1]};
    out->source_port = sample->source_port;
    out->destination_port = sample->destination_port;
    out->class_id = sample->class_id;
    out->reason = borrow(bl_verdict_reason_name(sample->reason));
    out->denied_at = sample->denied;
    out->worker = from->worker;
    out->weight = sample->weight;
}

int bl_sync_codec_encode_rejects(const struct bl_sync_sample *samples, size_t n, struct bl_sync_frame *frame)
{
    Bounceline__V1__SyncMessage message = BOUNCELINE__V1__SYNC_MESSAGE__INIT;
    Bounceline__V1__RejectSamples body = BOUNCELINE__V1__REJECT_SAMPLES__INIT;
    struct sample_parts *parts = malloc(sizeof(*parts));
    int error;

    if (parts == NULL)
        return BL_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        fill_sample(&samples[i], parts->addresses[i], &parts->samples[i]);
        parts->pointers[i] = &parts->samples[i];
    }
    body.samples = parts->pointers;
    body.n_samples = n;
    message.body_case = BOUNCELINE__V1__SYNC_MESSAGE__BODY_REJECTS;
    message.rejects = &body;
    error = encode(&message, frame);
    free(parts);
    return error;
}
