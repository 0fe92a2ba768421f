/** @file stock.h
 * What stock tools call on any gRPC server: grpc.health.v1.Health and grpc.reflection.v1alpha.ServerReflection (ingest →
 * stock → codec_stock). Open to every actor. The program serves as long as it answers: what else may be wrong, GetStatus
 * says.
 *
 * Reflection is a stream of questions: one is read, answered, and only then the next is read. */
#ifndef BL_STOCK_H
#define BL_STOCK_H

#include "controlplane/call.h"
#include "controlplane/stream.h"

/** Health.Check. @return 0, or BL_ENOENT: NOT_FOUND. */
int bl_stock_check(const uint8_t *data, size_t length, struct bl_codec_bytes *response, struct bl_error_detail *detail);

/** Health.Watch; as struct bl_stream_work's run. */
int bl_stock_watch(struct bl_stream *stream, void *context, const uint8_t *request, size_t length,
                   struct bl_error_detail *detail);

/** A reflection stream: begins it, answers a message (BL_CALL_RECEIVED), reads on (BL_CALL_SENT), ends it for the
 * server's stop. */
void bl_stock_reflect_begin(struct bl_call *call);
void bl_stock_reflect_receive(struct bl_call *call);
void bl_stock_reflect_sent(struct bl_call *call);
void bl_stock_reflect_stop(struct bl_call *call);

#endif
