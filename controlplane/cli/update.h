/** @file update.h
 * list, delist, exempt, unexempt: one batch of one update a prefix. Called by main.c through the table in command.c. */
#ifndef BL_CLI_UPDATE_H
#define BL_CLI_UPDATE_H

#include "controlplane/cli/options.h"

/** Does the command and prints. @return the exit code. */
int bl_update_run(const struct bl_options *options);

#endif
