/** @file codec_rejects.h
 * ListRejects and GetTop in the control plane's own terms (ingest.c calls). See codec.h.
 *
 * Addresses go out as text of our own formatter. Threads: any. */
#ifndef BL_CODEC_REJECTS_H
#define BL_CODEC_REJECTS_H

#include "controlplane/codec.h"
#include "controlplane/rejects.h"

enum { BL_CODEC_REJECTS_LIMIT = 100, BL_CODEC_REJECTS_LIMIT_MAX = 10000, BL_CODEC_REJECTS_TOP = 20 };

/** A ListRejectsRequest. */
struct bl_codec_rejects_request {
    uint64_t instance;
    struct bl_reject_query query;
    uint32_t limit; /**< 1..BL_CODEC_REJECTS_LIMIT_MAX */
};

/** @param ipv6_unit what an IPv6 address without a length means. @return 0, BL_EINVAL, BL_ERANGE, BL_ETOOBIG or
 * BL_ENOMEM with the field's name. */
int bl_codec_rejects_decode_list(const uint8_t *data, size_t length, uint8_t ipv6_unit,
                                 struct bl_codec_rejects_request *out, struct bl_error_detail *detail);

/** @p limit: 1..BL_REJECTS_COUNTED. */
int bl_codec_rejects_decode_top(const uint8_t *data, size_t length, enum bl_rejects_top *kind, uint32_t *limit,
                                struct bl_error_detail *detail);

/** @return 0 or BL_ENOMEM. */
int bl_codec_rejects_encode_list(uint64_t instance, const struct bl_reject *rejects,
                                 const struct bl_reject_answer *answer, struct bl_codec_bytes *out);
int bl_codec_rejects_encode_top(enum bl_rejects_top kind, const struct bl_rejects_item *items, size_t n,
                                const struct bl_rejects_total *total, struct bl_codec_bytes *out);

#endif
