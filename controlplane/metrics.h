/** @file metrics.h
 * The page that Prometheus reads, as text (metrics_server → metrics).
 *
 * Exposition format 0.0.4: HELP and TYPE once a metric, then its samples. Labels are method, status, outcome, kind, actor,
 * dataplane, worker, reason and event: all from tables or the configuration, but for names that a data plane says, of
 * which the page takes those that are words (a letter, then letters, digits and '_'). So no address of a sender can get
 * into a label, and no series grows with traffic.
 *
 * Pure but for the heap: all comes in. Threads: any. */
#ifndef BL_METRICS_H
#define BL_METRICS_H

#include "controlplane/codec_client.h"
#include "controlplane/ingest.h"
#include "controlplane/latency.h"
#include "controlplane/writer.h"

struct bl_metrics_actor {
    const char *name;
    uint64_t n_refused;
};

/** One moment; all borrowed. */
struct bl_metrics {
    const struct bl_codec_status *status;
    const struct bl_writer_counts *writer;
    const struct bl_latency *durable;
    const struct bl_latency *enforced;
    uint64_t n_unmeasured; /**< commits that `enforced` does not have */
    uint64_t log_bytes;
    const struct bl_ingest_counts *ingest;
    const struct bl_metrics_actor *actors;
    size_t n_actors;
};

/** @return 0 with *text, owned by the caller (free), or BL_ENOMEM. */
int bl_metrics_write(const struct bl_metrics *metrics, char **text, size_t *length);

#endif
