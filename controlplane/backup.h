/** @file backup.h
 * The log copied out and put back (main, for the command line's backup and restore; ingest, for Backup).
 *
 * A backup is a file in the log's own format (log_sqlite.h): all records, the snapshot, the answers. It is written while
 * the writer goes on; each step holds it up for 256 KiB. A restore needs the log for itself. It believes nothing: the file is
 * copied in, opened, each record's checksum read, the list folded; then it gets a new epoch, so that every data plane and
 * watcher begins anew. The log there was stays beside it, as log.sqlite.before-TIME. Until the last rename nothing has
 * changed. */
#ifndef BL_BACKUP_H
#define BL_BACKUP_H

#include "bounceline/settings.h"
#include "controlplane/stream.h"

/** Copies the log, which no other process may have open, to the descriptor @p out. @return 0 or the error. */
int bl_backup_write(const struct bl_settings_controlplane *settings, int out, struct bl_error_detail *detail);

/** Puts the backup that is read from the descriptor @p in in the place of the log. @return 0; BL_EEXIST: a control plane
 * has the log open; BL_EINVAL, BL_EVERSION, BL_EORDER: no whole backup; or the system's error. The log is then as it was. */
int bl_backup_restore(const struct bl_settings_controlplane *settings, int in, struct bl_error_detail *detail);

/** Serves Backup: struct bl_stream_work's run, its context the store. */
int bl_backup_run(struct bl_stream *stream, void *context, const uint8_t *request, size_t length,
                  struct bl_error_detail *detail);

#endif
