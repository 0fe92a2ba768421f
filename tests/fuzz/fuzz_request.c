/* What clients send to ListControl: the first byte says which request, the rest is the message. Held: no crash, no leak;
 * a batch that came through keeps the limits of codec_client.h and has no NULL where batch.h promises text. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <bounceline/v1/list_control.pb-c.h>

#include "controlplane/codec_client.h"
#include "controlplane/codec_rejects.h"
#include "controlplane/codec_stock.h"
#include "controlplane/codec_stream.h"
#include "proto/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Under tight limits, which the codec's own are not: the same bytes decode or are refused, never more. */
static void read_bare(const uint8_t *data, size_t size)
{
    static const struct bl_wire_limits limits = {.message_bytes_max = 4096, .memory_bytes_max = 8192, .repeats_max = 8};
    ProtobufCMessage *message = NULL;

    if (bl_wire_decode(&bounceline__v1__update_batch__descriptor, data, size, &limits, &message, NULL) != BL_OK)
        return;
    assert(size <= limits.message_bytes_max);
    bl_wire_free(message);
}

static void check_update(const struct bl_update *update, size_t size)
{
    assert(update->source != NULL && strlen(update->source) <= size);
    assert(update->reason != NULL && strlen(update->reason) <= size);
}

static void read_batch(const uint8_t *data, size_t size)
{
    struct bl_error_detail detail = {""};
    struct bl_codec_request request;

    if (bl_codec_client_decode_batch(data, size, &request, &detail) != BL_OK) {
        assert(detail.text[0] != '\0');
        return;
    }
    assert(request.batch.n_updates <= BL_CODEC_CLIENT_UPDATES_MAX);
    assert(strlen(request.batch.session) <= BL_CODEC_CLIENT_SESSION_MAX);
    assert(request.deadline_ms > 0 && request.deadline_ms <= BL_CODEC_CLIENT_DEADLINE_MS_MAX);
    assert(request.batch.bulk == NULL || request.batch.n_updates == 0);
    for (size_t i = 0; i < request.batch.n_updates; i++) {
        check_update(&request.batch.updates[i], size);
        assert(strlen(request.batch.updates[i].prefix) <= size);
    }
    if (request.batch.bulk != NULL) {
        check_update(&request.batch.bulk->update, size);
        assert(request.batch.bulk->n_ipv4 * 4 + request.batch.bulk->n_ipv6 * 17 <= size);
        assert(request.batch.bulk->n_ipv6 == 0 || request.batch.bulk->ipv6_lengths != NULL);
    }
    bl_codec_client_request_fini(&request);
}

static void read_lookup(const uint8_t *data, size_t size)
{
    char text[64];

    if (bl_codec_client_decode_lookup(data, size, text, sizeof(text), NULL) == BL_OK)
        assert(strnlen(text, sizeof(text)) < sizeof(text));
}

/* The three with one request and many answers: the same bytes for each. */
static void read_streams(const uint8_t *data, size_t size)
{
    struct bl_error_detail detail = {""};
    struct bl_codec_watch_request watch;
    struct bl_codec_export_request export_request;
    struct bl_codec_history_request history;

    if (bl_codec_stream_decode_watch(data, size, &watch, &detail) != BL_OK)
        assert(detail.text[0] != '\0');
    if (bl_codec_stream_decode_export(data, size, &export_request, &detail) == BL_OK)
        assert(strnlen(export_request.source, sizeof(export_request.source)) < sizeof(export_request.source));
    if (bl_codec_stream_decode_history(data, size, 64, &history, &detail) == BL_OK) {
        assert(history.limit >= 1 && history.limit <= BL_CODEC_STREAM_HISTORY_MAX);
        assert(bl_address_prefix_canonical(&history.prefix));
    }
}

static void read_stock(const uint8_t *data, size_t size)
{
    struct bl_error_detail detail = {""};
    struct bl_codec_bytes response;
    bool known = false;

    (void)bl_codec_stock_decode_health(data, size, &known, &detail);
    if (bl_codec_stock_reflect(data, size, &response, &detail) == BL_OK) {
        assert(response.length != 0);
        bl_codec_bytes_fini(&response);
    }
}

/* A batch of a stream that is one, but no good one, is named. */
static void read_pushed(const uint8_t *data, size_t size)
{
    struct bl_error_detail detail = {""};
    struct bl_codec_request request;
    struct bl_codec_bytes answer;
    int refusal = BL_OK;

    if (bl_codec_client_decode_pushed(data, size, &request, &refusal, &detail) != BL_OK)
        return;
    assert(request.batch.session != NULL);
    assert(refusal == BL_OK || refusal == BL_ENOMEM || detail.text[0] != '\0');
    if (bl_codec_client_encode_refusal(&request.batch, 3, detail.text, &answer) == BL_OK)
        bl_codec_bytes_fini(&answer);
    bl_codec_client_request_fini(&request);
}

static void read_rejects(const uint8_t *data, size_t size)
{
    struct bl_codec_rejects_request request;
    struct bl_error_detail detail = {""};

    if (bl_codec_rejects_decode_list(data, size, 64, &request, &detail) != BL_OK) {
        assert(detail.text[0] != '\0');
        return;
    }
    assert(request.limit >= 1 && request.limit <= BL_CODEC_REJECTS_LIMIT_MAX);
    assert(request.query.prefix.family == BL_FAMILY_NONE || bl_address_prefix_canonical(&request.query.prefix));
}

static void read_top(const uint8_t *data, size_t size)
{
    enum bl_rejects_top kind;
    uint32_t limit;

    if (bl_codec_rejects_decode_top(data, size, &kind, &limit, NULL) != BL_OK)
        return;
    assert(kind == BL_REJECTS_TOP_SOURCES || kind == BL_REJECTS_TOP_LISTINGS);
    assert(limit >= 1 && limit <= BL_REJECTS_COUNTED);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    switch (data[0] % 8) {
    case 0:
        read_bare(data + 1, size - 1);
        read_batch(data + 1, size - 1);
        break;
    case 1:
        read_lookup(data + 1, size - 1);
        break;
    case 3:
        read_rejects(data + 1, size - 1);
        break;
    case 4:
        read_top(data + 1, size - 1);
        break;
    case 5:
        read_streams(data + 1, size - 1);
        break;
    case 6:
        read_stock(data + 1, size - 1);
        break;
    case 7:
        read_pushed(data + 1, size - 1);
        break;
    default:
        (void)bl_codec_client_decode_get_status(data + 1, size - 1, NULL);
        break;
    }
    return 0;
}
