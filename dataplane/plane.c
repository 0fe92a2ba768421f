/* Puts the data plane together and takes it apart; see plane.h. Members are freed in the opposite order of their
 * making, and bl_plane_free copes with a plane that is half made: its failed start uses it too. */
#include "dataplane/plane.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>

#include "bounceline/version.h"
#include "dataplane/distribute.h"
#include "dataplane/eal.h"
#include "dataplane/feed.h"
#include "dataplane/keeper.h"
#include "dataplane/master.h"
#include "dataplane/random.h"
#include "dataplane/report.h"
#include "dataplane/say.h"
#include "dataplane/watch.h"
#include "dataplane/worker_parts.h"

enum {
    CACHE_MAX = 256, /* buffers that a core keeps for itself */
    WAIT_IDLE_US = 20000,
    KEEPER_TICK_MS = 1000,
    WAIT_UNDER_WAY_US = 50, /* a worker has something to acknowledge, and no event tells when it has */
};

struct bl_plane {
    struct bl_plane_plan *plan;
    bool eal_started;
    struct rte_mempool *forward_pool;
    struct bl_worker *workers[BL_SYNC_WORKERS_MAX];
    unsigned n_workers;
    struct bl_distribute *distribute;
    struct bl_master *master;
    struct bl_keeper *keeper; /* NULL: no table file is kept */
    struct bl_feed *feed;
    struct bl_report report;
    struct bl_watch watch;
    bool running;
    unsigned sampled_worker; /* whose samples are taken first, next time */
};

_Static_assert((int)BL_LINK_PORTS == (int)BL_SIDE_COUNT, "link.h knows the ports as sides");

static void prepare_policy(const struct bl_settings_dataplane *settings, struct bl_classify_policy *policy)
{
    bl_classify_policy_init(policy);
    for (uint32_t i = 0; i < settings->n_protected_ports; i++)
        bl_classify_policy_protect(policy, settings->protected_ports[i].port, settings->protected_ports[i].action);
    for (uint32_t i = 0; i < settings->n_protected_prefixes; i++)
        bl_classify_policy_protect_prefix(policy, &settings->protected_prefixes[i]);
}

/* Does this file's control plane promise tickets? Another file's shows when its classes come (feed.c). */
static bool wants_tickets(const struct bl_settings_controlplane *controlplane)
{
    bool wanted = strstr(controlplane->url, BL_CLASS_PLACEHOLDER_TICKET) != NULL;

    for (uint32_t i = 0; i < controlplane->n_sources; i++)
        wanted |= strstr(controlplane->sources[i].url, BL_CLASS_PLACEHOLDER_TICKET) != NULL;
    return wanted;
}

static int prepare_keys(const struct bl_settings *settings, struct bl_reject_rules *rules,
                        struct bl_error_detail *detail)
{
    const char *cookie_file = settings->dataplane.cookie_key_file;
    const char *ticket_file = settings->dataplane.ticket_key_file;
    int error = cookie_file[0] != '\0'
                    ? bl_random_key_file("dataplane.cookie_key_file", cookie_file, &rules->cookie_key, detail)
                    : bl_random_key(&rules->cookie_key, detail);

    if (error == BL_OK && ticket_file[0] != '\0')
        error = bl_random_key_file("dataplane.ticket_key_file", ticket_file, &rules->ticket_key, detail);
    else if (error == BL_OK && wants_tickets(&settings->controlplane))
        error = bl_error_set(detail, BL_EINVAL,
                             "dataplane.ticket_key_file: found nothing, expected a file of 16 bytes: a URL of the "
                             "control plane holds {ticket}");
    return error;
}

static int prepare_rules(const struct bl_settings *settings, struct bl_reject_rules *rules,
                         struct bl_error_detail *detail)
{
    const struct bl_settings_dataplane *dataplane = &settings->dataplane;
    int error = prepare_keys(settings, rules, detail);

    rules->stage = (uint8_t)dataplane->stage;
    rules->starttls = (uint8_t)dataplane->starttls;
    rules->established = (uint8_t)dataplane->established;
    rules->ipv6_unit = settings->controlplane.ipv6_unit;
    memcpy(rules->hostname, dataplane->hostname, sizeof(rules->hostname));
    return error != BL_OK ? error : bl_reject_rules_validate(rules, detail);
}

int bl_plane_prepare(const struct bl_settings *settings, struct bl_plane_plan *plan, struct bl_error_detail *detail)
{
    const struct bl_settings_dataplane *dataplane = &settings->dataplane;
    int error;

    memset(plan, 0, sizeof(*plan));
    plan->settings = dataplane;
    plan->common.idle_sleep_us = dataplane->poll == BL_POLL_BUSY ? 0 : dataplane->idle_sleep_us;
    plan->common.patch_step_bytes = dataplane->patch_step_bytes;
    prepare_policy(dataplane, &plan->common.policy);
    error = prepare_rules(settings, &plan->common.rules, detail);
    if (error == BL_OK)
        error = bl_port_parse("wan", dataplane->wan, &plan->ports[BL_SIDE_WAN], detail);
    if (error == BL_OK)
        error = bl_port_parse("lan", dataplane->lan, &plan->ports[BL_SIDE_LAN], detail);
    if (error == BL_OK)
        error = bl_port_distinct(&plan->ports[BL_SIDE_WAN], &plan->ports[BL_SIDE_LAN], detail);
    return error;
}

static uint32_t cache_size(uint32_t n_buffers, uint32_t n_cores)
{
    uint32_t size = n_buffers / (n_cores * 4);

    return size < CACHE_MAX ? size : CACHE_MAX;
}

/* A device that fills its descriptors with buffers must leave some for what is on its way. */
static int check_buffers(const struct bl_plane_plan *plan, struct bl_error_detail *detail)
{
    const struct bl_settings_dataplane *settings = plan->settings;
    uint64_t needed = (uint64_t)settings->workers * 4 * BL_WORKER_BURST;

    for (int side = 0; side < BL_SIDE_COUNT; side++)
        if (plan->ports[side].form != BL_PORT_KERNEL)
            needed += (uint64_t)settings->workers * (settings->rx_descriptors + settings->tx_descriptors);
    if (settings->forward_buffers >= needed)
        return BL_OK;
    return bl_error_set(detail, BL_ERANGE,
                        "dataplane.forward_buffers: %u: expected at least %llu for %u workers and these descriptors",
                        settings->forward_buffers, (unsigned long long)needed, settings->workers);
}

static int create_forward_pool(struct bl_plane *plane, struct bl_error_detail *detail)
{
    const struct bl_settings_dataplane *settings = plane->plan->settings;
    uint32_t n = settings->forward_buffers;

    plane->forward_pool = rte_pktmbuf_pool_create("bl_forward", n, cache_size(n, settings->workers), 0,
                                                  (uint16_t)(RTE_PKTMBUF_HEADROOM + bl_port_buffer_bytes(settings)),
                                                  (int)rte_socket_id());
    if (plane->forward_pool != NULL)
        return BL_OK;
    return bl_error_set(
        detail, BL_ENOMEM,
        "dataplane.forward_buffers: no memory for %u buffers of %u bytes: raise dataplane.memory_mb, now %u", n,
        bl_port_buffer_bytes(settings), settings->memory_mb);
}

static int create_workers(struct bl_plane *plane, struct bl_error_detail *detail)
{
    const struct bl_worker_plan worker_plan = {&plane->plan->common, plane->plan->settings, plane->plan->ports};
    unsigned lcores[BL_SYNC_WORKERS_MAX];
    uint32_t n = plane->plan->settings->workers;
    int error = n <= BL_SYNC_WORKERS_MAX
                    ? bl_eal_worker_lcores(n, lcores, detail)
                    : bl_error_set(detail, BL_ERANGE, "dataplane.workers: %u: expected 1..%d", n, BL_SYNC_WORKERS_MAX);

    for (unsigned i = 0; i < n && error == BL_OK; i++) {
        error = bl_worker_parts_create(&plane->workers[i], &worker_plan, i, lcores[i], detail);
        plane->n_workers += error == BL_OK;
    }
    return error;
}

static int open_ports(struct bl_plane *plane, struct bl_error_detail *detail)
{
    int error = check_buffers(plane->plan, detail);

    if (error == BL_OK)
        error = create_forward_pool(plane, detail);
    for (int side = 0; side < BL_SIDE_COUNT && error == BL_OK; side++)
        error = bl_port_open(&plane->plan->ports[side], plane->plan->settings, plane->forward_pool, detail);
    return error;
}

static void fill_report(void *context, struct bl_sync_report *out)
{
    const struct bl_plane *plane = context;

    bl_report_fill(&plane->report, out);
}

/* Each time another worker comes first, so that none is left out when there are too many. */
static size_t take_samples(void *context, struct bl_sync_sample *out, size_t max)
{
    struct bl_plane *plane = context;
    struct bl_sample samples[BL_SYNC_SAMPLES_MAX];
    size_t n = 0;

    for (unsigned i = 0; i < plane->n_workers; i++) {
        unsigned id = (plane->sampled_worker + i) % plane->n_workers;
        size_t n_taken = bl_sampler_take(&plane->workers[id]->sampler, samples, max - n);

        for (size_t k = 0; k < n_taken; k++)
            out[n++] = (struct bl_sync_sample){id, samples[k]};
    }
    plane->sampled_worker = (plane->sampled_worker + 1) % plane->n_workers;
    return n;
}

/* What is wrong with the file is told, and the start goes on without a list: a list that may be another one is worse. */
static void read_table_file(const char *path, struct bl_table_file *table)
{
    struct bl_error_detail detail = {""};
    int error = path[0] != '\0' ? bl_table_file_read(path, table, &detail) : BL_OK;

    if (error == BL_ENOENT)
        bl_say_line("table file %s; no list until the control plane sends one: everything passes", detail.text);
    else if (error != BL_OK)
        bl_say_line("table file %s; refused, no list until the control plane sends one: everything passes",
                    detail.text);
}

/* The master and the workers' first replicas, of the table file if it can be. */
static int create_master(struct bl_plane *plane, struct bl_table_file *table, struct bl_error_detail *detail)
{
    const char *path = plane->plan->settings->table_file;
    struct bl_error_detail cause = {""};

    read_table_file(path, table);
    if (table->held.epoch == 0)
        return bl_master_create(&plane->master, plane->distribute, NULL, detail);
    if (bl_master_create(&plane->master, plane->distribute, table, &cause) == BL_OK) {
        bl_say_line(
            "table file %s: serves serial %llu, %llu IPv4 and %llu IPv6 prefixes, written at %llu (s since 1970)", path,
            (unsigned long long)table->held.serial, (unsigned long long)table->held.n_ipv4,
            (unsigned long long)table->held.n_ipv6, (unsigned long long)table->written_ms / 1000);
        return BL_OK;
    }
    bl_say_line("table file %s: %.300s; refused, no list until the control plane sends one: everything passes", path,
                cause.text);
    bl_table_file_fini(table);
    return bl_master_create(&plane->master, plane->distribute, NULL, detail);
}

static int create_keeper(struct bl_plane *plane, struct bl_table_file *table, struct bl_error_detail *detail)
{
    const struct bl_settings_dataplane *settings = plane->plan->settings;
    const struct bl_keeper_options options = {settings->table_file, settings->table_file_s * 1000, KEEPER_TICK_MS};

    if (settings->table_file[0] == '\0')
        return BL_OK;
    if (bl_keeper_create(&plane->keeper, &options, table) != BL_OK)
        return bl_error_set(detail, BL_ENOMEM, "no memory or thread for dataplane.table_file");
    bl_master_set_keeper(plane->master, plane->keeper);
    return BL_OK;
}

static int create_tables(struct bl_plane *plane, struct bl_error_detail *detail)
{
    const struct bl_settings_dataplane *settings = plane->plan->settings;
    struct bl_table_file table = {.held = {.epoch = 0}};
    int error = bl_distribute_create(&plane->distribute, plane->workers, plane->n_workers);

    if (error != BL_OK)
        return bl_error_set(detail, error, "no memory for the workers' list");
    error = create_master(plane, &table, detail);
    if (error == BL_OK)
        error = create_keeper(plane, &table, detail);
    bl_table_file_fini(&table);
    if (error != BL_OK)
        return error;
    plane->report =
        (struct bl_report){plane->workers, plane->n_workers, plane->distribute, &plane->watch, plane->keeper};
    return bl_feed_create(
        &plane->feed,
        &(struct bl_feed_options){
            .socket = settings->sync_socket,
            .name = settings->name,
            .n_workers = plane->n_workers,
            .master = plane->master,
            .distribute = plane->distribute,
            .has_tickets = plane->plan->common.rules.ticket_key.k0 != 0 || plane->plan->common.rules.ticket_key.k1 != 0,
            .fill_report = fill_report,
            .take_samples = take_samples,
            .context = plane,
        },
        detail);
}

static uint64_t monotonic_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void set_clock(struct bl_common *common)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    __atomic_store_n(&common->now_s, (uint64_t)now.tv_sec, __ATOMIC_RELAXED);
    __atomic_store_n(&common->now_ms, (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000, __ATOMIC_RELAXED);
}

static int launch(struct bl_plane *plane, struct bl_error_detail *detail)
{
    set_clock(&plane->plan->common);
    plane->running = true;
    for (unsigned i = 0; i < plane->n_workers; i++)
        if (rte_eal_remote_launch(bl_worker_run, plane->workers[i], plane->workers[i]->lcore) != 0)
            return bl_error_set(detail, BL_EIO, "worker %u does not start on lcore %u", i, plane->workers[i]->lcore);
    return BL_OK;
}

int bl_plane_create(struct bl_plane **out, struct bl_plane_plan *plan, struct bl_error_detail *detail)
{
    struct bl_plane *plane = calloc(1, sizeof(*plane));
    int error = BL_OK;

    if (plane == NULL)
        return bl_error_set(detail, BL_ENOMEM, "no memory");
    plane->plan = plan;
    for (int side = 0; side < BL_SIDE_COUNT && error == BL_OK; side++)
        error = bl_port_check(&plan->ports[side], plan->settings, detail);
    if (error == BL_OK)
        error = bl_watch_prepare(plan->ports, plan->settings->link_propagate, detail);
    if (error == BL_OK) {
        error = bl_eal_init(plan->settings, &plan->ports[BL_SIDE_WAN], &plan->ports[BL_SIDE_LAN], detail);
        plane->eal_started = error == BL_OK;
    }
    if (error == BL_OK)
        error = open_ports(plane, detail);
    if (error == BL_OK)
        error = bl_watch_init(&plane->watch, plan->ports, plan->settings->link_propagate, monotonic_ms(), detail);
    if (error == BL_OK)
        error = create_workers(plane, detail);
    if (error == BL_OK)
        error = create_tables(plane, detail);
    if (error == BL_OK && bl_report_register(&plane->report) != BL_OK)
        error = bl_error_set(detail, BL_EIO, "telemetry can't be registered");
    if (error == BL_OK)
        error = launch(plane, detail);
    if (error != BL_OK) {
        bl_plane_free(plane);
        return error;
    }
    bl_say_line("%s: forwarding between %s (wan) and %s (lan) with %u workers, name %s", BL_VERSION_TEXT,
                plan->ports[BL_SIDE_WAN].setting, plan->ports[BL_SIDE_LAN].setting, plane->n_workers,
                plan->settings->name);
    *out = plane;
    return BL_OK;
}

static void wait_for_event(const struct bl_plane *plane, const sigset_t *unblocked)
{
    struct pollfd socket = {.fd = -1};
    long wait_us = WAIT_IDLE_US;
    struct timespec timeout;

    socket.fd = bl_feed_descriptor(plane->feed, &socket.events);
    if (bl_feed_pending(plane->feed))
        wait_us = 0;
    else if (bl_distribute_waiting(plane->distribute) > 0 || bl_distribute_comparing(plane->distribute))
        wait_us = WAIT_UNDER_WAY_US;
    timeout = (struct timespec){.tv_nsec = wait_us * 1000};
    /* Signals are let in here and nowhere else. Whatever ended the wait, everything is looked at. */
    (void)ppoll(&socket, 1, &timeout, unblocked);
}

void bl_plane_run(struct bl_plane *plane, const volatile sig_atomic_t *stop, const sigset_t *unblocked)
{
    prctl(PR_SET_TIMERSLACK, 1000UL);
    while (!*stop) {
        const struct bl_table *table;
        uint64_t now_ms;

        wait_for_event(plane, unblocked);
        now_ms = monotonic_ms();
        set_clock(&plane->plan->common);
        bl_distribute_poll(plane->distribute, bl_master_table(plane->master));
        bl_feed_poll(plane->feed, now_ms);
        table = bl_master_table(plane->master);
        if (table != NULL && bl_distribute_compare(plane->distribute, table, now_ms)) {
            bl_say_line("the master table differs from all replicas: asking for a snapshot");
            bl_feed_resync(plane->feed, now_ms);
        }
        bl_watch_poll(&plane->watch, now_ms);
    }
    bl_say_line("stopping");
    /* While the workers go on: nobody waits for this disk. */
    bl_keeper_stop(plane->keeper);
}

void bl_plane_free(struct bl_plane *plane)
{
    __atomic_store_n(&plane->plan->common.stop, true, __ATOMIC_RELAXED);
    if (plane->running)
        rte_eal_mp_wait_lcore();
    bl_report_unregister();
    bl_feed_free(plane->feed);
    bl_master_free(plane->master);
    bl_keeper_free(plane->keeper);
    bl_distribute_free(plane->distribute);
    bl_watch_fini(&plane->watch);
    for (int side = 0; side < BL_SIDE_COUNT; side++)
        bl_port_close(&plane->plan->ports[side]);
    for (unsigned i = 0; i < plane->n_workers; i++)
        bl_worker_parts_free(plane->workers[i]);
    rte_mempool_free(plane->forward_pool);
    if (plane->eal_started)
        bl_eal_fini();
    free(plane);
}
