/* See loadgen_report.h. */
#include "perf/loadgen_report.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* Of forged and mutated segments so many may hit by chance: 2 or 3 epochs of 65,536 good numbers in 2^32. */
enum { GUESSES_ANYWAY = 10, GUESSES_ONE_IN = 5000 };

static const struct {
    const char *name;
    size_t offset;
} latencies[] = {
    {"syn_ack", offsetof(struct loadgen_tally, syn_ack_ns)},
    {"reply", offsetof(struct loadgen_tally, reply_ns)},
    {"dialogue", offsetof(struct loadgen_tally, dialogue_ns)},
    {"passed", offsetof(struct loadgen_tally, passed_ns)},
};

enum { N_LATENCIES = sizeof(latencies) / sizeof(latencies[0]) };

static const struct histogram *latency(const struct loadgen_tally *tally, unsigned i)
{
    return (const struct histogram *)(const void *)((const char *)tally + latencies[i].offset);
}

static double us(const struct histogram *histogram, double quantile)
{
    return (double)histogram_quantile(histogram, quantile) / 1000;
}

bool loadgen_report_guesses_are_wrong(const struct loadgen_tally *tally)
{
    uint64_t n = tally->begun[LOADGEN_KIND_FORGED] + tally->begun[LOADGEN_KIND_MUTATED];

    return tally->n_guessed > GUESSES_ANYWAY + n / GUESSES_ONE_IN;
}

static void print_trial(const struct loadgen_result *result)
{
    printf("  %10.0f a second: %" PRIu64 " begun in %.2f s, %" PRIu64 " of %" PRIu64
           " to the end, %.4f %% lost; %" PRIu64 " refused by the port; at most %.0f us behind%s\n",
           result->rate, result->n_begun, result->seconds, result->n_completed, result->n_expected,
           result->loss_percent, result->n_refused, result->behind_max_ns / 1000,
           result->behind ? ": the generator was the limit" : "");
}

static void print_counts(const struct loadgen_tally *tally)
{
    for (enum loadgen_kind kind = 0; kind < LOADGEN_N_KINDS; kind++) {
        if (tally->begun[kind] == 0)
            continue;
        printf("  %-9s %10" PRIu64 " begun", loadgen_options_kind_text(kind), tally->begun[kind]);
        if (tally->expected[kind] != 0)
            printf(", %" PRIu64 " of %" PRIu64 " to the end", tally->completed[kind], tally->expected[kind]);
        if (tally->passed[kind] != 0)
            printf(", %" PRIu64 " passed as they were", tally->passed[kind]);
        putchar('\n');
    }
    printf("  steps:");
    for (enum loadgen_step step = 0; step < LOADGEN_N_STEPS; step++)
        printf(" %s %" PRIu64, loadgen_client_step_text(step), tally->steps[step]);
    printf("\n  %" PRIu64 " repeated, %" PRIu64 " late, %" PRIu64 " guessed, %" PRIu64 " to mutants, %" PRIu64
           " foreign, %" PRIu64 " forgotten\n",
           tally->n_repeated, tally->n_late, tally->n_guessed, tally->n_mutants, tally->n_foreign, tally->n_forgotten);
}

void loadgen_report_text(const struct loadgen *loadgen, const struct loadgen_search *search)
{
    const struct loadgen_tally *tally = &loadgen->check.tally;

    for (unsigned i = 0; i < search->n_trials; i++)
        print_trial(&search->trials[i]);
    if (loadgen->options.search && search->best >= 0)
        printf("highest rate with at most %g %% lost: %.0f a second%s\n", loadgen->options.loss_percent,
               search->trials[search->best].rate, search->at_the_limit ? ", the highest asked for (--rate)" : "");
    else if (loadgen->options.search)
        printf("no rate from %.0f a second on with at most %g %% lost\n", loadgen->options.rate_min,
               loadgen->options.loss_percent);
    printf("the last trial:\n");
    print_counts(tally);
    for (unsigned i = 0; i < N_LATENCIES; i++) {
        const struct histogram *histogram = latency(tally, i);

        if (histogram->n != 0)
            printf("  %-8s us: p50 %.1f, p90 %.1f, p99 %.1f, p99.9 %.1f, max %.1f\n", latencies[i].name,
                   us(histogram, 0.5), us(histogram, 0.9), us(histogram, 0.99), us(histogram, 0.999),
                   (double)histogram->max / 1000);
    }
    printf("%" PRIu64 " wrong answers", tally->n_wrong);
    for (enum loadgen_wrong wrong = 0; wrong < LOADGEN_N_WRONGS; wrong++)
        if (tally->wrong[wrong] != 0)
            printf(", %" PRIu64 " %s", tally->wrong[wrong], loadgen_check_wrong_text(wrong));
    printf("%s\n", loadgen_report_guesses_are_wrong(tally) ? ", and more guesses hit than chance explains" : "");
}

static void json_kinds(const char *name, const uint64_t counts[LOADGEN_N_KINDS])
{
    printf("\"%s\":{", name);
    for (enum loadgen_kind kind = 0; kind < LOADGEN_N_KINDS; kind++)
        printf("%s\"%s\":%" PRIu64, kind == 0 ? "" : ",", loadgen_options_kind_text(kind), counts[kind]);
    printf("},");
}

static void json_trial(const struct loadgen_result *result)
{
    printf("\"rate\":%.3f,\"seconds\":%.6f,\"planned\":%" PRIu64 ",\"begun\":%" PRIu64 ",\"expected\":%" PRIu64
           ",\"completed\":%" PRIu64 ",\"completed_per_s\":%.1f,\"frames_sent\":%" PRIu64
           ",\"frames_received\":%" PRIu64 ",\"refused\":%" PRIu64
           ",\"loss_percent\":%.6f,\"behind_max_us\":%.1f,\"behind\":%s",
           result->rate, result->seconds, result->n_planned, result->n_begun, result->n_expected, result->n_completed,
           result->seconds > 0 ? (double)result->n_completed / result->seconds : 0, result->n_sent, result->n_received,
           result->n_refused, result->loss_percent, result->behind_max_ns / 1000, result->behind ? "true" : "false");
}

static void json_latencies(const struct loadgen_tally *tally)
{
    printf("\"latency_us\":{");
    for (unsigned i = 0; i < N_LATENCIES; i++) {
        const struct histogram *h = latency(tally, i);

        printf("%s\"%s\":{\"n\":%" PRIu64 ",\"p50\":%.3f,\"p90\":%.3f,\"p99\":%.3f,\"p999\":%.3f,\"max\":%.3f}",
               i == 0 ? "" : ",", latencies[i].name, h->n, us(h, 0.5), us(h, 0.9), us(h, 0.99), us(h, 0.999),
               (double)h->max / 1000);
    }
    printf("},");
}

static void json_search(const struct loadgen *loadgen, const struct loadgen_search *search)
{
    printf("\"search\":{\"loss_percent\":%g,\"rate\":", loadgen->options.loss_percent);
    if (search->best >= 0)
        printf("%.3f", search->trials[search->best].rate);
    else
        printf("null");
    printf(",\"limited_by\":\"%s\",\"trials\":[", search->at_the_limit ? "rate" : "loss");
    for (unsigned i = 0; i < search->n_trials; i++) {
        printf("%s{", i == 0 ? "" : ",");
        json_trial(&search->trials[i]);
        putchar('}');
    }
    printf("]},");
}

void loadgen_report_json(const struct loadgen *loadgen, const struct loadgen_search *search)
{
    const struct loadgen_tally *tally = &loadgen->check.tally;

    printf("{\"loadgen\":1,\"seed\":%" PRIu64 ",", loadgen->options.seed);
    if (search->n_trials != 0)
        json_trial(&search->trials[search->n_trials - 1]);
    putchar(',');
    json_kinds("begun_of", tally->begun);
    json_kinds("expected_of", tally->expected);
    json_kinds("completed_of", tally->completed);
    json_kinds("passed_of", tally->passed);
    printf("\"steps\":{");
    for (enum loadgen_step step = 0; step < LOADGEN_N_STEPS; step++)
        printf("%s\"%s\":%" PRIu64, step == 0 ? "" : ",", loadgen_client_step_text(step), tally->steps[step]);
    printf("},\"repeated\":%" PRIu64 ",\"late\":%" PRIu64 ",\"guessed\":%" PRIu64 ",\"mutants\":%" PRIu64
           ",\"foreign\":%" PRIu64 ",\"forgotten\":%" PRIu64 ",",
           tally->n_repeated, tally->n_late, tally->n_guessed, tally->n_mutants, tally->n_foreign, tally->n_forgotten);
    json_latencies(tally);
    if (loadgen->options.search)
        json_search(loadgen, search);
    printf("\"captured\":%" PRIu64 ",\"wrong\":%" PRIu64 ",\"wrong_of\":{", loadgen->capture.n_written, tally->n_wrong);
    for (enum loadgen_wrong wrong = 0; wrong < LOADGEN_N_WRONGS; wrong++)
        printf("%s\"%s\":%" PRIu64, wrong == 0 ? "" : ",", loadgen_check_wrong_text(wrong), tally->wrong[wrong]);
    printf("},\"guesses_are_wrong\":%s}\n", loadgen_report_guesses_are_wrong(tally) ? "true" : "false");
}

void loadgen_report_wrong(const struct loadgen *loadgen)
{
    for (unsigned i = 0; i < loadgen->n_exhibits; i++) {
        const struct loadgen_exhibit *exhibit = &loadgen->exhibits[i];

        fprintf(stderr, "wrong answer %u: %s, on the %s side, %u bytes:", i + 1,
                loadgen_check_wrong_text(exhibit->wrong), exhibit->on_wan ? "internet's" : "servers'", exhibit->length);
        for (unsigned at = 0; at < exhibit->length; at++)
            fprintf(stderr, "%s%02x", at % 32 == 0 ? "\n  " : at % 2 == 0 ? " " : "", exhibit->frame[at]);
        fputc('\n', stderr);
        if (exhibit->expected[0] != '\0')
            fprintf(stderr, "  expected: %s%s", exhibit->expected,
                    exhibit->expected[strlen(exhibit->expected) - 1] == '\n' ? "" : "\n");
    }
}
