/* See burst_figures.h. */
#include "burst_figures.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <rte_cycles.h>

#include "bounceline/error.h"

static const char *const family_names[BURST_FAMILIES] = {"ipv4", "ipv6"};

const char *burst_figures_row_name(unsigned row)
{
    static const char *const names[] = {"dialogue", "lan", "forward", "receive", "allowed-two"};

    return row < TRAFFIC_CLASSES ? traffic_kinds[row].name : names[row - TRAFFIC_CLASSES];
}

static const char *row_text(unsigned row)
{
    static const char *const texts[] = {"a dialogue: 8 frames in, 7 out", "from the servers",
                                        "no worker: receive and send", "no worker: receive and free",
                                        "allowed SMTP, two workers at once"};

    return row < TRAFFIC_CLASSES ? traffic_kinds[row].text : texts[row - TRAFFIC_CLASSES];
}

static bool has_row(const struct burst_figures *figures, unsigned row)
{
    return (figures->rows >> row & 1) != 0;
}

static void print_rows(const struct burst_figures *figures, unsigned list, unsigned family)
{
    double cycles = (double)rte_get_tsc_hz() / 1e9;

    printf("\n%s, list of %s (%zu entries, table %.1f MiB)\n  %-44s %8s %17s %10s\n", family_names[family],
           figures->lists[list].name, figures->lists[list].n_entries[family],
           (double)figures->lists[list].table_bytes / (1 << 20), "a packet", "ns", "95 %", "TSC cycles");
    for (unsigned row = 0; row < BURST_ROWS; row++) {
        struct measure_summary sum = measure_summarize(figures->ns[list][family][row], figures->n_rounds);

        if (has_row(figures, row))
            printf("  %-44s %8.1f %8.1f .. %-6.1f %9.0f\n", row_text(row), sum.median, sum.low, sum.high,
                   sum.median * cycles);
    }
}

/* The mean of all turns, the clock's own reads in it: for shares, not for sums. */
static void print_steps(const struct burst_figures *figures, unsigned list, unsigned family)
{
    static const char *const names[] = {
#define X(suffix, name, text) name,
        BL_STEPS_ALL(X)
#undef X
    };

    printf("\n%s, list of %s: ns a packet by step\n%-12s", family_names[family], figures->lists[list].name, "");
    for (unsigned step = 0; step < BL_STEP_COUNT; step++)
        printf(" %8s", names[step]);
    for (unsigned class = 0; class < TRAFFIC_CLASSES; class ++) {
        if (!has_row(figures, class) || (class != TRAFFIC_SYN && class < TRAFFIC_DIALOGUE))
            continue;
        printf("\n%-12s", class == TRAFFIC_SYN ? "dialogue" : burst_figures_row_name(class));
        for (unsigned step = 0; step < BL_STEP_COUNT; step++)
            printf(" %8.1f", figures->steps[list][family][class][step]);
    }
    printf("\n");
}

/* One row over another of the same rounds. */
struct ratio {
    char name[64];
    const char *peer;
    double values[MEASURE_ROUNDS_MAX];
};

static void tell_ratio(const struct burst_figures *figures, const struct ratio *ratio, FILE *csv)
{
    struct measure_summary sum = measure_summarize(ratio->values, figures->n_rounds);

    printf("  %-28s %-36s %6.3f x  %.3f .. %.3f\n", ratio->name, ratio->peer, sum.median, sum.low, sum.high);
    if (csv != NULL)
        fprintf(csv, "%s,%s,ratio,x,%.4f,%.4f,%.4f\n", ratio->name, ratio->peer, sum.median, sum.low, sum.high);
}

/* Rates, so that more is better. */
static void tell_ratios(const struct burst_figures *figures, unsigned list, unsigned family, FILE *csv)
{
    const double(*ns)[MEASURE_ROUNDS_MAX] = figures->ns[list][family];
    struct ratio ratio;

    if (has_row(figures, BURST_ROW_ALLOWED_TWO) && has_row(figures, TRAFFIC_ALLOWED)) {
        snprintf(ratio.name, sizeof(ratio.name), "allowed %s %s", family_names[family], figures->lists[list].name);
        ratio.peer = "two workers/one";
        for (unsigned k = 0; k < figures->n_rounds; k++)
            ratio.values[k] = 2 * ns[TRAFFIC_ALLOWED][k] / ns[BURST_ROW_ALLOWED_TWO][k];
        tell_ratio(figures, &ratio, csv);
    }
    if (list == 0 || !has_row(figures, TRAFFIC_MIXED))
        return;
    snprintf(ratio.name, sizeof(ratio.name), "mixed %s", family_names[family]);
    ratio.peer = list == 1 ? "list of 1 M/list of 1.5 k" : "list of 10 M/list of 1.5 k";
    for (unsigned k = 0; k < figures->n_rounds; k++)
        ratio.values[k] = figures->ns[0][family][TRAFFIC_MIXED][k] / ns[TRAFFIC_MIXED][k];
    tell_ratio(figures, &ratio, csv);
}

static void write_rows(const struct burst_figures *figures, unsigned list, unsigned family, FILE *csv)
{
    for (unsigned row = 0; row < BURST_ROWS; row++) {
        struct measure_summary sum = measure_summarize(figures->ns[list][family][row], figures->n_rounds);

        if (has_row(figures, row))
            fprintf(csv, "%s %s %s,bounceline,a packet,ns,%.2f,%.2f,%.2f\n", burst_figures_row_name(row),
                    family_names[family], figures->lists[list].name, sum.median, sum.low, sum.high);
    }
}

int burst_figures_tell(const struct burst_figures *figures, const char *csv_path)
{
    unsigned n = figures->n_lists * BURST_FAMILIES;
    FILE *csv = NULL;

    if (csv_path != NULL && (csv = fopen(csv_path, "we")) == NULL) {
        fprintf(stderr, "bench_burst: %s: %s\n", csv_path, strerror(errno));
        return BL_EIO;
    }
    for (unsigned i = 0; i < n; i++)
        print_rows(figures, i / BURST_FAMILIES, i % BURST_FAMILIES);
    for (unsigned i = 0; i < n && BL_STEPS_ON; i++)
        print_steps(figures, i / BURST_FAMILIES, i % BURST_FAMILIES);
    if (csv != NULL) {
        fprintf(csv, "case,contender,measure,unit,value,low,high\n");
        for (unsigned i = 0; i < n; i++)
            write_rows(figures, i / BURST_FAMILIES, i % BURST_FAMILIES, csv);
    }
    printf("\npacket rates, within a round:\n");
    for (unsigned i = 0; i < n; i++)
        tell_ratios(figures, i / BURST_FAMILIES, i % BURST_FAMILIES, csv);
    return csv != NULL && fclose(csv) != 0 ? BL_EIO : BL_OK;
}
