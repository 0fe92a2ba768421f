/** @file rejects.h
 * rejects: what was rejected, once or as it happens. Called by main.c through the table in command.c. */
#ifndef BL_CLI_REJECTS_H
#define BL_CLI_REJECTS_H

#include "controlplane/cli/options.h"

/** Does the command and prints. @return the exit code. */
int bl_cli_rejects_run(const struct bl_options *options);

#endif
