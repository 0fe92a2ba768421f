/** @file codec_log.h
 * Records and snapshots as the log's blobs (writer.c and store.c call). See codec.h.
 *
 * Neighbouring groups that differ in nothing but prefixes become one, and a group of two families becomes runs of one
 * family each: order is kept. A blob that does not decode, has another version or a prefix with host bits means a log
 * that must not be trusted: the caller refuses to start. */
#ifndef BL_CODEC_LOG_H
#define BL_CODEC_LOG_H

#include "bounceline/class.h"
#include "bounceline/error.h"
#include "controlplane/answers.h"
#include "controlplane/codec.h"
#include "controlplane/record.h"

/** A decoded record, and what it borrows from. */
struct bl_codec_record {
    struct bl_record record;
    struct bl_effect_group *groups;
    struct bl_prefix *prefixes;
    void *message;
};

/** @return 0, BL_ENOMEM or BL_ETOOBIG. */
int bl_codec_log_encode_record(const struct bl_record *record, struct bl_codec_bytes *out);

/** @return 0, BL_EINVAL, BL_EVERSION or BL_ENOMEM; on failure there is nothing to fini. */
int bl_codec_log_decode_record(const uint8_t *data, size_t length, struct bl_codec_record *out,
                               struct bl_error_detail *detail);

/** When a record was made, without decoding the rest. @return 0 or BL_EINVAL. */
int bl_codec_log_peek_time(const uint8_t *data, size_t length, int64_t *time_ms);
void bl_codec_log_record_fini(struct bl_codec_record *record);

/** One part of a snapshot. classes: BL_CLASS_COUNT of them in the first part, else NULL. answers: in the last parts. */
struct bl_codec_snapshot {
    uint64_t epoch;
    uint64_t serial;
    const struct bl_effect_group *groups;
    size_t n_groups;
    const struct bl_class *classes;
    const struct bl_answer *answers;
    size_t n_answers;
};

/** A decoded part, and what it borrows from. It refers to itself: never copied. */
struct bl_codec_snapshot_part {
    struct bl_codec_snapshot snapshot;
    struct bl_effect_group *groups;
    struct bl_prefix *prefixes;
    struct bl_class *classes;
    struct bl_answer *answers;
    void *message;
};

int bl_codec_log_encode_snapshot(const struct bl_codec_snapshot *snapshot, struct bl_codec_bytes *out);
int bl_codec_log_decode_snapshot(const uint8_t *data, size_t length, struct bl_codec_snapshot_part *out,
                                 struct bl_error_detail *detail);
void bl_codec_log_snapshot_fini(struct bl_codec_snapshot_part *part);

#endif
