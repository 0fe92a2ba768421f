/** @file history.h
 * History: who changed what covers an address or lies in a prefix, newest first (stream → history → store).
 *
 * There is no index: an index row a prefix would cost an import of a million more than its record does, for a question
 * that people ask now and then. So the log is read backwards, beside the writer (store.h), and one call reads at most
 * BL_HISTORY_BYTES of it; then it says where the next call goes on. The cost: README, "Recipes for programs". */
#ifndef BL_HISTORY_H
#define BL_HISTORY_H

#include "controlplane/stream.h"

enum { BL_HISTORY_BYTES = 256 << 20 };

/** @p context is the struct bl_store. As struct bl_stream_work's run. */
int bl_history_run(struct bl_stream *stream, void *context, const uint8_t *request, size_t length,
                   struct bl_error_detail *detail);

#endif
