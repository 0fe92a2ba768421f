/* Records and snapshot parts, as a start reads them back from the log: the first byte says which, the rest is the blob.
 * Held: no crash, no leak; every prefix canonical, every string there; and what came through encodes to bytes that
 * decode to the same again. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <bounceline/v1/log.pb-c.h>

#include "controlplane/codec_log.h"
#include "proto/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_bare(const ProtobufCMessageDescriptor *descriptor, const uint8_t *data, size_t size)
{
    static const struct bl_wire_limits limits = {
        .message_bytes_max = 1 << 20, .memory_bytes_max = 1 << 20, .repeats_max = 1000};
    ProtobufCMessage *message = NULL;

    if (bl_wire_decode(descriptor, data, size, &limits, &message, NULL) == BL_OK)
        bl_wire_free(message);
}

static void check_groups(const struct bl_effect_group *groups, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        assert(groups[i].kind >= BL_EFFECT_LIST && groups[i].kind <= BL_EFFECT_UNEXEMPT);
        assert(groups[i].attributes.source != NULL && groups[i].attributes.reason != NULL);
        assert(groups[i].attributes.url != NULL);
        for (size_t j = 0; j < groups[i].n_prefixes; j++)
            assert(bl_address_prefix_canonical(&groups[i].prefixes[j]));
    }
}

/* Twice encoded, twice the same bytes. */
static void round_trip_record(const struct bl_record *record)
{
    struct bl_codec_bytes once;
    struct bl_codec_bytes twice;
    struct bl_codec_record again;

    assert(bl_codec_log_encode_record(record, &once) == BL_OK);
    assert(bl_codec_log_decode_record(once.data, once.length, &again, NULL) == BL_OK);
    assert(bl_codec_log_encode_record(&again.record, &twice) == BL_OK);
    assert(once.length == twice.length && memcmp(once.data, twice.data, once.length) == 0);
    bl_codec_log_record_fini(&again);
    bl_codec_bytes_fini(&once);
    bl_codec_bytes_fini(&twice);
}

static void read_record(const uint8_t *data, size_t size)
{
    struct bl_error_detail detail = {""};
    struct bl_codec_record record;

    if (bl_codec_log_decode_record(data, size, &record, &detail) != BL_OK) {
        assert(detail.text[0] != '\0');
        return;
    }
    assert(record.record.actor != NULL && record.record.session != NULL);
    check_groups(record.record.groups, record.record.n_groups);
    round_trip_record(&record.record);
    bl_codec_log_record_fini(&record);
}

static void round_trip_snapshot(const struct bl_codec_snapshot *snapshot)
{
    struct bl_codec_bytes once;
    struct bl_codec_bytes twice;
    struct bl_codec_snapshot_part again;

    assert(bl_codec_log_encode_snapshot(snapshot, &once) == BL_OK);
    assert(bl_codec_log_decode_snapshot(once.data, once.length, &again, NULL) == BL_OK);
    assert(bl_codec_log_encode_snapshot(&again.snapshot, &twice) == BL_OK);
    assert(once.length == twice.length && memcmp(once.data, twice.data, once.length) == 0);
    bl_codec_log_snapshot_fini(&again);
    bl_codec_bytes_fini(&once);
    bl_codec_bytes_fini(&twice);
}

static void read_snapshot(const uint8_t *data, size_t size)
{
    struct bl_error_detail detail = {""};
    struct bl_codec_snapshot_part part;

    if (bl_codec_log_decode_snapshot(data, size, &part, &detail) != BL_OK) {
        assert(detail.text[0] != '\0');
        return;
    }
    check_groups(part.snapshot.groups, part.snapshot.n_groups);
    for (size_t i = 0; i < part.snapshot.n_answers; i++)
        assert(part.snapshot.answers[i].actor != NULL && part.snapshot.answers[i].session != NULL);
    round_trip_snapshot(&part.snapshot);
    bl_codec_log_snapshot_fini(&part);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (data[0] % 2 == 0) {
        read_bare(&bounceline__v1__log_record__descriptor, data + 1, size - 1);
        read_record(data + 1, size - 1);
    } else {
        read_bare(&bounceline__v1__snapshot_record__descriptor, data + 1, size - 1);
        read_snapshot(data + 1, size - 1);
    }
    return 0;
}
