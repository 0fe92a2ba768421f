/** @file import.h
 * import: a file's prefixes as one columnar batch, all or nothing. Called by main.c through the table in command.c. */
#ifndef BL_CLI_IMPORT_H
#define BL_CLI_IMPORT_H

#include "controlplane/cli/options.h"

/** Does the command and prints. @return the exit code. */
int bl_import_run(const struct bl_options *options);

#endif
