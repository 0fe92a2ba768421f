/* The list at one serial; see export.h. */
#include "controlplane/export.h"

#include <stdlib.h>
#include <string.h>

#include "controlplane/codec_stream.h"
#include "controlplane/store.h"
#include "controlplane/view.h"

struct exporting {
    struct bl_stream *stream;
    struct bl_codec_export_request request;
    uint64_t epoch;
    uint64_t serial;
    uint64_t n_items;
    struct bl_effect_group group; /* the chunk in the making: layers that differ in their prefix only */
    struct bl_prefix *prefixes;   /* BL_CODEC_STREAM_ITEMS_MAX of them */
};

static bool is_wanted(const struct exporting *export, const struct bl_list_layer *layer)
{
    if (layer->kind != BL_EFFECT_LIST)
        return export->request.all_layers;
    return export->request.source[0] == '\0' || strcmp(layer->attributes.source, export->request.source) == 0;
}

static bool same_text(const char *a, const char *b)
{
    return a == b || strcmp(a, b) == 0; /* of a view: never NULL */
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

static int send_chunk(struct exporting *export)
{
    struct bl_codec_stream_part part = {&export->group, 0, export->group.n_prefixes};
    struct bl_codec_bytes message;
    int error;

    if (part.n == 0)
        return BL_OK;
    error = bl_codec_stream_encode_export(export->epoch, export->serial, &part, 0, &message);
    export->n_items += part.n;
    export->group.n_prefixes = 0;
    return error == BL_OK ? bl_stream_send(export->stream, &message) : error;
}

static int take_layer(struct exporting *export, const struct bl_list_layer *layer)
{
    int error = BL_OK;

    if (export->group.n_prefixes == BL_CODEC_STREAM_ITEMS_MAX ||
        (export->group.n_prefixes != 0 && !is_alike(&export->group, layer)))
        error = send_chunk(export);
    if (error == BL_OK && export->group.n_prefixes == 0)
        export->group = (struct bl_effect_group){layer->kind, layer->attributes, export->prefixes, 0};
    if (error == BL_OK)
        export->prefixes[export->group.n_prefixes++] = layer->prefix;
    return error;
}

static int send_all(struct exporting *export, struct bl_view *view, struct bl_error_detail *detail)
{
    size_t n_taken = 0;
    const struct bl_list_layer *layer = NULL;
    const struct bl_answer *answer = NULL;
    struct bl_codec_bytes message;
    int error = BL_OK;
    int more = 1;

    while (error == BL_OK && (more = bl_view_next(view, &layer, &answer)) == 1) {
        if (is_wanted(export, layer))
            error = take_layer(export, layer);
        /* Let go of the texts now and then; no chunk may be under way. */
        if (++n_taken % BL_CODEC_STREAM_ITEMS_MAX == 0 && error == BL_OK)
            error = send_chunk(export);
        if (n_taken % BL_CODEC_STREAM_ITEMS_MAX == 0)
            bl_view_forget(view);
    }
    if (more < 0)
        error = bl_error_set(detail, more, "the view of the list ended early, try again");
    if (error == BL_OK)
        error = send_chunk(export);
    if (error == BL_OK)
        error = bl_codec_stream_encode_export(export->epoch, export->serial, NULL, export->n_items, &message);
    return error == BL_OK ? bl_stream_send(export->stream, &message) : error;
}

/* The read lock is held for the fork. */
static int open_view(struct exporting *export, struct bl_store *store, struct bl_view **view,
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

static int run(struct exporting *export, struct bl_store *store, struct bl_error_detail *detail)
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
    struct exporting export = {.stream = stream};
    int error = bl_codec_stream_decode_export(request, length, &export.request, detail);

    export.prefixes = malloc(BL_CODEC_STREAM_ITEMS_MAX * sizeof(*export.prefixes));
    if (error == BL_OK)
        error = export.prefixes == NULL ? BL_ENOMEM : run(&export, context, detail);
    free(export.prefixes);
    return error;
}
