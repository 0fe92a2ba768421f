/* Deltas, cut into frames under 1 MiB, and chunks of snapshots; see frames.h. */
#include "controlplane/frames.h"

#include <stdlib.h>
#include <string.h>

#include "bounceline/error.h"

static int create(struct bl_frames **out)
{
    struct bl_frames *frames = calloc(1, sizeof(*frames));

    if (frames == NULL)
        return BL_ENOMEM;
    atomic_init(&frames->n_references, 1);
    *out = frames;
    return BL_OK;
}

struct bl_frames *bl_frames_hold(struct bl_frames *frames)
{
    (void)atomic_fetch_add_explicit(&frames->n_references, 1, memory_order_relaxed);
    return frames;
}

void bl_frames_release(struct bl_frames *frames)
{
    /* Release pairs with the acquire of whoever comes last and frees. */
    if (frames == NULL || atomic_fetch_sub_explicit(&frames->n_references, 1, memory_order_acq_rel) != 1)
        return;
    free(frames->data);
    free(frames);
}

/* Puts @frame behind what is there, and frees it. */
static int append(struct bl_frames *frames, struct bl_codec_bytes *frame)
{
    size_t needed = frames->n_bytes + frame->length;

    if (frames->data == NULL) {
        frames->data = frame->data;
        frames->n_bytes = frames->n_allocated = frame->length;
        *frame = (struct bl_codec_bytes){NULL, 0};
        return BL_OK;
    }
    if (needed > frames->n_allocated) {
        uint8_t *data = realloc(frames->data, needed + needed / 2);

        if (data == NULL) {
            bl_codec_bytes_fini(frame);
            return BL_ENOMEM;
        }
        frames->data = data;
        frames->n_allocated = needed + needed / 2;
    }
    memcpy(frames->data + frames->n_bytes, frame->data, frame->length);
    frames->n_bytes = needed;
    bl_codec_bytes_fini(frame);
    return BL_OK;
}

int bl_frames_create_message(struct bl_frames **out, struct bl_codec_bytes *frame)
{
    int error = create(out);

    if (error != BL_OK) {
        bl_codec_bytes_fini(frame);
        return error;
    }
    return append(*out, frame);
}

/* Deltas of one serial lie one behind the other, partial but for the last. */
static int append_delta(struct bl_frames *frames, const struct bl_codec_sync_part *part)
{
    struct bl_codec_bytes frame;
    int error = bl_codec_sync_encode_delta(part, &frame);

    return error == BL_OK ? append(frames, &frame) : error;
}

int bl_frames_create_delta(struct bl_frames **out, const struct bl_list_state *state, uint64_t from_serial,
                           const struct bl_list_changes *changes)
{
    struct bl_codec_sync_part part = {
        .epoch = bl_list_state_epoch(state),
        .from_serial = from_serial,
        .serial = bl_list_state_serial(state),
        .classes = bl_list_state_classes(state),
        .classes_mask = changes->classes_changed,
        .digest = bl_list_state_digest(state),
    };
    struct bl_frames *frames;
    size_t at = 0;
    int error = create(&frames);

    if (error != BL_OK)
        return error;
    /* For the ring, which does not look into the bytes. */
    frames->from_serial = from_serial;
    frames->serial = part.serial;
    frames->digest = part.digest;
    /* At least one frame, also when nothing that is enforced changed: the serial must be acknowledged. */
    do {
        size_t left = changes->n_changes - at;

        part.n_entries = left < BL_CODEC_SYNC_ENTRIES_MAX ? left : BL_CODEC_SYNC_ENTRIES_MAX;
        part.entries = part.n_entries == 0 ? NULL : changes->changes + at;
        at += part.n_entries;
        part.last = at == changes->n_changes;
        error = append_delta(frames, &part);
        part.classes = NULL;
    } while (error == BL_OK && at < changes->n_changes);
    if (error != BL_OK) {
        bl_frames_release(frames);
        return error;
    }
    *out = frames;
    return BL_OK;
}

int bl_frames_create_chunk(struct bl_frames **out, const struct bl_codec_sync_part *part)
{
    struct bl_codec_bytes frame;
    int error = bl_codec_sync_encode_snapshot(part, &frame);

    if (error == BL_OK)
        error = bl_frames_create_message(out, &frame);
    if (error != BL_OK)
        return error;
    (*out)->serial = part->serial;
    (*out)->digest = part->digest;
    return BL_OK;
}
