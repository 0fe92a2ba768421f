/** @file changes.h
 * watch and history: changes of the list, as they come or backwards (options → changes → session). One thread. */
#ifndef BL_CLI_CHANGES_H
#define BL_CLI_CHANGES_H

#include "controlplane/cli/json.h"
#include "controlplane/cli/options.h"
#include "controlplane/cli/session.h"

int bl_cli_watch_run(const struct bl_options *options);
int bl_cli_history_run(const struct bl_options *options);

/** One prefix of a group as an object. */
void bl_cli_changes_put_json(struct bl_json *json, const struct bl_stream_message *message,
                             const struct bl_stream_group *group, const struct bl_prefix *prefix);

#endif
