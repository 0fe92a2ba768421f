/* Which layers end by themselves; see list_due.h. */
#include "controlplane/list_due.h"

#include <stdlib.h>

void bl_list_due_fini(struct bl_list_due *due)
{
    free(due->times_ms);
    free(due->cells);
    *due = (struct bl_list_due){.cells = NULL};
}

/* By an eighth: at 10 M layers that end, half as much again would be 6 bytes of nothing for each. */
int bl_list_due_reserve(struct bl_list_due *due)
{
    size_t n_max = due->n_max + due->n_max / 8 + 64;
    int64_t *times_ms;
    uint32_t *cells;

    if (due->n < due->n_max)
        return BL_OK;
    if (n_max >= BL_LIST_LAYER_DEAD)
        return BL_ENOMEM;
    times_ms = realloc(due->times_ms, n_max * sizeof(*times_ms));
    if (times_ms == NULL)
        return BL_ENOMEM;
    due->times_ms = times_ms;
    cells = realloc(due->cells, n_max * sizeof(*cells));
    if (cells == NULL)
        return BL_ENOMEM;
    due->cells = cells;
    due->n_max = n_max;
    return BL_OK;
}

/* Both sides of the same fact: who is here, and where it is. */
static void put(struct bl_list_due *due, const struct bl_list_layers *layers, size_t place, uint32_t cell,
                int64_t time_ms)
{
    due->times_ms[place] = time_ms;
    due->cells[place] = cell;
    bl_list_layer_at(layers, cell)->due = (uint32_t)place;
}

static void move(struct bl_list_due *due, const struct bl_list_layers *layers, size_t from, size_t to)
{
    put(due, layers, to, due->cells[from], due->times_ms[from]);
}

/* Puts @cell where it belongs, down from the free @place. */
static void sink(struct bl_list_due *due, const struct bl_list_layers *layers, size_t place, uint32_t cell,
                 int64_t time_ms)
{
    while (!due->is_pile) {
        size_t below = place * 2 + 1;

        if (below + 1 < due->n && due->times_ms[below + 1] < due->times_ms[below])
            below++;
        if (below >= due->n || due->times_ms[below] >= time_ms)
            break;
        move(due, layers, below, place);
        place = below;
    }
    put(due, layers, place, cell, time_ms);
}

/* Puts @cell where it belongs, up or down from the free @place. */
static void settle(struct bl_list_due *due, const struct bl_list_layers *layers, size_t place, uint32_t cell,
                   int64_t time_ms)
{
    while (!due->is_pile && place > 0 && due->times_ms[(place - 1) / 2] > time_ms) {
        move(due, layers, (place - 1) / 2, place);
        place = (place - 1) / 2;
    }
    sink(due, layers, place, cell, time_ms);
}

void bl_list_due_add(struct bl_list_due *due, const struct bl_list_layers *layers, uint32_t cell, int64_t time_ms)
{
    /* Its own place must hold something comparable while the others move. */
    due->times_ms[due->n] = time_ms;
    due->n++;
    settle(due, layers, due->n - 1, cell, time_ms);
}

void bl_list_due_remove(struct bl_list_due *due, const struct bl_list_layers *layers, uint32_t number)
{
    struct bl_list_cell *cell = bl_list_layer_at(layers, number);
    size_t place = cell->due;
    size_t last = --due->n;

    cell->due = BL_LIST_LAYER_NOT_DUE;
    /* What was last may belong above its new place, not only below: it comes from another branch. */
    if (place != last)
        settle(due, layers, place, due->cells[last], due->times_ms[last]);
}

void bl_list_due_order(struct bl_list_due *due, const struct bl_list_layers *layers)
{
    due->is_pile = false;
    for (size_t place = due->n / 2; place > 0; place--)
        sink(due, layers, place - 1, due->cells[place - 1], due->times_ms[place - 1]);
}

/* Out and in again: what is due is not done until its record is on disk, and may be asked for again. What is out waits in
 * the places that get free behind the heap. */
size_t bl_list_due_find(struct bl_list_due *due, const struct bl_list_layers *layers, int64_t now_ms, uint32_t *cells,
                        size_t max)
{
    size_t n = 0;

    while (n < max && due->n != 0 && due->times_ms[0] <= now_ms) {
        int64_t time_ms = due->times_ms[0];

        cells[n] = due->cells[0];
        bl_list_due_remove(due, layers, cells[n]);
        due->cells[due->n] = cells[n++];
        due->times_ms[due->n] = time_ms;
    }
    for (size_t i = 0; i < n; i++)
        bl_list_due_add(due, layers, due->cells[due->n], due->times_ms[due->n]);
    return n;
}

/* Nothing below a cell that is not due is: the walk goes back up from there. Places count from 1 here, so that halving is
 * the way up. */
size_t bl_list_due_count(const struct bl_list_due *due, int64_t now_ms, size_t max)
{
    size_t n = 0;
    size_t at = 1;

    while (n < max) {
        if (at <= due->n && due->times_ms[at - 1] <= now_ms) {
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
