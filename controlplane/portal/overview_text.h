/** @file overview_text.h
 * The operator's view as a page and as JSON. Pure but for the heap; any thread. */
#ifndef BL_OVERVIEW_TEXT_H
#define BL_OVERVIEW_TEXT_H

#include "controlplane/portal/overview.h"

/** Names a person as the audit's setting says. */
struct bl_overview_names {
    const struct bl_settings_portal *settings;
    const struct bl_secret *secret;
};

/** @return the text, owned by the caller (free); NULL: out of memory. */
char *bl_overview_text_page(const struct bl_overview_state *state, const struct bl_overview_names *names,
                            size_t *length);

/** One line. Times are milliseconds since 1970; what people are called, as on the page. */
char *bl_overview_text_json(const struct bl_overview_state *state, const struct bl_overview_names *names,
                            size_t *length);

#endif
