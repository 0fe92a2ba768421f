/** @file command.h
 * The commands of `bounceline`: one row each, with its options, its help and the function that does it.
 *
 * main.c → options.c (finds the row, reads the options) → run. A run function prints its answer on stdout, its
 * complaints on stderr and returns the exit code. */
#ifndef BL_COMMAND_H
#define BL_COMMAND_H

#include <argp.h>

#include "controlplane/cli/options.h"

/** Keys of the options that have no letter. */
enum {
    BL_OPTION_SOCKET = 0x100,
    BL_OPTION_CONNECT,
    BL_OPTION_CERT,
    BL_OPTION_KEY,
    BL_OPTION_CA,
    BL_OPTION_CONFIG,
    BL_OPTION_WAIT,
    BL_OPTION_DEADLINE,
    BL_OPTION_JSON,
    BL_OPTION_CODE,
    BL_OPTION_REASON,
    BL_OPTION_FOR,
    BL_OPTION_SOURCE,
    BL_OPTION_ACTION,
    BL_OPTION_FORCE,
    BL_OPTION_ALL,
    BL_OPTION_FOLLOW,
    BL_OPTION_SINCE,
    BL_OPTION_LIMIT,
    BL_OPTION_LISTINGS,
    BL_OPTION_FROM,
    BL_OPTION_FORMAT,
    BL_OPTION_OUTPUT,
    BL_OPTION_IMPORT_FORMAT,
    BL_OPTION_REPLACE,
    BL_OPTION_DRY_RUN,
    BL_OPTION_MASK,
    BL_OPTION_STALE,
};

/** Longest reason in bytes (list_control.proto). */
enum { BL_COMMAND_REASON_MAX = 200 };

struct bl_command {
    const char *name;
    const char *summary;               /**< one line of `bounceline --help` */
    const char *arguments;             /**< "PREFIX..." */
    const char *help;                  /**< argp's doc: what comes behind \v stands behind the options */
    const struct argp_option *options; /**< NULL: only the global ones (glibc leaks for an empty list) */
    size_t arguments_min;
    size_t arguments_max;
    bool takes_prefixes;      /**< every argument is an address or a prefix */
    enum bl_update_kind kind; /**< of list, delist, exempt, unexempt */
    const char *past;         /**< "listed" */
    int (*run)(const struct bl_options *options);
};

/** Ends with a row whose name is NULL. */
extern const struct bl_command bl_command_table[];

/** NULL when there is no such command. */
const struct bl_command *bl_command_find(const char *name);

#endif
