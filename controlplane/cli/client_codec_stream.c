/* Watch, History and Export for the command line; see client_codec_stream.h. */
#include "controlplane/cli/client_codec_stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bounceline/v1/list_control.pb-c.h"
#include "proto/wire.h"

/* A message has at most 65536 prefixes and 1024 groups. */
static const struct bl_wire_limits limits = {
    .message_bytes_max = 8 << 20, .memory_bytes_max = 32 << 20, .repeats_max = 4096};

static char *borrow(const char *text)
{
    union {
        const char *in;
        char *out;
    } pointer = {.in = text};

    return pointer.out;
}

static int pack(const ProtobufCMessage *message, uint8_t **out, size_t *length)
{
    *length = protobuf_c_message_get_packed_size(message);
    *out = malloc(*length + 1);
    if (*out == NULL)
        return BL_ENOMEM;
    (void)protobuf_c_message_pack(message, *out);
    return BL_OK;
}

int bl_client_codec_encode_watch(uint64_t from_serial, bool live_only, uint8_t **out, size_t *length)
{
    Bounceline__V1__WatchRequest message;

    bounceline__v1__watch_request__init(&message);
    message.from_serial = from_serial;
    message.live_only = live_only;
    return pack(&message.base, out, length);
}

int bl_client_codec_encode_history(const char *prefix, uint32_t limit, uint64_t before_serial, uint8_t **out,
                                   size_t *length)
{
    Bounceline__V1__HistoryRequest message;

    bounceline__v1__history_request__init(&message);
    message.prefix = borrow(prefix);
    message.limit = limit;
    message.before_serial = before_serial;
    return pack(&message.base, out, length);
}

int bl_client_codec_encode_export(const char *source, uint8_t **out, size_t *length)
{
    Bounceline__V1__ExportRequest message;

    bounceline__v1__export_request__init(&message);
    message.source = borrow(source);
    return pack(&message.base, out, length);
}

/* One family's columns. @return the number of prefixes, or -1: columns that do not fit each other. */
static int take_column(const ProtobufCBinaryData *addresses, const ProtobufCBinaryData *lengths, uint8_t family,
                       struct bl_prefix *out)
{
    size_t width = family == BL_FAMILY_IPV4 ? 4 : 16;

    if (addresses->len != lengths->len * width)
        return -1;
    for (size_t i = 0; i < lengths->len; i++) {
        out[i] = (struct bl_prefix){.length = lengths->data[i], .family = family};
        memcpy(out[i].bytes, addresses->data + i * width, width);
        if (!bl_address_prefix_canonical(&out[i]))
            return -1;
    }
    return (int)lengths->len;
}

static int take_bulk(const Bounceline__V1__BulkUpdate *in, struct bl_prefix *prefixes, struct bl_stream_group *out)
{
    int n_ipv4 = take_column(&in->ipv4_addresses, &in->ipv4_lengths, BL_FAMILY_IPV4, prefixes);
    int n_ipv6 =
        n_ipv4 < 0 ? -1 : take_column(&in->ipv6_addresses, &in->ipv6_lengths, BL_FAMILY_IPV6, prefixes + n_ipv4);

    if (n_ipv6 < 0)
        return BL_EINVAL;
    *out = (struct bl_stream_group){
        .kind = (unsigned)in->kind,
        .source = in->source,
        .reason = in->reason,
        .code = in->code,
        .action = (unsigned)in->action,
        .self_service = (unsigned)in->self_service,
        .observed_at_ms = in->observed_at_ms,
        .expires_at_ms = in->expires_at_ms,
        .prefixes = prefixes,
        .n_prefixes = (size_t)n_ipv4 + (size_t)n_ipv6,
    };
    return BL_OK;
}

static int take_bulks(Bounceline__V1__BulkUpdate *const *bulks, size_t n, struct bl_stream_message *out)
{
    size_t n_prefixes = 0;
    int error = BL_OK;

    for (size_t i = 0; i < n; i++)
        n_prefixes += bulks[i]->ipv4_lengths.len + bulks[i]->ipv6_lengths.len;
    out->groups = calloc(n + 1, sizeof(*out->groups));
    out->prefixes = calloc(n_prefixes + 1, sizeof(*out->prefixes));
    if (out->groups == NULL || out->prefixes == NULL)
        return BL_ENOMEM;
    n_prefixes = 0;
    for (size_t i = 0; i < n && error == BL_OK; i++) {
        error = take_bulk(bulks[i], out->prefixes + n_prefixes, &out->groups[i]);
        n_prefixes += out->groups[i].n_prefixes;
    }
    out->n_groups = n;
    return error;
}

static int take_watch(const Bounceline__V1__WatchResponse *in, struct bl_stream_message *out)
{
    out->serial = in->serial;
    out->time_ms = in->time_ms;
    out->actor = in->actor;
    out->heartbeat = in->heartbeat != 0;
    return take_bulks(in->groups, in->n_groups, out);
}

static int take_export(const Bounceline__V1__ExportResponse *in, struct bl_stream_message *out)
{
    out->serial = in->serial;
    out->actor = in->bulk == NULL ? "" : in->bulk->actor;
    out->last = in->last != 0;
    out->n_items = in->n_items;
    return take_bulks(&in->bulk, in->bulk == NULL ? 0 : 1, out);
}

static int take_history(const Bounceline__V1__HistoryResponse *in, struct bl_stream_message *out,
                        struct bl_error_detail *detail)
{
    const Bounceline__V1__Update *update = in->update;

    out->serial = in->serial;
    out->time_ms = in->time_ms;
    out->actor = in->actor;
    out->last = in->last != 0;
    out->next_before = in->next_before_serial;
    if (update == NULL)
        return BL_OK;
    out->groups = calloc(1, sizeof(*out->groups));
    out->prefixes = calloc(1, sizeof(*out->prefixes));
    if (out->groups == NULL || out->prefixes == NULL)
        return BL_ENOMEM;
    out->n_groups = 1;
    out->groups[0] = (struct bl_stream_group){
        .kind = (unsigned)update->kind,
        .source = update->source,
        .reason = update->reason,
        .code = update->code,
        .action = (unsigned)update->action,
        .self_service = (unsigned)update->self_service,
        .observed_at_ms = update->observed_at_ms,
        .expires_at_ms = update->expires_at_ms,
        .prefixes = out->prefixes,
        .n_prefixes = 1,
    };
    return bl_address_parse_prefix(update->prefix, 128, out->prefixes, detail);
}

int bl_client_codec_decode_stream(enum bl_stream_kind kind, const uint8_t *data, size_t length,
                                  struct bl_stream_message *out, struct bl_error_detail *detail)
{
    const ProtobufCMessageDescriptor *descriptor = kind == BL_STREAM_WATCH ? &bounceline__v1__watch_response__descriptor
                                                   : kind == BL_STREAM_HISTORY
                                                       ? &bounceline__v1__history_response__descriptor
                                                       : &bounceline__v1__export_response__descriptor;
    ProtobufCMessage *message = NULL;
    int error = bl_wire_decode(descriptor, data, length, &limits, &message, detail);

    if (error != BL_OK)
        return error;
    memset(out, 0, sizeof(*out));
    out->message = message;
    if (kind == BL_STREAM_WATCH)
        error = take_watch((const Bounceline__V1__WatchResponse *)message, out);
    else if (kind == BL_STREAM_HISTORY)
        error = take_history((const Bounceline__V1__HistoryResponse *)message, out, detail);
    else
        error = take_export((const Bounceline__V1__ExportResponse *)message, out);
    if (error != BL_OK) {
        if (detail != NULL && detail->text[0] == '\0')
            (void)bl_error_set(detail, error, "columns that do not fit each other");
        bl_client_codec_free_stream(out);
    }
    return error;
}

void bl_client_codec_free_stream(struct bl_stream_message *message)
{
    free(message->prefixes);
    free(message->groups);
    bl_wire_free(message->message);
    memset(message, 0, sizeof(*message));
}

int bl_client_codec_write_backup(const uint8_t *data, size_t length, FILE *out, uint64_t *n_bytes,
                                 struct bl_error_detail *detail)
{
    ProtobufCMessage *message = NULL;
    int error = bl_wire_decode(&bounceline__v1__backup_response__descriptor, data, length, &limits, &message, detail);

    if (error != BL_OK)
        return error;
    const Bounceline__V1__BackupResponse *in = (const Bounceline__V1__BackupResponse *)message;

    if (in->data.len != 0 && fwrite(in->data.data, in->data.len, 1, out) != 1)
        error = bl_error_set(detail, BL_EFULL, "the backup can't be written: %s", strerror(errno));
    *n_bytes = in->n_bytes;
    bl_wire_free(message);
    return error;
}
