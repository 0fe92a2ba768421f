/** @file rows.h
 * The table of a range in pages and mails: one row an address, from pages/range_row.html or .txt. Pure but for the heap;
 * any thread. */
#ifndef BL_ROWS_H
#define BL_ROWS_H

#include "controlplane/portal/control.h"
#include "controlplane/portal/page.h"

/** @param page its language and html count. @param states of the items, or NULL: what became of them only.
 * @return all rows, owned by the caller (free), or NULL: out of memory. */
char *bl_rows_render(const struct bl_page *page, const struct bl_control_items *items,
                     const struct bl_control_state *states);

#endif
