/* What was done since the last commit; see list_undo.h. */
#include "controlplane/list_undo.h"

#include <stdlib.h>

enum { ENTRIES_KEPT_MAX = 1 << 16 };

void bl_list_undo_fini(struct bl_list_undo *undo)
{
    free(undo->entries);
    *undo = (struct bl_list_undo){NULL, 0, 0};
}

int bl_list_undo_reserve(struct bl_list_undo *undo, size_t n)
{
    size_t n_max = undo->n_max * 2 + 64 + n;
    struct bl_list_undo_entry *entries;

    if (undo->n_max - undo->n >= n)
        return BL_OK;
    entries = realloc(undo->entries, n_max * sizeof(*entries));
    if (entries == NULL)
        return BL_ENOMEM;
    undo->entries = entries;
    undo->n_max = n_max;
    return BL_OK;
}

void bl_list_undo_push(struct bl_list_undo *undo, const struct bl_list_undo_entry *entry)
{
    undo->entries[undo->n++] = *entry;
}

void bl_list_undo_reset(struct bl_list_undo *undo)
{
    undo->n = 0;
    /* An import of millions comes once; its 24 bytes an act need not stay. */
    if (undo->n_max > ENTRIES_KEPT_MAX)
        bl_list_undo_fini(undo);
}
