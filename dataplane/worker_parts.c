/* What one worker owns, made and freed; see worker_parts.h. bl_worker_parts_free copes with a worker that is half made. */
#include "dataplane/worker_parts.h"

#include <stdio.h>

#include <rte_cycles.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>

#include "dataplane/random.h"
#include "dataplane/segment.h"

enum { CACHE_MAX = 256 /* buffers that a core keeps for itself */ };

/* The memory of the handshakes that the worker watches, and its limits. */
static int create_answers(struct bl_worker *worker, const struct bl_settings_dataplane *settings)
{
    struct bl_resend_memory memory = bl_resend_size(settings->resend_entries);
    size_t n = memory.n_sets;
    uint64_t hz = rte_get_tsc_hz();

    if (n != 0) {
        memory.sets = rte_zmalloc_socket("bl_resend", n * sizeof(*memory.sets), RTE_CACHE_LINE_SIZE, worker->socket_id);
        memory.entries = rte_zmalloc_socket("bl_resend", n * BL_RESEND_WAYS * sizeof(*memory.entries),
                                            _Alignof(struct bl_resend_entry), worker->socket_id);
        memory.items = rte_zmalloc_socket("bl_resend", memory.n_items * sizeof(*memory.items), RTE_CACHE_LINE_SIZE,
                                          worker->socket_id);
    }
    bl_resend_init(&worker->resend, &memory);
    bl_resend_set_time(&worker->resend, settings->resends_per_s, hz);
    bl_bucket_init(&worker->limits.answers, settings->answers_per_s, hz);
    bl_bucket_init(&worker->limits.established, settings->established_per_s, hz);
    bl_bucket_init(&worker->limits.resets, settings->resets_per_s, hz);
    return n == 0 || (memory.sets != NULL && memory.entries != NULL && memory.items != NULL) ? BL_OK : BL_ENOMEM;
}

static int create_reply_pool(struct bl_worker *worker, uint32_t n_buffers)
{
    uint32_t cache = n_buffers / 4 < CACHE_MAX ? n_buffers / 4 : CACHE_MAX;
    char name[32];

    snprintf(name, sizeof(name), "bl_reply_%u", worker->id);
    worker->reply_pool = rte_pktmbuf_pool_create(name, n_buffers, cache, 0, RTE_PKTMBUF_HEADROOM + BL_SEGMENT_FRAME_MAX,
                                                 worker->socket_id);
    return worker->reply_pool != NULL ? BL_OK : BL_ENOMEM;
}

static int create_parts(struct bl_worker *worker, const struct bl_settings_dataplane *settings,
                        struct bl_error_detail *detail)
{
    struct bl_siphash_key secret;
    char name[32];

    if (bl_random_key(&secret, detail) != BL_OK)
        return BL_EIO;
    bl_sampler_init(&worker->sampler, settings->reject_samples_per_s, rte_get_tsc_hz(), secret);
    if (create_answers(worker, settings) != BL_OK)
        return bl_error_set(detail, BL_ENOMEM,
                            "dataplane.resend_entries: no memory for %u of worker %u: raise memory_mb",
                            settings->resend_entries, worker->id);
    snprintf(name, sizeof(name), "bl_mailbox_%u", worker->id);
    if (bl_mailbox_init(&worker->mailbox, name, worker->socket_id) != BL_OK)
        return bl_error_set(detail, BL_ENOMEM, "no memory for the mailbox of worker %u: raise dataplane.memory_mb",
                            worker->id);
    if (create_reply_pool(worker, settings->reply_buffers) != BL_OK)
        return bl_error_set(detail, BL_ENOMEM,
                            "dataplane.reply_buffers: no memory for %u of worker %u: raise memory_mb",
                            settings->reply_buffers, worker->id);
    return BL_OK;
}

int bl_worker_parts_create(struct bl_worker **out, const struct bl_worker_plan *plan, unsigned id, unsigned lcore,
                           struct bl_error_detail *detail)
{
    int socket_id = (int)rte_lcore_to_socket_id(lcore);
    struct bl_worker *worker = rte_zmalloc_socket("bl_worker", sizeof(*worker), RTE_CACHE_LINE_SIZE, socket_id);
    int error;

    if (worker == NULL)
        return bl_error_set(detail, BL_ENOMEM, "no memory for worker %u: raise dataplane.memory_mb", id);
    worker->common = plan->common;
    worker->id = id;
    worker->lcore = lcore;
    worker->socket_id = socket_id;
    for (int side = 0; side < BL_SIDE_COUNT; side++) {
        const struct bl_port *port = &plan->ports[side];

        worker->tx[side].port = port->id;
        worker->tx[side].queue = (uint16_t)id;
        worker->tx[side].frame_max_bytes = port->frame_max_bytes;
        worker->tx[side].tag_bytes = port->tag_bytes;
    }
    error = create_parts(worker, plan->settings, detail);
    if (error != BL_OK) {
        bl_worker_parts_free(worker);
        return error;
    }
    *out = worker;
    return BL_OK;
}

void bl_worker_parts_free(struct bl_worker *worker)
{
    if (worker->mailbox.ring != NULL)
        bl_mailbox_fini(&worker->mailbox);
    rte_mempool_free(worker->reply_pool);
    rte_free(worker->resend.memory.sets);
    rte_free(worker->resend.memory.entries);
    rte_free(worker->resend.memory.items);
    rte_free(worker);
}
