/** @file tally.h
 * Counts what the portal refuses, by reason, for the operator's view: site.c adds, operator.c takes what has come together
 * once a minute and stores it. A refusal itself must cost nothing that the one who is refused could use up, so nothing is
 * written for it. A reason is the name that its page has in page.html; one that comes up for the first time gets a place.
 * Threads: any; one lock. */
#ifndef BL_TALLY_H
#define BL_TALLY_H

#include <stddef.h>
#include <stdint.h>

enum { BL_TALLY_REASONS_MAX = 32 };

struct bl_tally;

struct bl_tally_entry {
    const char *reason; /**< a literal: never freed */
    uint64_t n;
};

/** @return NULL: out of memory. */
struct bl_tally *bl_tally_create(void);
void bl_tally_free(struct bl_tally *tally);

/** @p tally NULL: nobody wants to know. @p reason is borrowed for ever. The 32nd and later reasons are "other". */
void bl_tally_add(struct bl_tally *tally, const char *reason);
void bl_tally_add_many(struct bl_tally *tally, const char *reason, uint64_t n);

/** What came since the last time. @return how many entries. */
size_t bl_tally_take(struct bl_tally *tally, struct bl_tally_entry out[BL_TALLY_REASONS_MAX]);

#endif
