/* Reports and telemetry; see report.h. */
#include "dataplane/report.h"

#include <pthread.h>
#include <stddef.h>
#include <stdio.h>

#include <rte_telemetry.h>

#include "dataplane/feed.h"

enum {
#define X(member) +1
    N_WORKERS_OWN = 0 BL_COUNTERS_OWN(X)
#undef X
};

/* DPDK's callbacks carry no context of ours, and its thread may call at any time: hence one pointer for the process, and
 * a lock so that it is not taken away during an answer. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const struct bl_report *registered;

/* Of all workers; @offset is the counter's place in struct bl_counters. */
static uint64_t sum_counter(const struct bl_report *report, size_t offset)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < report->n_workers; i++)
        sum += bl_counters_read((const uint64_t *)(const void *)((const char *)&report->workers[i]->counters + offset));
    return sum;
}

static uint64_t sum_reason(const struct bl_report *report, unsigned reason)
{
    return sum_counter(report, offsetof(struct bl_counters, reasons) + reason * sizeof(uint64_t));
}

static void add_counter(struct bl_sync_report *out, const char *name, uint64_t value)
{
    out->counters[out->n_counters++] = (struct bl_sync_counter){name, value};
}

/* Counted by the main core, or in more than one place. */
static void add_main_core(const struct bl_report *report, uint64_t n_samples_lost, struct bl_sync_report *out)
{
    const struct bl_distribute_counts counts = bl_distribute_counts(report->distribute);
    const struct bl_keeper_counts kept = bl_keeper_counts(report->keeper);
    const struct bl_watch_counts *wan = &report->watch->counts[BL_SIDE_WAN];
    const struct bl_watch_counts *lan = &report->watch->counts[BL_SIDE_LAN];
    const struct bl_sync_counter counters[] = {
        {"replica_mismatch", counts.n_mismatches}, {"replica_repair", counts.n_repairs},
        {"reject_samples_lost", n_samples_lost},   {"wan_link_lost", wan->n_lost},
        {"wan_taken_down", wan->n_taken_down},     {"lan_link_lost", lan->n_lost},
        {"lan_taken_down", lan->n_taken_down},     {"table_file_written", kept.n_writes},
        {"table_file_failed", kept.n_failures},
    };
    enum { N = sizeof(counters) / sizeof(counters[0]) };

    _Static_assert(BL_REASON_COUNT + N_WORKERS_OWN + N + BL_FEED_COUNTERS <= BL_SYNC_COUNTERS_MAX,
                   "every counter has room in the report");
    for (unsigned i = 0; i < N; i++)
        add_counter(out, counters[i].name, counters[i].value);
}

void bl_report_fill(const struct bl_report *report, struct bl_sync_report *out)
{
    const struct bl_held *held = bl_distribute_enforced(report->distribute);
    uint64_t n_lost = 0;

    out->epoch = held->epoch;
    out->serial = held->serial;
    out->digest = held->digest;
    out->n_ipv4 = held->n_ipv4;
    out->n_ipv6 = held->n_ipv6;
    out->n_workers = report->n_workers;
    for (unsigned i = 0; i < report->n_workers; i++) {
        struct bl_sync_worker *worker = &out->workers[i];

        worker->serial = bl_distribute_held(report->distribute, i)->serial;
        bl_distribute_checksum(report->distribute, i, &worker->checksum_serial, &worker->checksum);
        worker->rx_packets = bl_counters_read(&report->workers[i]->counters.rx_packets);
        worker->tx_packets = bl_counters_read(&report->workers[i]->counters.tx_packets);
        n_lost += bl_sampler_lost(&report->workers[i]->sampler);
    }
    out->n_counters = 0;
    for (unsigned reason = 0; reason < BL_REASON_COUNT; reason++)
        add_counter(out, bl_verdict_reason_name(reason), sum_reason(report, reason));
#define X(member) add_counter(out, #member, sum_counter(report, offsetof(struct bl_counters, member)));
    BL_COUNTERS_OWN(X)
#undef X
    add_main_core(report, n_lost, out);
}

static int answer_counters(const char *command, const char *parameters, struct rte_tel_data *out)
{
    (void)command;
    (void)parameters;
    rte_tel_data_start_dict(out);
    pthread_mutex_lock(&lock);
    for (unsigned reason = 0; registered != NULL && reason < BL_REASON_COUNT; reason++)
        rte_tel_data_add_dict_u64(out, bl_verdict_reason_name(reason), sum_reason(registered, reason));
#define X(member) \
    if (registered != NULL) \
        rte_tel_data_add_dict_u64(out, #member, sum_counter(registered, offsetof(struct bl_counters, member)));
    BL_COUNTERS_OWN(X)
#undef X
    pthread_mutex_unlock(&lock);
    return 0;
}

/* "0": {"rx_packets": ..., "tx_packets": ..., "messages_done": ...} */
static int answer_workers(const char *command, const char *parameters, struct rte_tel_data *out)
{
    (void)command;
    (void)parameters;
    rte_tel_data_start_dict(out);
    pthread_mutex_lock(&lock);
    for (unsigned i = 0; registered != NULL && i < registered->n_workers; i++) {
        const struct bl_worker *worker = registered->workers[i];
        struct rte_tel_data *entry = rte_tel_data_alloc();
        char name[16];

        if (entry == NULL)
            break;
        snprintf(name, sizeof(name), "%u", i);
        rte_tel_data_start_dict(entry);
        rte_tel_data_add_dict_u64(entry, "rx_packets", bl_counters_read(&worker->counters.rx_packets));
        rte_tel_data_add_dict_u64(entry, "tx_packets", bl_counters_read(&worker->counters.tx_packets));
        rte_tel_data_add_dict_u64(entry, "messages_done", bl_counters_read(&worker->mailbox.n_done));
        rte_tel_data_add_dict_container(out, name, entry, 0);
    }
    pthread_mutex_unlock(&lock);
    return 0;
}

/* Ticks by step, all workers; only in a build that counts them. */
static int answer_steps(const char *command, const char *parameters, struct rte_tel_data *out)
{
    static const char *const names[] = {
#define X(suffix, name, text) name,
        BL_STEPS_ALL(X)
#undef X
    };

    (void)command;
    (void)parameters;
    rte_tel_data_start_dict(out);
    pthread_mutex_lock(&lock);
    for (unsigned step = 0; registered != NULL && step < BL_STEP_COUNT; step++) {
        uint64_t ticks = 0;

        for (unsigned i = 0; i < registered->n_workers; i++)
            ticks += bl_counters_read(&registered->workers[i]->steps.ticks[step]);
        rte_tel_data_add_dict_u64(out, names[step], ticks);
    }
    pthread_mutex_unlock(&lock);
    return 0;
}

int bl_report_register(const struct bl_report *report)
{
    pthread_mutex_lock(&lock);
    registered = report;
    pthread_mutex_unlock(&lock);
    if (rte_telemetry_register_cmd("/bounceline/counters", answer_counters, "Packets by reason, all workers") != 0 ||
        rte_telemetry_register_cmd("/bounceline/workers", answer_workers, "Packets by worker") != 0)
        return BL_EIO;
    if (BL_STEPS_ON &&
        rte_telemetry_register_cmd("/bounceline/steps", answer_steps, "TSC ticks by step of a packet's way") != 0)
        return BL_EIO;
    return BL_OK;
}

void bl_report_unregister(void)
{
    pthread_mutex_lock(&lock);
    registered = NULL;
    pthread_mutex_unlock(&lock);
}
