/** @file backup.h
 * backup: the control plane's log into a file, while it runs. restore: hands a file to bounceline-controlplane --restore,
 * which has the settings, the log's user and SQLite (options → backup → session). One thread. */
#ifndef BL_CLI_BACKUP_H
#define BL_CLI_BACKUP_H

#include "controlplane/cli/options.h"

int bl_cli_backup_run(const struct bl_options *options);

/** Returns only when the program can't be started. */
int bl_cli_restore_run(const struct bl_options *options);

#endif
