/** @file export.h
 * export: the listings at one serial, in the formats of other programs (options → export → session). One thread. */
#ifndef BL_CLI_EXPORT_H
#define BL_CLI_EXPORT_H

#include "controlplane/cli/options.h"

int bl_cli_export_run(const struct bl_options *options);

#endif
