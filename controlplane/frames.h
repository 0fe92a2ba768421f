/** @file frames.h
 * Encoded frames of TableSync that lead to one serial: a delta or a snapshot. Encoded once, sent to every data plane,
 * so shared and counted. Immutable once made. Threads: any; the count is atomic. */
#ifndef BL_FRAMES_H
#define BL_FRAMES_H

#include <stdatomic.h>

#include "bounceline/digest.h"
#include "controlplane/codec.h"
#include "controlplane/codec_sync.h"
#include "controlplane/list_state.h"

struct bl_frames {
    _Atomic unsigned n_references;
    uint64_t from_serial; /**< 0 in a snapshot's chunk */
    uint64_t serial;      /**< 0: leads nowhere (a hello, a refusal) */
    struct bl_digest digest;
    uint8_t *data;
    size_t n_bytes;
    size_t n_allocated;
};

/** The delta from @p from_serial to where @p state was just committed: one frame, or several partial ones. The caller
 * holds the state. @return 0 or BL_ENOMEM; *out has one reference. */
int bl_frames_create_delta(struct bl_frames **out, const struct bl_list_state *state, uint64_t from_serial,
                           const struct bl_list_changes *changes);

/** One chunk of a snapshot. */
int bl_frames_create_chunk(struct bl_frames **out, const struct bl_codec_sync_part *part);

/** Takes over a frame that leads to no serial. */
int bl_frames_create_message(struct bl_frames **out, struct bl_codec_bytes *frame);

struct bl_frames *bl_frames_hold(struct bl_frames *frames);
void bl_frames_release(struct bl_frames *frames);

#endif
