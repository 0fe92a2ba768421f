/** @file reverse.h
 * The confirmed reverse names of addresses, by c-ares: the names of the PTR record whose own A or AAAA records hold the
 * address again. Only those count: anybody may write any name into the reverse zone of his addresses.
 *
 * Asks the given servers only, no hosts file and no search list, at most BL_REVERSE_QUESTIONS_MAX questions at a time, from a
 * new port each time. Called by inquiry.c, whose thread it blocks for BL_REVERSE_WHOLE_MS at most. */
#ifndef BL_REVERSE_H
#define BL_REVERSE_H

#include <stdatomic.h>

#include "bounceline/hostname.h"
#include "bounceline/settings.h"

enum { BL_REVERSE_NAMES_MAX = 4, BL_REVERSE_QUESTIONS_MAX = 64, BL_REVERSE_WHOLE_MS = 20000 };

struct bl_reverse_answer {
    struct bl_address address;                             /**< in */
    char names[BL_REVERSE_NAMES_MAX][BL_HOSTNAME_MAX + 1]; /**< lower case, without a dot at the end, sorted */
    size_t n_names;
    bool unsure; /**< a server did not answer, or could not: there may be more */
};

/** @param stop ends it early when it becomes true; what is not known then is unsure.
 * @return 0 or BL_EIO: c-ares does not start (memory, resolv.conf). */
int bl_reverse_find(const struct bl_settings_portal *settings, const atomic_bool *stop,
                    struct bl_reverse_answer *answers, size_t n);

#endif
