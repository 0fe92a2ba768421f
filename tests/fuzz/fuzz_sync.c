/* TableSync's messages, as the data plane, as the control plane and as the bare decoder read them. Held: no crash, no
 * leak; what came through is what sync_codec.h and codec_sync.h promise: entries canonical, classes sayable, text ended. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <bounceline/v1/table_sync.pb-c.h>

#include "bounceline/class.h"
#include "controlplane/codec_sync.h"
#include "dataplane/sync_codec.h"
#include "proto/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_bare(const uint8_t *data, size_t size)
{
    static const struct bl_wire_limits limits = {
        .message_bytes_max = 1 << 20, .memory_bytes_max = 2 << 20, .repeats_max = 64};
    ProtobufCMessage *message = NULL;

    if (bl_wire_decode(&bounceline__v1__sync_message__descriptor, data, size, &limits, &message, NULL) != BL_OK)
        return;
    assert(protobuf_c_message_check(message));
    bl_wire_free(message);
}

static void read_as_dataplane(const uint8_t *data, size_t size)
{
    struct bl_error_detail detail = {""};
    struct bl_sync_message *message = NULL;

    if (bl_sync_codec_decode(data, size, &message, &detail) != BL_OK) {
        assert(detail.text[0] != '\0');
        return;
    }
    if (message->kind == BL_SYNC_SNAPSHOT || message->kind == BL_SYNC_DELTA) {
        assert(message->epoch != 0);
        assert(message->n_entries <= size);
        for (size_t i = 0; i < message->n_entries; i++) {
            struct bl_table_entry entry;

            bl_sync_codec_entry(message, i, &entry);
            assert(bl_address_prefix_canonical(&entry.prefix));
            assert(entry.class_id < BL_CLASS_COUNT);
        }
        for (unsigned i = 0; i < BL_CLASS_COUNT; i++) {
            if ((message->classes_mask >> i & 1) != 0)
                assert(bl_class_validate(&message->classes[i], NULL) == BL_OK);
        }
    }
    bl_sync_codec_free(message);
}

static void check_word(const char *text, size_t room)
{
    assert(strnlen(text, room) < room);
    for (; *text != '\0'; text++)
        assert(*text >= ' ' && *text <= '~');
}

/* What goes on to the list, to a file and to people: every value in its range. */
static void check_reject(const struct bl_codec_sync_reject *reject)
{
    assert(reject->source.family == BL_FAMILY_IPV4 || reject->source.family == BL_FAMILY_IPV6);
    assert(reject->destination.family == BL_FAMILY_NONE || reject->destination.family == reject->source.family);
    assert(reject->class_id >= BL_CLASS_FIRST && reject->class_id <= BL_CLASS_LAST);
    assert(reject->reason <= BL_REASON_COUNT);
    assert(reject->denied_at < BL_DENIED_AT_COUNT);
    assert(reject->worker < BL_CODEC_SYNC_WORKERS_MAX);
    assert(reject->weight > 0 && reject->time_ms >= 0);
}

static void read_as_controlplane(const uint8_t *data, size_t size)
{
    static struct bl_codec_sync_message message;
    struct bl_error_detail detail = {""};

    if (bl_codec_sync_decode(data, size, &message, &detail) != BL_OK) {
        assert(detail.text[0] != '\0');
        return;
    }
    if (message.kind == BL_CODEC_SYNC_HELLO) {
        check_word(message.name, sizeof(message.name));
        check_word(message.version, sizeof(message.version));
    }
    if (message.kind == BL_CODEC_SYNC_REPORT) {
        assert(message.report.n_workers <= BL_CODEC_SYNC_WORKERS_MAX);
        assert(message.report.n_counters <= BL_CODEC_SYNC_COUNTERS_MAX);
        for (uint32_t i = 0; i < message.report.n_counters; i++)
            check_word(message.report.counters[i].name, sizeof(message.report.counters[i].name));
    }
    if (message.kind == BL_CODEC_SYNC_REJECTS) {
        assert(message.rejects.n <= BL_CODEC_SYNC_REJECTS_MAX);
        for (uint32_t i = 0; i < message.rejects.n; i++)
            check_reject(&message.rejects.rejects[i]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    read_bare(data, size);
    read_as_dataplane(data, size);
    read_as_controlplane(data, size);
    return 0;
}
