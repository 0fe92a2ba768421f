/* See control.h. */
#include "controlplane/portal/control.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "controlplane/cli/client.h"
#include "controlplane/cli/client_codec.h"

enum { LINES = 4 };

struct line {
    pthread_mutex_t lock;
    struct bl_client *client; /* NULL: none yet, or none to be had */
};

struct bl_control {
    const struct bl_settings_portal *settings;
    struct line lines[LINES];
};

int bl_control_create(struct bl_control **out, const struct bl_settings_portal *settings)
{
    struct bl_control *control = calloc(1, sizeof(*control));

    if (control == NULL)
        return BL_ENOMEM;
    control->settings = settings;
    for (int i = 0; i < LINES; i++)
        (void)pthread_mutex_init(&control->lines[i].lock, NULL);
    *out = control;
    return BL_OK;
}

void bl_control_free(struct bl_control *control)
{
    if (control == NULL)
        return;
    for (int i = 0; i < LINES; i++) {
        if (control->lines[i].client != NULL)
            bl_client_close(control->lines[i].client);
        (void)pthread_mutex_destroy(&control->lines[i].lock);
    }
    free(control);
}

/* A free line, or the first when all are in use. */
static struct line *take_line(struct bl_control *control)
{
    for (int i = 0; i < LINES; i++) {
        if (pthread_mutex_trylock(&control->lines[i].lock) == 0)
            return &control->lines[i];
    }
    (void)pthread_mutex_lock(&control->lines[0].lock);
    return &control->lines[0];
}

/* Takes request. */
static int exchange(struct bl_control *control, struct bl_client_call *call, uint8_t *request, uint8_t **response,
                    size_t *response_length, struct bl_error_detail *detail)
{
    struct line *line = take_line(control);
    int error = BL_OK;

    call->request = request;
    call->deadline_ms = control->settings->deadline_ms;
    if (line->client == NULL)
        error = bl_client_open(&line->client, &(struct bl_client_target){.path = control->settings->socket}, detail);
    if (error == BL_OK)
        error = bl_client_call(line->client, call, response, response_length, detail);
    (void)pthread_mutex_unlock(&line->lock);
    free(request);
    return error;
}

/* The longest prefix that lists the address and is not suppressed is what counts. */
static void read_layers(const struct bl_lookup *lookup, struct bl_control_state *out)
{
    for (size_t i = 0; i < lookup->n_layers; i++) {
        const struct bl_layer *layer = &lookup->layers[i];

        if ((layer->kind != BL_LAYER_LISTING && layer->kind != BL_LAYER_OPERATOR_LISTING) || layer->suppressed)
            continue;
        if (layer->self_service == BL_SELF_SERVICE_CLOSED || layer->kind == BL_LAYER_OPERATOR_LISTING)
            out->closed = out->listed;
        if (layer->effective || out->prefix[0] == '\0') {
            (void)snprintf(out->prefix, sizeof(out->prefix), "%s", layer->prefix);
            (void)snprintf(out->source, sizeof(out->source), "%s", layer->source);
        }
    }
}

int bl_control_lookup(struct bl_control *control, const char *address, struct bl_control_state *out,
                      struct bl_error_detail *detail)
{
    struct bl_client_call call = {.method = BL_CLIENT_CODEC_LOOKUP};
    struct bl_lookup lookup;
    uint8_t *request;
    uint8_t *response;
    size_t length;
    int error = bl_client_codec_encode_lookup(address, &request, &call.request_length, detail);

    if (error == BL_OK)
        error = exchange(control, &call, request, &response, &length, detail);
    if (error != BL_OK)
        return error;
    error = bl_client_codec_decode_lookup(response, length, &lookup, detail);
    free(response);
    if (error != BL_OK)
        return error;
    *out = (struct bl_control_state){
        .listed = lookup.listed,
        .enforced = lookup.enforced_serial >= lookup.serial && lookup.n_dataplanes_connected > 0,
        .code = lookup.code,
        .serial = lookup.serial,
        .n_enforced = lookup.n_dataplanes_enforced,
        .n_connected = lookup.n_dataplanes_connected,
    };
    read_layers(&lookup, out);
    bl_client_codec_free_lookup(&lookup);
    return BL_OK;
}

static uint64_t now_us(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void read_item(const struct bl_result_item *item, struct bl_control_item *out)
{
    out->outcome = item->outcome;
    out->refusal = item->refusal;
    (void)snprintf(out->detail, sizeof(out->detail), "%s", item->detail);
}

/* The batch to the control plane, and its answer: one result an update, in order. */
static int apply(struct bl_control *control, const struct bl_batch *batch, struct bl_control_item *items,
                 struct bl_control_result *out, struct bl_error_detail *detail)
{
    struct bl_client_call call = {.method = BL_CLIENT_CODEC_APPLY};
    struct bl_result result;
    uint8_t *request;
    uint8_t *response;
    size_t length;
    uint64_t start_us = now_us();
    int error = bl_client_codec_encode_batch(batch, BL_WAIT_ENFORCED, control->settings->deadline_ms, &request,
                                             &call.request_length, detail);

    memset(out, 0, sizeof(*out));
    if (error == BL_OK)
        error = exchange(control, &call, request, &response, &length, detail);
    if (error != BL_OK)
        return error;
    error = bl_client_codec_decode_result(response, length, &result, detail);
    free(response);
    if (error != BL_OK)
        return error;
    if (result.n_items != batch->n_updates)
        error = bl_error_set(detail, BL_EIO, "the control plane's answer has %zu items, expected %zu", result.n_items,
                             batch->n_updates);
    for (size_t i = 0; error == BL_OK && i < result.n_items; i++)
        read_item(&result.items[i], &items[i]);
    out->enforced = result.enforced;
    out->serial = result.serial;
    out->n_enforced = result.n_dataplanes_enforced;
    out->n_connected = result.n_dataplanes_connected;
    out->took_us = now_us() - start_us;
    bl_client_codec_free_result(&result);
    return error;
}

int bl_control_delist(struct bl_control *control, const struct bl_control_delist *delist, struct bl_control_result *out,
                      struct bl_error_detail *detail)
{
    const struct bl_update update = {
        .kind = BL_UPDATE_DELIST, .prefix = delist->address, .source = "", .reason = delist->reason};
    const struct bl_batch batch = {.session = delist->session, .sequence = 1, .updates = &update, .n_updates = 1};
    struct bl_control_item item = {.outcome = BL_OUTCOME_NONE};
    int error = apply(control, &batch, &item, out, detail);

    out->outcome = item.outcome;
    out->refusal = item.refusal;
    memcpy(out->detail, item.detail, sizeof(out->detail));
    return error;
}

int bl_control_delist_range(struct bl_control *control, const struct bl_control_delist *delist,
                            struct bl_control_items *items, struct bl_control_result *out,
                            struct bl_error_detail *detail)
{
    struct bl_update updates[BL_CONTROL_ITEMS_MAX];
    const struct bl_batch batch = {
        .session = delist->session, .sequence = 1, .updates = updates, .n_updates = items->n};
    int error;

    for (size_t i = 0; i < items->n; i++)
        updates[i] = (struct bl_update){
            .kind = BL_UPDATE_DELIST, .prefix = items->items[i].address, .source = "", .reason = delist->reason};
    error = apply(control, &batch, items->items, out, detail);
    if (error != BL_OK)
        return error;
    out->outcome = BL_OUTCOME_REFUSED;
    for (size_t i = 0; i < items->n; i++) {
        if (items->items[i].outcome != BL_OUTCOME_REFUSED)
            out->outcome = BL_OUTCOME_APPLIED;
    }
    return BL_OK;
}
