/** @file feed.h
 * The data plane's side of TableSync: connects to the control plane, takes in snapshots and deltas, acknowledges what
 * every worker enforces, reports once a second, tells about rejects (channel → sync_codec → feed → master).
 *
 * Never waits for the control plane: it may come, go and misbehave while the workers go on with the last table. What
 * it sends is refused whole when it is malformed, out of order or has another digest; the feed then says why, connects
 * again after a pause that grows to a second, and asks for a snapshot where it must. Threads: main core only. */
#ifndef BL_FEED_H
#define BL_FEED_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/distribute.h"
#include "dataplane/master.h"
#include "dataplane/sync_codec.h"

/** Counters that the feed adds to a report: fill_report leaves room for so many. */
enum { BL_FEED_COUNTERS = 2 };

struct bl_feed;

struct bl_feed_options {
    const char *socket; /**< borrowed for as long as the feed lives, as all here */
    const char *name;
    uint32_t n_workers;
    struct bl_master *master;
    struct bl_distribute *distribute;
    bool has_tickets;                                                  /**< there is a key for {ticket} */
    void (*fill_report)(void *context, struct bl_sync_report *report); /**< what is reported once a second */
    /** Moves up to @p max samples of rejects out of the workers' rings. */
    size_t (*take_samples)(void *context, struct bl_sync_sample *out, size_t max);
    void *context;
};

/** @return 0, or BL_ENOMEM, BL_ERANGE (the socket's path is too long). */
int bl_feed_create(struct bl_feed **out, const struct bl_feed_options *options, struct bl_error_detail *detail);
void bl_feed_free(struct bl_feed *feed);

/** Does what can be done now: connects, reads, acknowledges, reports. At most one message with entries is taken in, so
 * that the caller's other duties are not kept waiting by a long snapshot. */
void bl_feed_poll(struct bl_feed *feed, uint64_t now_ms);

/** What is held can't be trusted: gives it up and connects again for a snapshot. */
void bl_feed_resync(struct bl_feed *feed, uint64_t now_ms);

/** What to wait on: the socket (-1 when there is none) and poll(2)'s events for it. */
int bl_feed_descriptor(const struct bl_feed *feed, short *events);

/** True when the next bl_feed_poll has work that no event will tell of: a frame has come in already. */
bool bl_feed_pending(const struct bl_feed *feed);

#endif
