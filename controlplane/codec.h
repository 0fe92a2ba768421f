/** @file codec.h
 * What the three codecs share: bytes that were encoded.
 *
 *   codec_client.c  ListControl messages ↔ batch.h, list_state.h        (ingest.c)
 *   codec_log.c     LogRecord, SnapshotRecord ↔ record.h, answers.h     (writer.c, store.c)
 *   codec_rejects.c ListRejects, GetTop messages ↔ rejects.h            (ask_rejects.c)
 *   codec_sync.c    TableSync messages ↔ codec_sync.h                   (publish.c, sync_peer.c)
 *
 * Only these files see generated code. They check what the wire can't say (ranges, lengths of columns) and decide
 * nothing. Pure but for the heap. Threads: any. Cost: control path. */
#ifndef BL_CODEC_H
#define BL_CODEC_H

#include <stddef.h>
#include <stdint.h>

struct ProtobufCMessage;

/** An encoded message, owned. */
struct bl_codec_bytes {
    uint8_t *data;
    size_t length;
};

/** Encodes @p message behind @p n_headroom bytes that the caller fills. @return 0 or BL_ENOMEM; *out is owned by the
 * caller. */
int bl_codec_pack(const struct ProtobufCMessage *message, size_t n_headroom, struct bl_codec_bytes *out);

void bl_codec_bytes_fini(struct bl_codec_bytes *bytes);

#endif
