/** @file codec_stock.h
 * The messages of gRPC's own services, which stock tools ask: health and reflection (ingest.c, stock.c call). See
 * codec.h. */
#ifndef BL_CODEC_STOCK_H
#define BL_CODEC_STOCK_H

#include <stdbool.h>

#include "bounceline/error.h"
#include "controlplane/codec.h"

/** The values are the wire's. */
enum bl_codec_health { BL_CODEC_HEALTH_SERVING = 1, BL_CODEC_HEALTH_SERVICE_UNKNOWN = 3 };

/** @return 0 with *known: the request names the server or one of its services. */
int bl_codec_stock_decode_health(const uint8_t *data, size_t length, bool *known, struct bl_error_detail *detail);

int bl_codec_stock_encode_health(enum bl_codec_health status, struct bl_codec_bytes *out);

/** Answers a ServerReflectionRequest. What is not found is an answer too. @return 0, or the error of a request that is
 * none. */
int bl_codec_stock_reflect(const uint8_t *data, size_t length, struct bl_codec_bytes *out,
                           struct bl_error_detail *detail);

#endif
