/** @file publish.h
 * What the data planes are to have, what they have, and who waits for it (writer → publish ⇄ sync_server).
 *
 * The writer hands over the delta of each commit; sync_peer.c fetches deltas and says what was acknowledged; calls with
 * wait = ENFORCED hang here until every connected data plane has acknowledged their serial, or until their deadline.
 * They are answered by the thread that brings the acknowledgement, without another switch.
 *
 * Threads: any; one lock of its own, never held while calling out. A caller may hold the state's lock; this takes none.
 * Cost: control path; a commit costs one encode and one write to an eventfd. */
#ifndef BL_PUBLISH_H
#define BL_PUBLISH_H

#include "controlplane/codec_client.h"
#include "controlplane/codec_sync.h"
#include "controlplane/frames.h"
#include "controlplane/latency.h"

enum {
    BL_PUBLISH_RING_BYTES = 64 << 20,
    BL_PUBLISH_PLANES_MAX = 64,
    BL_PUBLISH_TIMED_MAX = 4096, /**< commits whose latency is being measured */
    BL_PUBLISH_STALE_MS = 5000,  /**< without a report: as good as gone */
};

struct bl_publish;

/** A data plane that is known by name. Outlives its connections. */
struct bl_publish_plane;

/** @p serial and @p digest: where the list stands. @return 0, BL_ENOMEM or BL_EIO. */
int bl_publish_create(struct bl_publish **out, uint64_t epoch, uint64_t serial, struct bl_digest digest);
void bl_publish_free(struct bl_publish *publish);

/** The state was committed; called under its write lock, so that a snapshot (taken under its read lock) and the ring
 * never disagree. @p since_us: when the oldest batch in it was submitted (monotonic), for the latency; 0: it is not
 * measured. Cannot fail: without memory for the delta, data planes get a snapshot. Threads: writer only. */
void bl_publish_commit(struct bl_publish *publish, const struct bl_list_state *state, uint64_t from_serial,
                       int64_t since_us, const struct bl_list_changes *changes);

/** A call that waits. Owned by the caller until done, which is called exactly once, perhaps before add returns. */
struct bl_publish_wait {
    uint64_t serial;
    int64_t deadline_ms; /**< CLOCK_MONOTONIC */
    void (*done)(struct bl_publish_wait *wait, const struct bl_codec_reached *reached);
    struct bl_publish_wait *next;    /**< publish.c's */
    struct bl_codec_reached reached; /**< publish.c's: as it was when the waiting ended */
};

/** Answers at once when no data plane is connected (not enforced) or all have the serial. */
void bl_publish_add_wait(struct bl_publish *publish, struct bl_publish_wait *wait);

/** Takes a wait back whose caller is gone. @return true: it was there and done will not be called; false: it was or is
 * being called. */
bool bl_publish_remove_wait(struct bl_publish *publish, struct bl_publish_wait *wait);

/** Answers all whose deadline is over, or everyone (@p all). @return the next deadline, or INT64_MAX. */
int64_t bl_publish_expire(struct bl_publish *publish, int64_t now_ms, bool all);

/** How many of the connected data planes have @p serial. @return the lowest serial that all of them have; 0 without
 * one. */
uint64_t bl_publish_reached(struct bl_publish *publish, uint64_t serial, struct bl_codec_reached *reached);

/** All that are known. @return how many, at most BL_PUBLISH_PLANES_MAX. */
size_t bl_publish_status(struct bl_publish *publish, struct bl_codec_dataplane *out, int64_t now_ms);

/** Readable when there is something new to send, or a new deadline. clear makes it unreadable again. */
int bl_publish_wake_descriptor(const struct bl_publish *publish);
void bl_publish_wake(struct bl_publish *publish);
void bl_publish_wake_clear(struct bl_publish *publish);

/** The delta that starts at @p serial, with a reference for the caller. @return 0, BL_EAGAIN: @p serial is the last
 * there is, or BL_ENOENT: the ring does not reach there. */
int bl_publish_fetch(struct bl_publish *publish, uint64_t serial, struct bl_frames **delta);

/** The digest at @p serial. @return 0 or BL_ENOENT: not known any more. */
int bl_publish_find_digest(struct bl_publish *publish, uint64_t serial, struct bl_digest *digest);

/** From the submit of a commit's oldest batch until every connected data plane had acknowledged it. Of commits that found
 * a data plane connected; *n_unmeasured is of all others, and of those that are too many to wait for at a time. */
const struct bl_latency *bl_publish_latency(struct bl_publish *publish, uint64_t *n_unmeasured);

uint64_t bl_publish_epoch(const struct bl_publish *publish);

/** The head: the last serial that was committed, and its digest. */
void bl_publish_head(struct bl_publish *publish, uint64_t *serial, struct bl_digest *digest);

/** A data plane said a good hello. @return 0, BL_EEXIST: one of that name is connected and alive, with *plane being it
 * (bl_publish_is_stale says whether it is to be replaced), or BL_EFULL. Sync thread only, as all below. */
int bl_publish_connect(struct bl_publish *publish, const struct bl_codec_sync_message *hello, int64_t now_ms,
                       struct bl_publish_plane **plane);
void bl_publish_disconnect(struct bl_publish *publish, struct bl_publish_plane *plane);
bool bl_publish_is_stale(struct bl_publish *publish, const struct bl_publish_plane *plane, int64_t now_ms);

/** Every worker of @p plane has @p serial. Answers who waits. */
void bl_publish_acknowledge(struct bl_publish *publish, struct bl_publish_plane *plane, uint64_t serial);

/** Nothing is known to be enforced there any more, not even serial 0, the empty list of a new log. */
void bl_publish_withdraw(struct bl_publish *publish, struct bl_publish_plane *plane);

void bl_publish_report(struct bl_publish *publish, struct bl_publish_plane *plane,
                       const struct bl_codec_sync_report *report, int64_t now_ms);

void bl_publish_count_resync(struct bl_publish *publish, struct bl_publish_plane *plane, bool digest_mismatch);

#endif
