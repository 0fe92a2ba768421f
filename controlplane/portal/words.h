/** @file words.h
 * The values that pages and mails are filled with, under their names in the templates. Borrows all texts but those that
 * it makes itself. Pure; any thread. */
#ifndef BL_WORDS_H
#define BL_WORDS_H

#include "controlplane/portal/requests.h"

enum { BL_WORDS_MAX = 64, BL_WORDS_MADE = 20 };

struct bl_words {
    struct bl_page_value values[BL_WORDS_MAX];
    size_t n;
    char made[BL_WORDS_MADE][400];
    size_t n_made;
};

void bl_words_init(struct bl_words *words, const struct bl_settings_portal *settings);

/** A later value of a name does not count. @p value NULL: not there. */
void bl_words_add(struct bl_words *words, const char *name, const char *value);
void bl_words_add_number(struct bl_words *words, const char *name, uint64_t value);

/** email, address, link, lifetime; range, named; and of one that is done: removed, exempted, not_listed, refused, enforced, serial,
 * n_enforced, n_connected, took. */
void bl_words_add_request(struct bl_words *words, const struct bl_secret *secret, const struct bl_request *request);

#endif
