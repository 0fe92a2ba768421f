/** @file lookup.h
 * lookup: one question an address; what is enforced and the layers behind it. Called by main.c through the table in command.c. */
#ifndef BL_CLI_LOOKUP_H
#define BL_CLI_LOOKUP_H

#include "controlplane/cli/options.h"

/** Does the command and prints. @return the exit code. */
int bl_lookup_run(const struct bl_options *options);

#endif
