/* The progress bar; see progress.h.
 *
 * Only two sequences are used, carriage return and "erase to the end of the line": every terminal since the VT100 knows
 * them, and a width need not be known as long as the line is short (under 80 columns). */
#include "controlplane/cli/progress.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "controlplane/clock.h"

enum { BAR_CELLS = 30, REDRAW_MS = 100 };

void bl_progress_init(struct bl_progress *progress, FILE *out)
{
    *progress = (struct bl_progress){.out = isatty(fileno(out)) == 1 ? out : NULL};
}

void bl_progress_step(struct bl_progress *progress, const char *label)
{
    progress->label = label;
    progress->started_ms = bl_clock_monotonic_ms();
    progress->drawn_ms = 0;
}

static void draw_bar(FILE *out, uint64_t done, uint64_t total)
{
    char cells[BAR_CELLS + 1];
    uint64_t part = done < total ? done : total;
    /* In doubles: done * 30 of a huge file would not fit. */
    int n_full = (int)((double)part / (double)total * BAR_CELLS);

    memset(cells, '#', (size_t)n_full);
    memset(cells + n_full, '.', (size_t)(BAR_CELLS - n_full));
    cells[BAR_CELLS] = '\0';
    (void)fprintf(out, " [%s] %3d %%", cells, (int)((double)part / (double)total * 100));
}

void bl_progress_update(struct bl_progress *progress, uint64_t done, uint64_t total, uint64_t n_items,
                        const char *items)
{
    int64_t now;

    if (progress->out == NULL)
        return;
    /* Drawing costs more than reading a block: a large file would spend its time on the terminal. */
    now = bl_clock_monotonic_ms();
    if (progress->drawn_ms != 0 && now - progress->drawn_ms < REDRAW_MS)
        return;
    progress->drawn_ms = now;
    progress->visible = true;
    (void)fprintf(progress->out, "\r\033[K%s", progress->label);
    if (total != 0)
        draw_bar(progress->out, done, total);
    (void)fprintf(progress->out, "  %" PRIu64 " %s  %" PRId64 ".%" PRId64 " s", n_items, items,
                  (now - progress->started_ms) / 1000, (now - progress->started_ms) % 1000 / 100);
    (void)fflush(progress->out);
}

void bl_progress_fini(struct bl_progress *progress)
{
    if (progress->visible) {
        (void)fputs("\r\033[K", progress->out);
        (void)fflush(progress->out);
    }
    progress->visible = false;
}
