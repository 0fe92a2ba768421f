/** @file store.h
 * The list with its log: opened and folded at start, written to by the writer, read by everyone (writer.c, ingest.c,
 * sync_peer.c).
 *
 * Opening reads the newest snapshot, then folds the records behind it, the answers for retries with them. So a record
 * is all that a restart needs; a snapshot only saves time.
 *
 * Threads: `log` and `answers` are the writer's alone. `state` is behind `lock`: the writer holds it for writing from
 * the first change until the log has it (readers never see what is not durable), everyone else for reading. Writers are
 * preferred, so that a stream of lookups can't hold an update up. */
#ifndef BL_STORE_H
#define BL_STORE_H

#include <pthread.h>

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
    uint64_t snapshot_serial; /**< of the snapshot on disk; writer only */
};

/** Opens the log in settings->data_directory and folds it. @return 0, or the log's, the codec's or the list state's
 * error with the serial it happened at. */
int bl_store_open(struct bl_store *store, const struct bl_settings_controlplane *settings,
                  struct bl_error_detail *detail);
void bl_store_close(struct bl_store *store);

/** Writes a snapshot of the state as it is. The caller is the writer: nobody else changes the state, so no lock is
 * needed to read it. @return 0 or the log's error. */
int bl_store_write_snapshot(struct bl_store *store, struct bl_error_detail *detail);

#endif
