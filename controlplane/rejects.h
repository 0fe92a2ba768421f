/** @file rejects.h
 * What the data planes rejected: taken in, explained, kept, counted, written (sync_peer → rejects ⇄ ingest).
 *
 *   sync thread: push ─▶ [queue, bounded] ─▶ own thread: which listing? ─▶ ring, two sketches ─▶ file
 *                                                                            ▲ find, top, hits: gRPC threads
 *
 * Nobody waits for it: push copies into the queue or counts what finds no room; the listing is looked up by the thread
 * of its own, a few at a time under the list's read lock; the file is written by that thread too. A source and listing
 * counts in the sketches with the weight of its final events (bl_verdict_is_final), of which each sample is sure of one.
 * All is in memory: a restart begins anew. Threads: as said. */
#ifndef BL_REJECTS_H
#define BL_REJECTS_H

#include "controlplane/reject_ring.h"
#include "controlplane/sketch.h"
#include "controlplane/store.h"

enum {
    BL_REJECTS_QUEUE = 8192,
    BL_REJECTS_COUNTED = 1024, /**< entries of each sketch */
};

struct bl_rejects;

/** Starts the thread. @p store is borrowed, its settings too. @return 0, BL_ENOMEM, or BL_EIO with the cause: the file
 * of the settings can't be opened. */
int bl_rejects_create(struct bl_rejects **out, struct bl_store *store, struct bl_error_detail *detail);

/** Works off what is queued. Nobody may push or ask any more. */
void bl_rejects_free(struct bl_rejects *rejects);

/** Queues copies. Threads: any. Cost: a lock that is held for copies only. */
void bl_rejects_push(struct bl_rejects *rejects, const char *dataplane, const struct bl_codec_sync_rejects *samples);

/** A number for this run, never 0: cursors of another mean nothing. */
uint64_t bl_rejects_instance(const struct bl_rejects *rejects);

/** As bl_reject_ring_find. Threads: any. */
void bl_rejects_find(struct bl_rejects *rejects, const struct bl_reject_query *query, struct bl_reject *out, size_t max,
                     struct bl_reject_answer *answer);

enum bl_rejects_top { BL_REJECTS_TOP_SOURCES = 1, BL_REJECTS_TOP_LISTINGS = 2 };

/** One of the top. For sources `prefix` is the address at full length. */
struct bl_rejects_item {
    struct bl_prefix prefix;
    char source[BL_REJECT_SOURCE_MAX]; /**< of a listing */
    uint64_t n_events;
    uint64_t error; /**< n_events - error happened for sure */
    int64_t last_ms;
};

struct bl_rejects_total {
    uint64_t n_events;
    int64_t since_ms;
};

/** Up to @p max, at most BL_REJECTS_COUNTED. @return how many. Threads: any. */
size_t bl_rejects_top(struct bl_rejects *rejects, enum bl_rejects_top kind, struct bl_rejects_item *items, size_t max,
                      struct bl_rejects_total *total);

/** What the listing (prefix, source) has; all zero: not counted. Threads: any; the caller may hold the list's lock. */
void bl_rejects_hits(struct bl_rejects *rejects, const struct bl_prefix *prefix, const char *source,
                     struct bl_rejects_item *item);

struct bl_rejects_counts {
    uint64_t n_taken;
    uint64_t n_lost; /**< found no room in the queue */
    uint64_t n_lines;
    uint64_t n_lines_lost;
};

void bl_rejects_count(struct bl_rejects *rejects, struct bl_rejects_counts *counts);

#endif
