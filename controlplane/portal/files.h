/** @file files.h
 * The files of pages/ and texts/, in the program (embed.cmake writes the table at build time). Read-only; any thread. */
#ifndef BL_FILES_H
#define BL_FILES_H

#include <stddef.h>

struct bl_files_file {
    const char *name; /**< without folder; NULL ends the table */
    const char *text; /**< NUL-terminated */
    size_t length;
};

extern const struct bl_files_file bl_files_table[];

/** @return the file, or NULL. */
const struct bl_files_file *bl_files_find(const char *name);

#endif
