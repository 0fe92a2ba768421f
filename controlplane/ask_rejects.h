/** @file ask_rejects.h
 * The answers to ListRejects and GetTop (ingest → ask_rejects → rejects). Threads: any. */
#ifndef BL_ASK_REJECTS_H
#define BL_ASK_REJECTS_H

#include "controlplane/codec_rejects.h"

/** Decodes, asks, encodes. @return 0 with *response owned by the caller, or the codec's errors. */
int bl_ask_rejects_list(struct bl_rejects *rejects, uint8_t ipv6_unit, const uint8_t *data, size_t length,
                        struct bl_codec_bytes *response, struct bl_error_detail *detail);
int bl_ask_rejects_top(struct bl_rejects *rejects, const uint8_t *data, size_t length, struct bl_codec_bytes *response,
                       struct bl_error_detail *detail);

#endif
