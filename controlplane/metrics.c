/* The page as text; see metrics.h. */
#define _GNU_SOURCE /* open_memstream */
#include "controlplane/metrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bounceline/verdict.h"
#include "bounceline/version.h"

static const char *const outcome_names[BL_OUTCOME_COUNT] = {
    [BL_OUTCOME_APPLIED] = "applied",   [BL_OUTCOME_UNCHANGED] = "unchanged",   [BL_OUTCOME_REMOVED] = "removed",
    [BL_OUTCOME_EXEMPTED] = "exempted", [BL_OUTCOME_NOT_LISTED] = "not_listed", [BL_OUTCOME_REFUSED] = "refused",
};

static const char *const method_names[BL_AUTHORIZE_METHOD_COUNT + 1] = {
    [BL_AUTHORIZE_APPLY] = "Apply",
    [BL_AUTHORIZE_LOOKUP] = "Lookup",
    [BL_AUTHORIZE_GET_STATUS] = "GetStatus",
    [BL_AUTHORIZE_LIST_REJECTS] = "ListRejects",
    [BL_AUTHORIZE_GET_TOP] = "GetTop",
    [BL_AUTHORIZE_PUSH] = "Push",
    [BL_AUTHORIZE_WATCH] = "Watch",
    [BL_AUTHORIZE_EXPORT] = "Export",
    [BL_AUTHORIZE_HISTORY] = "History",
    [BL_AUTHORIZE_HEALTH] = "Health/Check",
    [BL_AUTHORIZE_HEALTH_WATCH] = "Health/Watch",
    [BL_AUTHORIZE_REFLECTION] = "ServerReflectionInfo",
    [BL_AUTHORIZE_METHOD_COUNT] = "other",
};

/* In the order of gRPC's numbers. */
static const char *const status_names[BL_INGEST_STATUSES] = {
    "OK",        "CANCELLED",       "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
    "NOT_FOUND", "ALREADY_EXISTS",  "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
    "ABORTED",   "OUT_OF_RANGE",    "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
    "DATA_LOSS", "UNAUTHENTICATED",
};

static void head(FILE *out, const char *name, const char *type, const char *help)
{
    (void)fprintf(out, "# HELP bounceline_%s %s\n# TYPE bounceline_%s %s\n", name, help, name, type);
}

static void single(FILE *out, const char *name, const char *type, const char *help, uint64_t value)
{
    head(out, name, type, help);
    (void)fprintf(out, "bounceline_%s %" PRIu64 "\n", name, value);
}

/* The format's three escapes. */
static void put_label(FILE *out, const char *name, const char *value)
{
    (void)fprintf(out, "%s=\"", name);
    for (; *value != '\0'; value++) {
        if (*value == '\n')
            (void)fputs("\\n", out);
        else
            (void)fprintf(out, "%s%c", *value == '\\' || *value == '"' ? "\\" : "", *value);
    }
    (void)fputc('"', out);
}

static void put_sample(FILE *out, const char *metric, const char *name, const char *value, uint64_t number)
{
    (void)fprintf(out, "bounceline_%s{", metric);
    put_label(out, name, value);
    (void)fprintf(out, "} %" PRIu64 "\n", number);
}

static void put_list(FILE *out, const struct bl_codec_status *status)
{
    const struct bl_list_counts *counts = &status->counts;

    single(out, "durable_serial", "gauge", "Last serial that is on disk.", status->durable_serial);
    single(out, "enforced_serial", "gauge", "Lowest serial that every connected data plane enforces; 0 without one.",
           status->enforced_serial);
    single(out, "listings", "gauge", "Listings: prefix and source.", counts->n_listings);
    single(out, "delists", "gauge", "Delists that suppress a listing.", counts->n_delists);
    single(out, "exemptions", "gauge", "Exemptions.", counts->n_exemptions);
    head(out, "effective_entries", "gauge", "Entries of the effective set, which the data planes enforce.");
    put_sample(out, "effective_entries", "family", "ipv4", counts->n_effective_ipv4);
    put_sample(out, "effective_entries", "family", "ipv6", counts->n_effective_ipv6);
    single(out, "classes", "gauge", "Classes in use, of 62.", counts->n_classes);
}

static void put_histogram(FILE *out, const char *name, const char *help, const struct bl_latency *latency)
{
    uint64_t n = 0;

    head(out, name, "histogram", help);
    for (int i = 0; i < BL_LATENCY_BOUNDS; i++) {
        n += atomic_load_explicit(&latency->n[i], memory_order_relaxed);
        (void)fprintf(out, "bounceline_%s_bucket{le=\"%g\"} %" PRIu64 "\n", name,
                      (double)bl_latency_bounds_us[i] / 1000000, n);
    }
    n += atomic_load_explicit(&latency->n[BL_LATENCY_BOUNDS], memory_order_relaxed);
    (void)fprintf(out, "bounceline_%s_bucket{le=\"+Inf\"} %" PRIu64 "\n", name, n);
    (void)fprintf(out, "bounceline_%s_sum %.6f\n", name,
                  (double)atomic_load_explicit(&latency->sum_us, memory_order_relaxed) / 1000000);
    (void)fprintf(out, "bounceline_%s_count %" PRIu64 "\n", name, n);
}

static void put_updates(FILE *out, const struct bl_metrics *metrics)
{
    const struct bl_writer_counts *writer = metrics->writer;

    head(out, "updates_total", "counter", "Updates that were decided, by outcome.");
    for (int i = BL_OUTCOME_APPLIED; i < BL_OUTCOME_COUNT; i++)
        put_sample(out, "updates_total", "outcome", outcome_names[i], writer->n_outcomes[i]);
    single(out, "held_batches_total", "counter", "Batches held until somebody says force.", writer->n_held);
    single(out, "failed_batches_total", "counter",
           "Batches that got an error: disk full, another serial than expected, a session's number used twice.",
           writer->n_failed);
    single(out, "queued_batches", "gauge", "Batches that wait for the writer.", writer->n_queued);
    single(out, "queued_bytes", "gauge", "Their bytes.", writer->n_queued_bytes);
    single(out, "write_fault", "gauge", "1 while writes are refused (disk full).",
           metrics->status->write_fault[0] != '\0');
    single(out, "expiry_hold", "gauge", "1 while nothing expires by the wall clock (expiry_hold_percent).",
           metrics->status->expiry_hold[0] != '\0');
    single(out, "log_bytes", "gauge", "Bytes of the log on disk.", metrics->log_bytes);
    put_histogram(out, "durable_seconds", "From a batch's arrival until it is on disk and answered.", metrics->durable);
    put_histogram(out, "enforced_seconds",
                  "From the arrival of a commit's oldest batch until every connected data plane enforces it.",
                  metrics->enforced);
    single(out, "enforced_unmeasured_total", "counter",
           "Commits whose time until enforced is not measured: no data plane was connected, or too many waited.",
           metrics->n_unmeasured);
}

static void put_callers(FILE *out, const struct bl_metrics *metrics)
{
    head(out, "limit_refused_updates_total", "counter", "Updates over an actor's limits.");
    for (size_t i = 0; i < metrics->n_actors; i++)
        put_sample(out, "limit_refused_updates_total", "actor", metrics->actors[i].name, metrics->actors[i].n_refused);
    head(out, "calls_total", "counter", "Calls that have ended, by method and status.");
    for (int method = 0; method <= BL_AUTHORIZE_METHOD_COUNT; method++)
        for (int status = 0; status < BL_INGEST_STATUSES; status++)
            /* A method's OK is always there, so that a rate has a beginning; the rest as it comes. */
            if (metrics->ingest->n_calls[method][status] != 0 || (status == 0 && method != BL_AUTHORIZE_METHOD_COUNT))
                (void)fprintf(out, "bounceline_calls_total{method=\"%s\",status=\"%s\"} %" PRIu64 "\n",
                              method_names[method], status_names[status], metrics->ingest->n_calls[method][status]);
}

/* ---- Data planes ---- */

static void put_of_plane(FILE *out, const char *metric, const struct bl_codec_dataplane *plane)
{
    (void)fprintf(out, "bounceline_%s{", metric);
    put_label(out, "dataplane", plane->name);
}

/* One metric with a value a data plane. */
struct plane_metric {
    const char *name;
    const char *type;
    const char *help;
    uint64_t (*value)(const struct bl_codec_dataplane *plane);
};

static uint64_t connected(const struct bl_codec_dataplane *plane)
{
    return plane->connected;
}

static uint64_t serial(const struct bl_codec_dataplane *plane)
{
    return plane->report.serial;
}

static uint64_t entries(const struct bl_codec_dataplane *plane)
{
    return plane->report.n_entries_ipv4 + plane->report.n_entries_ipv6;
}

static uint64_t resyncs(const struct bl_codec_dataplane *plane)
{
    return plane->n_resyncs;
}

static uint64_t digest_mismatches(const struct bl_codec_dataplane *plane)
{
    return plane->n_digest_mismatches;
}

static const struct plane_metric plane_metrics[] = {
    {"dataplane_connected", "gauge", "1 while the data plane is connected.", connected},
    {"dataplane_serial", "gauge", "Serial that all of its workers enforce, as it reported last.", serial},
    {"dataplane_entries", "gauge", "Entries of its table.", entries},
    {"dataplane_resyncs_total", "counter", "Snapshots it had to be sent.", resyncs},
    {"dataplane_digest_mismatches_total", "counter", "Times that its list was not the one of its serial.",
     digest_mismatches},
};

static void put_planes(FILE *out, const struct bl_codec_status *status)
{
    for (size_t i = 0; i < sizeof(plane_metrics) / sizeof(plane_metrics[0]); i++) {
        const struct plane_metric *metric = &plane_metrics[i];

        head(out, metric->name, metric->type, metric->help);
        for (size_t k = 0; k < status->n_dataplanes; k++) {
            put_of_plane(out, metric->name, &status->dataplanes[k]);
            (void)fprintf(out, "} %" PRIu64 "\n", metric->value(&status->dataplanes[k]));
        }
    }
    head(out, "dataplane_report_age_seconds", "gauge", "Since its last report, or its hello.");
    for (size_t k = 0; k < status->n_dataplanes; k++) {
        put_of_plane(out, "dataplane_report_age_seconds", &status->dataplanes[k]);
        (void)fprintf(out, "} %.3f\n", (double)status->dataplanes[k].age_ms / 1000);
    }
}

static void put_worker_metric(FILE *out, const struct bl_codec_status *status, const char *name, size_t offset)
{
    for (size_t i = 0; i < status->n_dataplanes; i++) {
        const struct bl_codec_dataplane *plane = &status->dataplanes[i];

        for (uint32_t k = 0; k < plane->report.n_workers; k++) {
            const struct bl_codec_sync_worker *worker = &plane->report.workers[k];
            uint64_t value;

            memcpy(&value, (const char *)worker + offset, sizeof(value));
            put_of_plane(out, name, plane);
            (void)fprintf(out, ",worker=\"%" PRIu32 "\"} %" PRIu64 "\n", worker->worker, value);
        }
    }
}

static void put_workers(FILE *out, const struct bl_codec_status *status)
{
    head(out, "worker_serial", "gauge", "Serial that the worker enforces.");
    put_worker_metric(out, status, "worker_serial", offsetof(struct bl_codec_sync_worker, serial));
    head(out, "worker_received_packets_total", "counter", "Packets that the worker received.");
    put_worker_metric(out, status, "worker_received_packets_total", offsetof(struct bl_codec_sync_worker, rx_packets));
    head(out, "worker_sent_packets_total", "counter", "Packets that the worker sent.");
    put_worker_metric(out, status, "worker_sent_packets_total", offsetof(struct bl_codec_sync_worker, tx_packets));
}

/* A name that a data plane says: nothing with a dot or a colon in it, so no address. */
static bool is_word(const char *name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789_";

    return name[0] >= 'a' && name[0] <= 'z' && name[strspn(name, letters)] == '\0';
}

/* @reasons: the packets by reason; else everything that is no reason. */
static void put_counters(FILE *out, const struct bl_codec_status *status, bool reasons)
{
    const char *metric = reasons ? "packets_total" : "dataplane_events_total";

    head(out, metric, "counter",
         reasons ? "Packets by what became of them." : "What else a data plane counts: see the README.");
    for (size_t i = 0; i < status->n_dataplanes; i++) {
        const struct bl_codec_dataplane *plane = &status->dataplanes[i];

        for (uint32_t k = 0; k < plane->report.n_counters; k++) {
            const struct bl_codec_sync_counter *counter = &plane->report.counters[k];

            if ((bl_verdict_find_reason(counter->name) != BL_REASON_COUNT) != reasons || !is_word(counter->name))
                continue;
            put_of_plane(out, metric, plane);
            (void)fprintf(out, ",%s=\"%s\"} %" PRIu64 "\n", reasons ? "reason" : "event", counter->name,
                          counter->value);
        }
    }
}

int bl_metrics_write(const struct bl_metrics *metrics, char **text, size_t *length)
{
    FILE *out = open_memstream(text, length);
    bool failed;

    if (out == NULL)
        return BL_ENOMEM;
    head(out, "build_info", "gauge", "The version that runs.");
    put_sample(out, "build_info", "version", BL_VERSION_TEXT, 1);
    head(out, "uptime_seconds", "gauge", "Since the control plane's start.");
    (void)fprintf(out, "bounceline_uptime_seconds %.3f\n", (double)metrics->status->uptime_ms / 1000);
    put_list(out, metrics->status);
    put_updates(out, metrics);
    put_callers(out, metrics);
    put_planes(out, metrics->status);
    put_workers(out, metrics->status);
    put_counters(out, metrics->status, true);
    put_counters(out, metrics->status, false);
    failed = ferror(out) != 0;
    if (fclose(out) == 0 && !failed)
        return BL_OK;
    free(*text);
    return BL_ENOMEM;
}
