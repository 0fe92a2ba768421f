/** @file top.h
 * top: the sources or listings with most rejects. Called by main.c through the table in command.c. */
#ifndef BL_CLI_TOP_H
#define BL_CLI_TOP_H

#include "controlplane/cli/options.h"

/** Does the command and prints. @return the exit code. */
int bl_cli_top_run(const struct bl_options *options);

#endif
