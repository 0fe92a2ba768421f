/* Which layers end by themselves; see list_due.h. */
#include "controlplane/list_due.h"

#include <stdlib.h>

void bl_list_due_fini(struct bl_list_due *due)
{
    free(due->cells);
    *due = (struct bl_list_due){NULL, 0, 0};
}

int bl_list_due_reserve(struct bl_list_due *due)
{
    size_t n_max = due->n_max + due->n_max / 2 + 64;
    uint32_t *cells;

    if (due->n < due->n_max)
        return BL_OK;
    if (n_max >= BL_LIST_LAYER_NOT_DUE)
        return BL_ENOMEM;
    cells = realloc(due->cells, n_max * sizeof(*cells));
    if (cells == NULL)
        return BL_ENOMEM;
    due->cells = cells;
    due->n_max = n_max;
    return BL_OK;
}

/* The time stands in the cell: a place in the heap costs 4 bytes, and most layers never end. */
static int64_t time_at(const struct bl_list_due *due, const struct bl_list_layers *layers, size_t place)
{
    return bl_list_layer_at(layers, due->cells[place])->expires_at_ms;
}

/* Both sides of the same fact: who is here, and where it is. */
static void put(struct bl_list_due *due, const struct bl_list_layers *layers, size_t place, uint32_t cell)
{
    due->cells[place] = cell;
    bl_list_layer_at(layers, cell)->due = (uint32_t)place;
}

/* Moves @cell from the free @place to where it belongs, up or down. */
static void settle(struct bl_list_due *due, const struct bl_list_layers *layers, size_t place, uint32_t cell)
{
    int64_t time_ms = bl_list_layer_at(layers, cell)->expires_at_ms;

    while (place > 0 && time_at(due, layers, (place - 1) / 2) > time_ms) {
        put(due, layers, place, due->cells[(place - 1) / 2]);
        place = (place - 1) / 2;
    }
    for (;;) {
        size_t below = place * 2 + 1;

        if (below + 1 < due->n && time_at(due, layers, below + 1) < time_at(due, layers, below))
            below++;
        if (below >= due->n || time_at(due, layers, below) >= time_ms)
            break;
        put(due, layers, place, due->cells[below]);
        place = below;
    }
    put(due, layers, place, cell);
}

void bl_list_due_add(struct bl_list_due *due, const struct bl_list_layers *layers, uint32_t cell)
{
    /* Its own place must hold something comparable while the others move. */
    due->cells[due->n++] = cell;
    settle(due, layers, due->n - 1, cell);
}

void bl_list_due_remove(struct bl_list_due *due, const struct bl_list_layers *layers, uint32_t number)
{
    struct bl_list_cell *cell = bl_list_layer_at(layers, number);
    size_t place = cell->due;
    uint32_t last = due->cells[--due->n];

    cell->due = BL_LIST_LAYER_NOT_DUE;
    /* What was last may belong above its new place, not only below: it comes from another branch. */
    if (place != due->n)
        settle(due, layers, place, last);
}

/* Out and in again: what is due is not done until its record is on disk, and may be asked for again. */
size_t bl_list_due_find(struct bl_list_due *due, const struct bl_list_layers *layers, int64_t now_ms, uint32_t *cells,
                        size_t max)
{
    size_t n = 0;

    while (n < max && due->n != 0 && time_at(due, layers, 0) <= now_ms) {
        cells[n++] = due->cells[0];
        bl_list_due_remove(due, layers, due->cells[0]);
    }
    for (size_t i = 0; i < n; i++)
        bl_list_due_add(due, layers, cells[i]);
    return n;
}

/* Nothing below a cell that is not due is: the walk goes back up from there. Places count from 1 here, so that halving is
 * the way up. */
size_t bl_list_due_count(const struct bl_list_due *due, const struct bl_list_layers *layers, int64_t now_ms, size_t max)
{
    size_t n = 0;
    size_t at = 1;

    while (n < max) {
        if (at <= due->n && time_at(due, layers, at - 1) <= now_ms) {
            n++;
            at *= 2;
            continue;
        }
        /* Up as long as it is a right child, then to the sibling. */
        while ((at & 1) != 0 && at != 1)
            at /= 2;
        if (at == 1)
            break;
        at++;
    }
    return n;
}
