/** @file export.h
 * Export: the list at one serial, in chunks (stream → export → view).
 *
 * Consistent and bounded: the layers come from a view (view.h), a chunk of neighbours that are alike at a time, whatever
 * the writer does meanwhile. BL_EXPORT_MAX at a time: each may come to hold a copy of the pages that change. */
#ifndef BL_EXPORT_H
#define BL_EXPORT_H

#include "controlplane/stream.h"

enum { BL_EXPORT_MAX = 4 };

/** @p context is the struct bl_store. As struct bl_stream_work's run. */
int bl_export_run(struct bl_stream *stream, void *context, const uint8_t *request, size_t length,
                  struct bl_error_detail *detail);

#endif
