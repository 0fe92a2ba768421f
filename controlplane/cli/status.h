/** @file status.h
 * status: what the control plane knows about itself and its data planes. Called by main.c through the table in command.c. */
#ifndef BL_CLI_STATUS_H
#define BL_CLI_STATUS_H

#include "controlplane/cli/options.h"

/** Does the command and prints. @return the exit code. */
int bl_status_run(const struct bl_options *options);

#endif
