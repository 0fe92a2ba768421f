/** @file codec_stream.h
 * The messages of Watch, Export and History (watch.c, export.c, history.c call). See codec.h. */
#ifndef BL_CODEC_STREAM_H
#define BL_CODEC_STREAM_H

#include <stdbool.h>

#include "bounceline/error.h"
#include "controlplane/codec.h"
#include "controlplane/record.h"

enum {
    BL_CODEC_STREAM_ITEMS_MAX = 65536, /**< prefixes in one message */
    BL_CODEC_STREAM_GROUPS_MAX = 1024,
    BL_CODEC_STREAM_HISTORY = 100, /**< where a request says no limit */
    BL_CODEC_STREAM_HISTORY_MAX = 10000,
    BL_CODEC_STREAM_NAME_MAX = 64, /**< bytes of a source's name */
};

struct bl_codec_watch_request {
    uint64_t from_serial;
    uint64_t epoch;
    bool live_only;
};

int bl_codec_stream_decode_watch(const uint8_t *data, size_t length, struct bl_codec_watch_request *out,
                                 struct bl_error_detail *detail);

struct bl_codec_export_request {
    char source[BL_CODEC_STREAM_NAME_MAX];
    bool all_layers;
};

int bl_codec_stream_decode_export(const uint8_t *data, size_t length, struct bl_codec_export_request *out,
                                  struct bl_error_detail *detail);

struct bl_codec_history_request {
    struct bl_prefix prefix;
    uint32_t limit;
    uint64_t before_serial;
};

/** @p ipv6_unit: as bl_address_parse_prefix takes it. */
int bl_codec_stream_decode_history(const uint8_t *data, size_t length, uint8_t ipv6_unit,
                                   struct bl_codec_history_request *out, struct bl_error_detail *detail);

/** Some of a group's prefixes. */
struct bl_codec_stream_part {
    const struct bl_effect_group *group;
    size_t first;
    size_t n;
};

/** A part of a record, as a WatchResponse. */
int bl_codec_stream_encode_change(const struct bl_record *record, const struct bl_codec_stream_part *parts,
                                  size_t n_parts, bool more, struct bl_codec_bytes *out);

int bl_codec_stream_encode_heartbeat(uint64_t epoch, uint64_t serial, int64_t now_ms, struct bl_codec_bytes *out);

/** A run of layers, with who set them; part NULL: the last message, of an export of @p n_items. */
int bl_codec_stream_encode_export(uint64_t epoch, uint64_t serial, const struct bl_codec_stream_part *part,
                                  uint64_t n_items, struct bl_codec_bytes *out);

/** One prefix of a record's group. */
int bl_codec_stream_encode_history(const struct bl_record *record, const struct bl_effect_group *group,
                                   const struct bl_prefix *prefix, struct bl_codec_bytes *out);

int bl_codec_stream_decode_backup(const uint8_t *data, size_t length, struct bl_error_detail *detail);

/** A piece of the file; of no bytes, with how many they were: the end. */
int bl_codec_stream_encode_backup(const uint8_t *data, size_t length, uint64_t n_bytes, struct bl_codec_bytes *out);

/** The last message. @p next_before 0: the log was read to its beginning. */
int bl_codec_stream_encode_history_end(uint64_t next_before, uint64_t first, struct bl_codec_bytes *out);

#endif
