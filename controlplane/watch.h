/** @file watch.h
 * Watch: the log as a stream, from any serial that is kept, then live (stream → watch → store).
 *
 * Reads the log in slices beside the writer (store.h): a watcher that is slow reads later, and nothing is kept for it but
 * the slice and the one record that it is at. The price of a record is its decoding, some 10 ms a million prefixes. */
#ifndef BL_WATCH_H
#define BL_WATCH_H

#include "controlplane/stream.h"

enum { BL_WATCH_HEARTBEAT_MS = 5000 };

/** @p context is the struct bl_store. As struct bl_stream_work's run. */
int bl_watch_run(struct bl_stream *stream, void *context, const uint8_t *request, size_t length,
                 struct bl_error_detail *detail);

#endif
