/* See report.h. */
#include "report.h"

#include <string.h>

static const double mib = 1024.0 * 1024.0;

const char *report_cell_name(unsigned cell)
{
    return cell == REPORT_TWO_OWN      ? "2 cores, own"
           : cell == REPORT_TWO_SHARED ? "2 cores, shared"
                                       : keys_stream_name((enum keys_stream)cell);
}

static struct measure_summary summary_of(const struct report_result *result, unsigned cell)
{
    return measure_summarize(result->ns[cell], result->n_rounds[cell]);
}

static const struct report_result *find(const struct report *report, const struct contender_kind *kind, unsigned group)
{
    for (unsigned i = 0; i < report->n_results; i++)
        if (report->results[i].kind == kind && report->results[i].group == group)
            return &report->results[i];
    return NULL;
}

/* Ours and the floor are measured in each group; their rows stand once. */
static bool is_shown(const struct report_result *result)
{
    return result->group == 0 || (result->kind != &contender_ours && result->kind != &contender_floor);
}

static bool is_peer(const struct report_result *result)
{
    return result->kind != &contender_ours && result->kind != &contender_floor;
}

/* On two cores a peer has one structure for both; ours has a replica each, or one too. */
static unsigned peer_cell(const struct report_result *peer, unsigned cell)
{
    return cell == REPORT_TWO_OWN && is_peer(peer) ? REPORT_TWO_SHARED : cell;
}

/* How many times as long @p above takes as @p below, round by round. @return false when either was not measured. */
static bool ratio(const struct report_result *above, const struct report_result *below, unsigned cell,
                  struct measure_summary *out)
{
    unsigned other = peer_cell(above, cell);
    double ratios[MEASURE_ROUNDS_MAX];
    unsigned n;

    if (above == NULL || below == NULL)
        return false;
    n = above->n_rounds[other] < below->n_rounds[cell] ? above->n_rounds[other] : below->n_rounds[cell];
    for (unsigned i = 0; i < n; i++)
        ratios[i] = above->ns[other][i] / below->ns[cell][i];
    *out = measure_summarize(ratios, n);
    return n > 0;
}

/* The peer that comes closest to ours, or is furthest before it. Peers that answer for hosts alone don't count. */
static const struct report_result *best_peer(const struct report *report, unsigned cell, struct measure_summary *out)
{
    const struct report_result *best = NULL;

    for (unsigned i = 0; i < report->n_results; i++) {
        const struct report_result *result = &report->results[i];
        struct measure_summary now;

        if (!is_peer(result) || result->kind->hosts_only ||
            !ratio(result, find(report, &contender_ours, result->group), cell, &now))
            continue;
        if (best == NULL || now.median < out->median) {
            best = result;
            *out = now;
        }
    }
    return best;
}

static void print_lookups(FILE *out, const struct report *report)
{
    fprintf(out, "\n  ns a lookup: median [95 %% interval of the median], batch %d\n  %-20s", CONTENDER_BURST, "");
    for (unsigned cell = 0; cell < REPORT_CELLS; cell++)
        fprintf(out, " %-20s", report_cell_name(cell));
    fprintf(out, " %s\n", "M/s a core, 30 % hits");
    for (unsigned i = 0; i < report->n_results; i++) {
        const struct report_result *result = &report->results[i];

        if (!is_shown(result))
            continue;
        fprintf(out, "  %-20s", result->label);
        for (unsigned cell = 0; cell < REPORT_CELLS; cell++) {
            struct measure_summary ns = summary_of(result, cell);
            char text[48] = "-";

            if (result->n_rounds[cell] > 0)
                snprintf(text, sizeof(text), "%.1f [%.1f–%.1f]", ns.median, ns.low, ns.high);
            fprintf(out, " %-*s", result->n_rounds[cell] > 0 ? 22 : 20, text); /* the dash takes three bytes */
        }
        if (result->n_rounds[KEYS_HITS] > 0)
            fprintf(out, " %.0f", 1000.0 / summary_of(result, KEYS_HITS).median);
        fputc('\n', out);
    }
}

static void print_times(FILE *out, const struct update_times *times)
{
    char text[32] = "-";

    if (times->n > 0)
        snprintf(text, sizeof(text), "%.2f / %.2f", times->p50, times->p99);
    fprintf(out, " %-17s", text);
}

static void print_costs(FILE *out, const struct report *report)
{
    fprintf(out, "\n  memory, build, and changes on the main core: p50 / p99 in us\n  %-20s %9s %9s %11s %10s", "",
            "MiB read", "MiB all", "bits/entry", "build ms");
    for (unsigned act = 0; act < UPDATE_ACTS; act++)
        fprintf(out, " %-17s", update_act_name((enum update_act)act, report->list->family));
    fputc('\n', out);
    for (unsigned i = 0; i < report->n_results; i++) {
        const struct report_result *result = &report->results[i];

        if (!is_shown(result) || result->variant != 0 || result->kind == &contender_floor)
            continue;
        fprintf(out, "  %-20s %9.2f %9.2f %11.1f %10.1f", result->kind->name, (double)result->memory.lookup / mib,
                (double)result->memory.all / mib, 8.0 * (double)result->memory.lookup / (double)report->list->n,
                result->build_ms);
        for (unsigned act = 0; act < UPDATE_ACTS; act++)
            print_times(out, &result->update.main_us[act]);
        fputc('\n', out);
    }
}

static void print_worker(FILE *out, const struct report *report)
{
    const struct report_result *ours = find(report, &contender_ours, 0);

    if (ours == NULL)
        return;
    fprintf(out, "  a worker's cycles to apply the patch, p50 / p99:");
    for (unsigned act = 0; act < UPDATE_ACTS; act++) {
        const struct update_times *times = &ours->update.worker_cycles[act];

        if (times->n > 0)
            fprintf(out, " %s %.0f / %.0f%s", update_act_name((enum update_act)act, report->list->family), times->p50,
                    times->p99, act + 1 < UPDATE_ACTS ? ";" : "");
    }
    fprintf(out, "; %zu commits asked for a new copy\n", ours->update.n_rebuilt);
    fprintf(out, "  load: %zu entries by set and commit in %.1f ms, then %.1f ms a replica\n", report->list->n,
            ours->build_ms - CONTENDER_CORES_MAX * ours->copy_ms, ours->copy_ms);
}

static const char *claim(const struct measure_summary *ratio)
{
    return ratio->low > 1 ? "faster" : ratio->high < 1 ? "slower" : "noise";
}

static const char *judge(double value_low, double value_high, double bar, bool at_most)
{
    if (at_most)
        return value_high <= bar ? "met" : value_low > bar ? "NOT MET" : "noise";
    return value_low >= bar ? "met" : value_high < bar ? "NOT MET" : "noise";
}

static void print_ratios(FILE *out, const struct report *report)
{
    fprintf(out, "\n  ours against the best peer of the run (its time / ours, round by round)\n");
    for (unsigned cell = 0; cell < REPORT_CELLS; cell++) {
        struct measure_summary now = {0};
        const struct report_result *best = best_peer(report, cell, &now);

        if (best == NULL)
            continue;
        fprintf(out, "  %-18s %5.2fx [%.2f–%.2f] against %-20s %s", report_cell_name(cell), now.median, now.low,
                now.high, best->label, claim(&now));
        if (cell == KEYS_HITS && report->bar.ratio > 0)
            fprintf(out, "; asked %.1fx: %s", report->bar.ratio, judge(now.low, now.high, report->bar.ratio, false));
        fputc('\n', out);
    }
}

static void print_bars(FILE *out, const struct report *report)
{
    const struct report_result *ours = find(report, &contender_ours, 0);
    struct measure_summary now;

    if (ours == NULL)
        return;
    for (unsigned cell = 0; cell < KEYS_STREAMS; cell++) {
        if (!ratio(ours, find(report, &contender_floor, 0), cell, &now))
            continue;
        fprintf(out, "  %-18s %5.2f times \"one access\" [%.2f–%.2f]", report_cell_name(cell), now.median, now.low,
                now.high);
        if (cell == KEYS_MISSES && report->bar.floor > 0)
            fprintf(out, "; asked at most %.1f: %s", report->bar.floor,
                    judge(now.low, now.high, report->bar.floor, true));
        fputc('\n', out);
    }
    if (report->bar.mib > 0) {
        double size = (double)ours->memory.lookup / mib;

        fprintf(out, "  a replica takes %.2f MiB; asked at most %.1f: %s\n", size, report->bar.mib,
                judge(size, size, report->bar.mib, true));
    }
}

void report_print(FILE *out, const struct report *report)
{
    print_lookups(out, report);
    print_costs(out, report);
    print_worker(out, report);
    print_ratios(out, report);
    print_bars(out, report);
    for (unsigned i = 0; i < report->n_notes; i++)
        fprintf(out, "  %s\n", report->notes[i]);
    fputc('\n', out);
    fflush(out);
}

void report_csv_head(FILE *csv)
{
    fprintf(csv, "list,family,entries,structure,measure,of,unit,value,low,high\n");
}

static void csv_line(FILE *csv, const struct report *report, const char *structure, const char *figure,
                     const struct measure_summary *value)
{
    fprintf(csv, "\"%s\",%u,%zu,%s,%s,%.4f,%.4f,%.4f\n", report->list->name, report->list->family, report->list->n,
            structure, figure, value->median, value->low, value->high);
}

static void csv_value(FILE *csv, const struct report *report, const char *structure, const char *figure, double value)
{
    csv_line(csv, report, structure, figure, &(struct measure_summary){value, value, value});
}

static void csv_updates(FILE *csv, const struct report *report, const struct report_result *result)
{
    for (unsigned act = 0; act < UPDATE_ACTS; act++) {
        const char *name = update_act_name((enum update_act)act, report->list->family);
        const struct update_times *main_us = &result->update.main_us[act];
        const struct update_times *worker = &result->update.worker_cycles[act];
        char figure[64];

        if (main_us->n == 0)
            continue;
        snprintf(figure, sizeof(figure), "%s,p50,us", name);
        csv_value(csv, report, result->label, figure, main_us->p50);
        snprintf(figure, sizeof(figure), "%s,p99,us", name);
        csv_value(csv, report, result->label, figure, main_us->p99);
        if (worker->n == 0)
            continue;
        snprintf(figure, sizeof(figure), "%s on a worker,p50,cycles", name);
        csv_value(csv, report, result->label, figure, worker->p50);
        snprintf(figure, sizeof(figure), "%s on a worker,p99,cycles", name);
        csv_value(csv, report, result->label, figure, worker->p99);
    }
}

void report_csv(FILE *csv, const struct report *report)
{
    for (unsigned i = 0; i < report->n_results; i++) {
        const struct report_result *result = &report->results[i];
        char figure[64];

        for (unsigned cell = 0; cell < REPORT_CELLS && is_shown(result); cell++) {
            struct measure_summary ns = summary_of(result, cell);

            snprintf(figure, sizeof(figure), "lookup,\"%s\",ns", report_cell_name(cell));
            if (result->n_rounds[cell] > 0)
                csv_line(csv, report, result->label, figure, &ns);
        }
        for (unsigned cell = 0; cell < REPORT_CELLS && is_peer(result); cell++) {
            struct measure_summary now;

            snprintf(figure, sizeof(figure), "ratio to ours,\"%s\",times", report_cell_name(cell));
            if (ratio(result, find(report, &contender_ours, result->group), cell, &now))
                csv_line(csv, report, result->label, figure, &now);
        }
        if (!is_shown(result) || result->variant != 0)
            continue;
        csv_value(csv, report, result->label, "memory,read,MiB", (double)result->memory.lookup / mib);
        csv_value(csv, report, result->label, "memory,all,MiB", (double)result->memory.all / mib);
        csv_value(csv, report, result->label, "build,all,ms", result->build_ms);
        csv_updates(csv, report, result);
    }
    fflush(csv);
}
