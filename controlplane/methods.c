/* The methods and what those with one answer do; see methods.h. */
#include "controlplane/methods.h"

#include <stddef.h>
#include <stdlib.h>

#include "controlplane/ask_rejects.h"
#include "controlplane/clock.h"
#include "controlplane/codec_client.h"
#include "controlplane/ingest.h"
#include "controlplane/stock.h"

static const struct {
    const char *path;
    enum bl_authorize_method method;
} methods[] = {
    {"/bounceline.v1.ListControl/Apply", BL_AUTHORIZE_APPLY},
    {"/bounceline.v1.ListControl/Lookup", BL_AUTHORIZE_LOOKUP},
    {"/bounceline.v1.ListControl/GetStatus", BL_AUTHORIZE_GET_STATUS},
    {"/bounceline.v1.ListControl/ListRejects", BL_AUTHORIZE_LIST_REJECTS},
    {"/bounceline.v1.ListControl/GetTop", BL_AUTHORIZE_GET_TOP},
    {"/bounceline.v1.ListControl/Push", BL_AUTHORIZE_PUSH},
    {"/bounceline.v1.ListControl/Watch", BL_AUTHORIZE_WATCH},
    {"/bounceline.v1.ListControl/Export", BL_AUTHORIZE_EXPORT},
    {"/bounceline.v1.ListControl/History", BL_AUTHORIZE_HISTORY},
    {"/bounceline.v1.ListControl/Backup", BL_AUTHORIZE_BACKUP},
    {"/grpc.health.v1.Health/Check", BL_AUTHORIZE_HEALTH},
    {"/grpc.health.v1.Health/Watch", BL_AUTHORIZE_HEALTH_WATCH},
    {"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", BL_AUTHORIZE_REFLECTION},
};

/* The whole path is compared: nothing of it is parsed. */
bool bl_methods_find(const grpc_slice *path, enum bl_authorize_method *method)
{
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        if (grpc_slice_str_cmp(*path, methods[i].path) == 0) {
            *method = methods[i].method;
            return true;
        }
    }
    return false;
}

/* The answer to an Apply, with how far the data planes are. */
static void answer_apply(struct bl_call *call, const struct bl_codec_reached *reached)
{
    struct bl_codec_bytes response;
    const struct bl_writer_job *job = &call->job;

    if (bl_codec_client_encode_result(job->answer.data, job->answer.length, reached, job->repeated, &response) == BL_OK)
        bl_call_answer(call, &response);
    else
        bl_call_refuse_error(call, BL_ENOMEM, "");
}

/* The waiting for data planes ended. */
static void wait_done(struct bl_publish_wait *wait, const struct bl_codec_reached *reached)
{
    struct bl_call *call = (struct bl_call *)(void *)((char *)wait - offsetof(struct bl_call, wait));

    answer_apply(call, reached);
    bl_call_release(call);
}

/* The writer decided. */
static void job_done(struct bl_writer_job *job)
{
    struct bl_call *call = (struct bl_call *)(void *)((char *)job - offsetof(struct bl_call, job));
    const struct bl_ingest_parts *parts = bl_ingest_lend_parts(call->ingest);
    struct bl_codec_reached reached;

    if (job->error != BL_OK) {
        bl_call_refuse_error(call, job->error, job->detail.text);
        bl_call_release(call);
        return;
    }
    /* While stopping nobody starts to wait any more: the answer is durable, as far as it got. */
    if (job->request.wait_enforced && !atomic_load_explicit(&call->gone, memory_order_relaxed) &&
        !bl_ingest_is_stopping(call->ingest)) {
        call->wait.serial = job->serial;
        call->wait.deadline_ms = call->arrived_ms + job->request.deadline_ms;
        call->wait.done = wait_done;
        bl_publish_add_wait(parts->publish, &call->wait);
        return;
    }
    (void)bl_publish_reached(parts->publish, job->serial, &reached);
    answer_apply(call, &reached);
    bl_call_release(call);
}

/* From submit on the job is the writer's; its reference is given back in job_done or wait_done. */
static int handle_apply(struct bl_call *call, const uint8_t *data, size_t length, struct bl_error_detail *detail)
{
    const struct bl_ingest_parts *parts = bl_ingest_lend_parts(call->ingest);
    int error = bl_codec_client_decode_batch(data, length, &call->job.request, detail);

    if (error == BL_OK)
        error = bl_limits_hold(parts->limits, &call->job.actor, BL_LIMITS_BYTES, length, detail);
    if (error == BL_OK) {
        call->held[BL_LIMITS_BYTES] = length;
        error = bl_limits_take(parts->limits, &call->job.actor, bl_batch_n_items(&call->job.request.batch),
                               call->arrived_ms, detail);
    }
    if (error != BL_OK)
        return error;
    call->job.request_bytes = length + sizeof(*call);
    call->job.done = job_done;
    call->job.bulk = bl_writer_is_bulk(&call->job);
    bl_call_hold(call);
    error = bl_writer_submit(parts->writer, &call->job);
    if (error != BL_OK) {
        bl_call_release(call);
        return bl_error_set(detail, error, "too much is queued, try again");
    }
    return BL_OK;
}

/* Under the state's read lock: the layers' strings are the state's. */
static int encode_lookup_locked(const struct bl_ingest_parts *parts, const struct bl_prefix *prefix,
                                struct bl_list_layer *layers, struct bl_rejects_item *hits,
                                struct bl_codec_bytes *response)
{
    const struct bl_list_state *state = parts->store->state;
    struct bl_codec_lookup lookup = {.prefix = *prefix, .layers = layers};

    lookup.n_layers = bl_list_state_lookup(state, prefix, layers, BL_LIST_LAYERS_MAX, &lookup.class_id);
    if (lookup.class_id >= BL_CLASS_FIRST && lookup.class_id <= BL_CLASS_LAST)
        lookup.meaning = &bl_list_state_classes(state)[lookup.class_id];
    lookup.epoch = bl_list_state_epoch(state);
    lookup.serial = bl_list_state_serial(state);
    lookup.enforced_serial = bl_publish_reached(parts->publish, lookup.serial, &lookup.reached);
    for (size_t i = 0; i < lookup.n_layers; i++)
        if (layers[i].kind == BL_EFFECT_LIST)
            bl_rejects_hits(parts->rejects, &layers[i].prefix, layers[i].attributes.source, &hits[i]);
    lookup.hits = hits;
    return bl_codec_client_encode_lookup(&lookup, response);
}

/* Up to BL_LIST_LAYERS_MAX layers, on the heap: the two threads have ordinary stacks. */
static int handle_lookup(struct bl_call *call, const uint8_t *data, size_t length, struct bl_error_detail *detail)
{
    const struct bl_ingest_parts *parts = bl_ingest_lend_parts(call->ingest);
    struct bl_store *store = parts->store;
    struct bl_list_layer *layers;
    struct bl_rejects_item *hits;
    struct bl_codec_bytes response;
    struct bl_prefix prefix;
    char text[128];
    int error = bl_codec_client_decode_lookup(data, length, text, sizeof(text), detail);

    if (error == BL_OK)
        error = bl_address_parse_prefix(text, store->settings->ipv6_unit, &prefix, detail);
    if (error != BL_OK)
        return error;
    layers = calloc(BL_LIST_LAYERS_MAX, sizeof(*layers));
    hits = calloc(BL_LIST_LAYERS_MAX, sizeof(*hits));
    error = BL_ENOMEM;
    if (layers != NULL && hits != NULL) {
        (void)pthread_rwlock_rdlock(&store->lock);
        error = encode_lookup_locked(parts, &prefix, layers, hits, &response);
        (void)pthread_rwlock_unlock(&store->lock);
    }
    free(hits);
    free(layers);
    if (error == BL_OK)
        bl_call_answer(call, &response);
    return error;
}

/* The state's numbers are of one moment, the data planes' of one a little later: enforced may be ahead, never wrong. */
static int handle_get_status(struct bl_call *call, const uint8_t *data, size_t length, struct bl_error_detail *detail)
{
    const struct bl_ingest_parts *parts = bl_ingest_lend_parts(call->ingest);
    struct bl_store *store = parts->store;
    struct bl_codec_status status = {.uptime_ms =
                                         (uint64_t)(bl_clock_monotonic_ms() - bl_ingest_started_ms(call->ingest)),
                                     .write_fault = bl_writer_fault(parts->writer),
                                     .expiry_hold = bl_writer_hold(parts->writer)};
    struct bl_codec_dataplane *planes;
    struct bl_codec_reached reached;
    struct bl_codec_bytes response;
    int error = bl_codec_client_decode_get_status(data, length, detail);

    if (error != BL_OK)
        return error;
    planes = calloc(BL_PUBLISH_PLANES_MAX, sizeof(*planes));
    if (planes == NULL)
        return BL_ENOMEM;
    (void)pthread_rwlock_rdlock(&store->lock);
    status.epoch = bl_list_state_epoch(store->state);
    status.durable_serial = bl_list_state_serial(store->state);
    status.digest = bl_list_state_digest(store->state);
    bl_list_state_count(store->state, &status.counts);
    (void)pthread_rwlock_unlock(&store->lock);
    status.enforced_serial = bl_publish_reached(parts->publish, status.durable_serial, &reached);
    bl_rejects_count(parts->rejects, &status.rejects);
    status.dataplanes = planes;
    status.n_dataplanes = bl_publish_status(parts->publish, planes, bl_clock_monotonic_ms());
    error = bl_codec_client_encode_status(&status, &response);
    free(planes);
    if (error == BL_OK)
        bl_call_answer(call, &response);
    return error;
}

static int handle_rejects(struct bl_call *call, const uint8_t *data, size_t length, struct bl_error_detail *detail)
{
    const struct bl_ingest_parts *parts = bl_ingest_lend_parts(call->ingest);
    struct bl_codec_bytes response;
    int error =
        call->method == BL_AUTHORIZE_GET_TOP
            ? bl_ask_rejects_top(parts->rejects, data, length, &response, detail)
            : bl_ask_rejects_list(parts->rejects, parts->store->settings->ipv6_unit, data, length, &response, detail);

    if (error == BL_OK)
        bl_call_answer(call, &response);
    return error;
}

static int handle_health(struct bl_call *call, const uint8_t *data, size_t length, struct bl_error_detail *detail)
{
    struct bl_codec_bytes response;
    int error = bl_stock_check(data, length, &response, detail);

    if (error == BL_OK)
        bl_call_answer(call, &response);
    return error;
}

int bl_methods_handle(struct bl_call *call, const uint8_t *data, size_t length, struct bl_error_detail *detail)
{
    switch (call->method) {
    case BL_AUTHORIZE_APPLY:
        return handle_apply(call, data, length, detail);
    case BL_AUTHORIZE_LOOKUP:
        return handle_lookup(call, data, length, detail);
    case BL_AUTHORIZE_LIST_REJECTS:
    case BL_AUTHORIZE_GET_TOP:
        return handle_rejects(call, data, length, detail);
    case BL_AUTHORIZE_HEALTH:
        return handle_health(call, data, length, detail);
    default:
        return handle_get_status(call, data, length, detail);
    }
}
