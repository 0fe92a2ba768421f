/** @file store.h
 * The list with its log: opened and folded at start, written to by the writer, read by everyone (writer.c, ingest.c,
 * sync_peer.c).
 *
 * Opening reads the newest snapshot, then folds the records behind it, the answers for retries with them. So a record
 * is all that a restart needs; a snapshot only saves time.
 *
 * Threads: `answers` are the writer's alone. `log` is behind `log_lock`, which is held for an append, or for a slice that
 * is read: so who follows the log holds the writer up for at most one slice (BL_STORE_SLICE_BYTES and the record that goes
 * over); `reader_lock` lets one reader at a time come that far. `state` is behind `lock`: the writer holds it for writing from
 * the first change until the log has it (readers never see what is not durable), everyone else for reading. Writers are
 * preferred, so that a stream of lookups can't hold an update up. */
#ifndef BL_STORE_H
#define BL_STORE_H

#include <pthread.h>
#include <stdatomic.h>

#include "bounceline/settings.h"
#include "controlplane/answers.h"
#include "controlplane/list_state.h"
#include "controlplane/log.h"

struct bl_store {
    const struct bl_settings_controlplane *settings; /**< borrowed */
    const char *source_order[BL_SETTINGS_SOURCES_MAX];
    struct bl_log *log;
    struct bl_answers *answers;
    struct bl_list_state *state;
    pthread_rwlock_t lock;
    pthread_mutex_t log_lock;
    pthread_mutex_t reader_lock; /**< taken before log_lock, by all but the writer */
    pthread_mutex_t head_lock;   /**< of the next three */
    pthread_cond_t moved;
    uint64_t head;              /**< the last serial that is durable and in the state */
    unsigned n_waiting;         /**< for another head */
    _Atomic unsigned n_exports; /**< under way; relaxed: a limit */
    uint64_t snapshot_serial;   /**< of the snapshot on disk; writer only */
};

/** Opens the log in settings->data_directory and folds it. @return 0, or the log's, the codec's or the list state's
 * error with the serial it happened at. */
int bl_store_open(struct bl_store *store, const struct bl_settings_controlplane *settings,
                  struct bl_error_detail *detail);
void bl_store_close(struct bl_store *store);

enum { BL_STORE_SLICE_BYTES = 256 << 10, BL_STORE_SLICE_RECORDS = 256 };

/** A slice of the log, copied. */
struct bl_store_slice {
    struct bl_log_blob records[BL_STORE_SLICE_RECORDS];
    size_t n;
    uint8_t *memory;
    size_t n_bytes;
    size_t n_allocated;
};

/** Reads records from @p serial on, or, @p back, from it downwards: at least one, up to a slice. The slice's memory is
 * used again; begin with zeros. @return 0; BL_EAGAIN: not there yet; BL_ENOENT: no longer kept, *first says what is; or
 * the log's error. Threads: any. */
int bl_store_read(struct bl_store *store, uint64_t serial, bool back, struct bl_store_slice *slice, uint64_t *first,
                  struct bl_error_detail *detail);
void bl_store_slice_fini(struct bl_store_slice *slice);

/** The writer has committed up to @p serial. */
void bl_store_move_head(struct bl_store *store, uint64_t serial);

/** Waits up to @p timeout_ms until the head is above @p serial, and then a little, so that a thousand commits a second do
 * not wake anybody a thousand times. @return the head. Threads: any. */
uint64_t bl_store_await(struct bl_store *store, uint64_t serial, int64_t timeout_ms);

#endif
