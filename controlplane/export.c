/* The list at one serial; see export.h. */
#include "controlplane/export.h"

#include <stdlib.h>
#include <string.h>

#include "controlplane/codec_stream.h"
#include "controlplane/store.h"
#include "controlplane/view.h"

/* The chunk in the making: layers that differ in their prefix only. Its texts are copies, in one block. */
struct chunk {
    struct bl_effect_group group;
    struct bl_prefix *prefixes; /* BL_CODEC_STREAM_ITEMS_MAX of them */
    char *texts;
};

struct export
{
    struct bl_stream *stream;
    struct bl_codec_export_request request;
    uint64_t epoch;
    uint64_t serial;
    uint64_t n_items;
    struct chunk chunk;
};

static bool is_wanted(const struct export *export, const struct bl_list_layer *layer)
{
    if (layer->kind != BL_EFFECT_LIST)
        return export->request.all_layers;
    return export->request.source[0] == '\0' || strcmp(layer->attributes.source, export->request.source) == 0;
}

static bool same_text(const char *a, const char *b)
{
    return strcmp(a == NULL ? "" : a, b == NULL ? "" : b) == 0;
}

static bool is_alike(const struct bl_effect_group *group, const struct bl_list_layer *layer)
{
    const struct bl_effect_attributes *a = &group->attributes;
    const struct bl_effect_attributes *b = &layer->attributes;

    return group->kind == layer->kind && a->serial == b->serial && a->observed_at_ms == b->observed_at_ms &&
           a->expires_at_ms == b->expires_at_ms && a->suppress_until_ms == b->suppress_until_ms && a->code == b->code &&
           a->action == b->action && a->self_service == b->self_service && same_text(a->source, b->source) &&
           same_text(a->reason, b->reason) && same_text(a->url, b->url) && same_text(a->actor, b->actor);
}

/* Copies @text to *@at, which is moved behind it. */
static const char *keep(const char *text, char **at)
{
    const char *kept = *at;
    size_t length = strlen(text == NULL ? "" : text) + 1;

    memcpy(*at, text == NULL ? "" : text, length);
    *at += length;
    return kept;
}

/* The view's texts last until its next layer only. */
static int begin_chunk(struct chunk *chunk, const struct bl_list_layer *layer)
{
    const struct bl_effect_attributes *in = &layer->attributes;
    struct bl_effect_attributes *attributes = &chunk->group.attributes;
    size_t n_bytes = strlen(in->source == NULL ? "" : in->source) + strlen(in->reason == NULL ? "" : in->reason) +
                     strlen(in->url == NULL ? "" : in->url) + strlen(in->actor == NULL ? "" : in->actor) + 4;
    char *at = realloc(chunk->texts, n_bytes);

    if (at == NULL)
        return BL_ENOMEM;
    chunk->texts = at;
    chunk->group = (struct bl_effect_group){layer->kind, *in, chunk->prefixes, 0};
    attributes->source = keep(in->source, &at);
    attributes->reason = keep(in->reason, &at);
    attributes->url = keep(in->url, &at);
    attributes->actor = keep(in->actor, &at);
    return BL_OK;
}

static int send_chunk(struct export *export)
{
    struct bl_codec_stream_part part = {&export->chunk.group, 0, export->chunk.group.n_prefixes};
    struct bl_codec_bytes message;
    int error;

    if (part.n == 0)
        return BL_OK;
    error = bl_codec_stream_encode_export(export->epoch, export->serial, &part, 0, &message);
    export->n_items += part.n;
    export->chunk.group.n_prefixes = 0;
    return error == BL_OK ? bl_stream_send(export->stream, &message) : error;
}

static int take_layer(struct export *export, const struct bl_list_layer *layer)
{
    struct chunk *chunk = &export->chunk;
    int error = BL_OK;

    if (chunk->group.n_prefixes == BL_CODEC_STREAM_ITEMS_MAX ||
        (chunk->group.n_prefixes != 0 && !is_alike(&chunk->group, layer)))
        error = send_chunk(export);
    if (error == BL_OK && chunk->group.n_prefixes == 0)
        error = begin_chunk(chunk, layer);
    if (error == BL_OK)
        chunk->prefixes[chunk->group.n_prefixes++] = layer->prefix;
    return error;
}

static int send_all(struct export *export, struct bl_view *view, struct bl_error_detail *detail)
{
    const struct bl_list_layer *layer = NULL;
    const struct bl_answer *answer = NULL;
    struct bl_codec_bytes message;
    int error = BL_OK;
    int more = 1;

    while (error == BL_OK && (more = bl_view_next(view, &layer, &answer)) == 1)
        if (is_wanted(export, layer))
            error = take_layer(export, layer);
    if (more < 0)
        error = bl_error_set(detail, more, "the view of the list ended early, try again");
    if (error == BL_OK)
        error = send_chunk(export);
    if (error == BL_OK)
        error = bl_codec_stream_encode_export(export->epoch, export->serial, NULL, export->n_items, &message);
    return error == BL_OK ? bl_stream_send(export->stream, &message) : error;
}

/* The read lock is held for the fork. */
static int open_view(struct export *export, struct bl_store *store, struct bl_view **view,
                     struct bl_error_detail *detail)
{
    int error;

    (void)pthread_rwlock_rdlock(&store->lock);
    export->epoch = bl_list_state_epoch(store->state);
    export->serial = bl_list_state_serial(store->state);
    error = bl_view_open(view, store->state, NULL, detail);
    (void)pthread_rwlock_unlock(&store->lock);
    return error;
}

static int run(struct export *export, struct bl_store *store, struct bl_error_detail *detail)
{
    struct bl_view *view;
    int error;

    if (atomic_fetch_add_explicit(&store->n_exports, 1, memory_order_relaxed) >= BL_EXPORT_MAX)
        error = bl_error_set(detail, BL_EFULL, "%d exports are under way, try again", BL_EXPORT_MAX);
    else
        error = open_view(export, store, &view, detail);
    if (error == BL_OK) {
        error = send_all(export, view, detail);
        bl_view_close(view);
    }
    (void)atomic_fetch_sub_explicit(&store->n_exports, 1, memory_order_relaxed);
    return error;
}

int bl_export_run(struct bl_stream *stream, void *context, const uint8_t *request, size_t length,
                  struct bl_error_detail *detail)
{
    struct export export = {.stream = stream};
    int error = bl_codec_stream_decode_export(request, length, &export.request, detail);

    export.chunk.prefixes = malloc(BL_CODEC_STREAM_ITEMS_MAX * sizeof(*export.chunk.prefixes));
    if (error == BL_OK)
        error = export.chunk.prefixes == NULL ? BL_ENOMEM : run(&export, context, detail);
    free(export.chunk.texts);
    free(export.chunk.prefixes);
    return error;
}
