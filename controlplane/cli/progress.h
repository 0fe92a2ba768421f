/** @file progress.h
 * The progress bar of `import`: on a terminal only, on stderr, one line that is drawn over and wiped at the end; in a
 * pipe or a log there is none. Threads: one. */
#ifndef BL_PROGRESS_H
#define BL_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct bl_progress {
    FILE *out; /**< NULL: not a terminal, nothing is drawn */
    const char *label;
    int64_t started_ms; /**< of the step */
    int64_t drawn_ms;   /**< last time; a line is drawn at most each 100 ms */
    bool visible;
};

/** Draws on @p out if that is a terminal. */
void bl_progress_init(struct bl_progress *progress, FILE *out);

/** Begins the next step: @p label ("reading") is borrowed. */
void bl_progress_step(struct bl_progress *progress, const char *label);

/** Shows @p done of @p total bytes as a bar (total 0: not known, no bar) and @p n_items of @p items ("lines"). */
void bl_progress_update(struct bl_progress *progress, uint64_t done, uint64_t total, uint64_t n_items,
                        const char *items);

/** Wipes the line, so that what is printed next starts clean. */
void bl_progress_fini(struct bl_progress *progress);

#endif
