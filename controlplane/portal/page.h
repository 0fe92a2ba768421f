/** @file page.h
 * Pages and mails from templates: pages/ has the shapes, texts/ the words in each language.
 *
 *   {{@key}}            the text of that key in the page's language; may hold {{name}} in turn
 *   {{name}}            a value, escaped for HTML in a page and as it is in a plain mail
 *   {{!name}}           a value that is a piece of a page itself: as it is
 *   {{?name}}...{{/}}   only with that value; {{^name}}...{{/}} only without
 *
 * A key or value that is not there is a mistake of ours: it is left out, and tests/portal looks for them. A text file has
 * "key = text" a line; # begins a comment. Pure but for the heap; any thread. */
#ifndef BL_PAGE_H
#define BL_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum bl_language { BL_LANGUAGE_EN, BL_LANGUAGE_NL, BL_LANGUAGE_COUNT };

struct bl_page_value {
    const char *name;
    const char *value; /**< NULL: not there */
};

struct bl_page {
    enum bl_language language;
    bool html; /**< values are escaped */
    const struct bl_page_value *values;
    size_t n_values;
};

/** Reads the texts; once, before all else. @return 0, or BL_EINVAL with the key that a language lacks. */
int bl_page_load(char missing[64]);

/** Renders the file @p name. @return its text, owned by the caller (free); NULL: out of memory or no such file. */
char *bl_page_render(const struct bl_page *page, const char *name, size_t *length);

/** Puts text into HTML, between tags or quotes. */
void bl_page_put_escaped(const char *text, FILE *out);

/** One text alone. */
char *bl_page_render_text(const struct bl_page *page, const char *key);

/** "en", "nl". */
const char *bl_page_language_text(enum bl_language language);

/** The language that an Accept-Language header prefers of ours; English for none. */
enum bl_language bl_page_choose_language(const char *accept);

/** "en" or "nl" to its value. @return false for anything else. */
bool bl_page_read_language(const char *text, enum bl_language *out);

#endif
