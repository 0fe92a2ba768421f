/* See rows.h. */
#define _GNU_SOURCE /* open_memstream */
#include "controlplane/portal/rows.h"

#include <stdio.h>
#include <stdlib.h>

#include "controlplane/batch.h"

enum { VALUES_MAX = 16 };

static const char *when(bool condition)
{
    return condition ? "1" : NULL;
}

static void put_row(const struct bl_page *page, const struct bl_control_item *item,
                    const struct bl_control_state *state, FILE *out)
{
    char code[16] = "";
    unsigned outcome = item->outcome;
    bool refused = outcome == BL_OUTCOME_REFUSED;
    const struct bl_page_value values[VALUES_MAX] = {
        {"address", item->address},
        {"asked", when(outcome != BL_OUTCOME_NONE)},
        {"removed", when(outcome == BL_OUTCOME_REMOVED)},
        {"exempted", when(outcome == BL_OUTCOME_EXEMPTED)},
        {"not_listed",
         when(outcome == BL_OUTCOME_NOT_LISTED || outcome == BL_OUTCOME_UNCHANGED || outcome == BL_OUTCOME_APPLIED)},
        {"by_person", when(refused && item->refusal == BL_REFUSAL_OPERATOR_LISTING)},
        {"by_rule", when(refused && item->refusal != BL_REFUSAL_OPERATOR_LISTING)},
        {"detail", refused ? item->detail : NULL},
        {"state", when(state != NULL)},
        {"listed", when(state != NULL && state->listed && !state->closed)},
        {"closed", when(state != NULL && state->listed && state->closed)},
        {"clear", when(state != NULL && !state->listed)},
        {"prefix", state == NULL ? NULL : state->prefix},
        {"code", code},
    };
    const struct bl_page row = {page->language, page->html, values, VALUES_MAX - 2};
    size_t length;
    char *text;

    if (state != NULL)
        (void)snprintf(code, sizeof(code), "%u", state->code);
    text = bl_page_render(&row, page->html ? "range_row.html" : "range_row.txt", &length);
    if (text != NULL)
        (void)fwrite(text, 1, length, out);
    free(text);
}

char *bl_rows_render(const struct bl_page *page, const struct bl_control_items *items,
                     const struct bl_control_state *states)
{
    char *rows = NULL;
    size_t length;
    FILE *out = open_memstream(&rows, &length);

    if (out == NULL)
        return NULL;
    for (size_t i = 0; i < items->n; i++)
        put_row(page, &items->items[i], states == NULL ? NULL : &states[i], out);
    if (fclose(out) == 0)
        return rows;
    free(rows);
    return NULL;
}
