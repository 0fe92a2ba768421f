/* See files.h. */
#include "controlplane/portal/files.h"

#include <string.h>

const struct bl_files_file *bl_files_find(const char *name)
{
    for (const struct bl_files_file *file = bl_files_table; file->name != NULL; file++) {
        if (strcmp(file->name, name) == 0)
            return file;
    }
    return NULL;
}
