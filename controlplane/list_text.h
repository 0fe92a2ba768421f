/** @file list_text.h
 * Strings held once and counted: sources, reasons and actors repeat over millions of layers (list_state.c owns one set
 * for the sources and one for the rest).
 *
 * A number stands for a string as long as it is held at least once; 0 stands for "" and is never counted. A pointer to a
 * string lives as long. Threads: as list_state.h. */
#ifndef BL_LIST_TEXT_H
#define BL_LIST_TEXT_H

#include <stdint.h>

#include "bounceline/error.h"

struct bl_list_text {
    char *bytes; /**< NULL: a free number */
    uint32_t n_holds;
    uint32_t next; /**< in its bucket, or of the free numbers */
};

struct bl_list_texts {
    struct bl_list_text *texts;
    uint32_t *buckets; /**< a power of two of them */
    uint32_t n_buckets;
    uint32_t n; /**< numbers ever given out, 0 included */
    uint32_t n_max;
    uint32_t n_free;
    uint32_t first_free;
};

/** @p texts stays where it is: its address is the key of its hash. @return 0 or BL_ENOMEM (nothing to fini). */
int bl_list_texts_init(struct bl_list_texts *texts);
void bl_list_texts_fini(struct bl_list_texts *texts);

/** Holds @p bytes (NULL: "") once. @return 0 or BL_ENOMEM. */
int bl_list_text_hold(struct bl_list_texts *texts, const char *bytes, uint32_t *number);
void bl_list_text_hold_again(struct bl_list_texts *texts, uint32_t number);
void bl_list_text_release(struct bl_list_texts *texts, uint32_t number);

/** @return the number, or 0 when it is not held. */
uint32_t bl_list_text_find(const struct bl_list_texts *texts, const char *bytes);

static inline const char *bl_list_text_at(const struct bl_list_texts *texts, uint32_t number)
{
    return texts->texts[number].bytes;
}

#endif
