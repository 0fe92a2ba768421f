/** @file rejects_file.h
 * Rejects as JSON lines in a file that is rotated by size (called by rejects.c's thread).
 *
 *   FILE → FILE.1 → FILE.2 → … → FILE.(n_files - 1) → gone
 *
 * Whole lines or nothing: what a full disk cut off is cut back. A failure is told once, counted from then on, and tried
 * again with the next lines. A file that can't be rotated grows to twice its size, then its lines are lost, until it can
 * be. A file that somebody moved away is made anew. Threads: one at a time. */
#ifndef BL_REJECTS_FILE_H
#define BL_REJECTS_FILE_H

#include "controlplane/reject_ring.h"

struct bl_rejects_file;

struct bl_rejects_file_options {
    const char *path;   /**< borrowed for the file's life */
    uint64_t bytes_max; /**< of one file; a line is never split */
    uint32_t n_files;   /**< with the one that is written */
};

struct bl_rejects_file_counts {
    uint64_t n_written;
    uint64_t n_lost;
};

/** Opens the file, mode 0640. @return 0, BL_ENOMEM, or BL_EIO with the cause: it can't be opened, is no regular file,
 * or is to be rotated in a directory that can't be written. */
int bl_rejects_file_open(struct bl_rejects_file **out, const struct bl_rejects_file_options *options,
                         struct bl_error_detail *detail);
void bl_rejects_file_close(struct bl_rejects_file *file);

/** Appends a line for each. Cost: a write; no fsync: a power cut may take the last seconds. */
void bl_rejects_file_write(struct bl_rejects_file *file, const struct bl_reject *rejects, size_t n,
                           struct bl_rejects_file_counts *counts);

#endif
