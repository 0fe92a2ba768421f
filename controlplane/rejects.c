/* Rejects on their way from the data planes to whoever asks; see rejects.h. */
#include "controlplane/rejects.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "controlplane/clock.h"
#include "controlplane/rejects_file.h"

enum {
    BATCH = 256,  /* taken out of the queue at once */
    LOOKUPS = 16, /* under one hold of the list's lock: some 50 µs */
};

/* Keys of the sketches: no padding, all of it written. */
struct source_key {
    struct bl_address address;
};

struct listing_key {
    struct bl_prefix prefix;
    char source[BL_REJECT_SOURCE_MAX];
};

_Static_assert(sizeof(struct source_key) == 17 && sizeof(struct listing_key) == 18 + BL_REJECT_SOURCE_MAX &&
                   sizeof(struct listing_key) <= BL_SKETCH_KEY_MAX,
               "keys are compared by their bytes");

struct queued {
    struct bl_codec_sync_reject sample;
    char dataplane[BL_CODEC_SYNC_NAME_MAX];
};

/* Three locks, never held together: the queue's, for who brings; the ring's, for who lists, which may walk all of it; the
 * sketches', held for moments only, since a lookup asks under the list's lock. */
struct bl_rejects {
    struct bl_store *store;
    uint64_t instance;
    int64_t since_ms;
    pthread_t thread;

    pthread_mutex_t queue_lock; /* of the next */
    pthread_cond_t is_filled;
    bool stop;
    uint64_t n_taken;
    uint64_t n_lost;
    size_t first;
    size_t n_queued;
    struct queued queue[BL_REJECTS_QUEUE];

    pthread_mutex_t ring_lock; /* of the next */
    struct bl_reject_ring *ring;
    struct bl_rejects_file_counts file_counts;

    pthread_mutex_t sketch_lock; /* of the next */
    struct bl_sketch *sources;
    struct bl_sketch *listings;

    struct bl_rejects_file *file; /* the thread's own, as all below; NULL: none is wanted */
    struct bl_list_layer layers[BL_LIST_LAYERS_MAX];
    struct bl_reject batch[BATCH];
};

void bl_rejects_push(struct bl_rejects *rejects, const char *dataplane, const struct bl_codec_sync_rejects *samples)
{
    size_t n;

    (void)pthread_mutex_lock(&rejects->queue_lock);
    n = BL_REJECTS_QUEUE - rejects->n_queued;
    n = samples->n < n ? samples->n : n;
    for (size_t i = 0; i < n; i++) {
        struct queued *queued = &rejects->queue[(rejects->first + rejects->n_queued++) % BL_REJECTS_QUEUE];

        queued->sample = samples->rejects[i];
        memccpy(queued->dataplane, dataplane, '\0', sizeof(queued->dataplane));
    }
    rejects->n_taken += n;
    rejects->n_lost += samples->n - n;
    (void)pthread_cond_signal(&rejects->is_filled);
    (void)pthread_mutex_unlock(&rejects->queue_lock);
}

/* @return how many were taken into the batch; 0: it is to end. */
static size_t take_batch(struct bl_rejects *rejects)
{
    size_t n;

    (void)pthread_mutex_lock(&rejects->queue_lock);
    while (rejects->n_queued == 0 && !rejects->stop)
        (void)pthread_cond_wait(&rejects->is_filled, &rejects->queue_lock);
    n = rejects->n_queued < BATCH ? rejects->n_queued : BATCH;
    for (size_t i = 0; i < n; i++) {
        const struct queued *queued = &rejects->queue[(rejects->first + i) % BL_REJECTS_QUEUE];

        memset(&rejects->batch[i], 0, sizeof(rejects->batch[i]));
        rejects->batch[i].sample = queued->sample;
        memcpy(rejects->batch[i].dataplane, queued->dataplane, sizeof(queued->dataplane));
    }
    rejects->first = (rejects->first + n) % BL_REJECTS_QUEUE;
    rejects->n_queued -= n;
    (void)pthread_mutex_unlock(&rejects->queue_lock);
    return n;
}

/* A listing that means what the class means. A delist that came in between leaves it in its place, suppressed. */
static bool is_behind(const struct bl_list_layer *layer, const struct bl_class *class)
{
    return layer->kind == BL_EFFECT_LIST && layer->attributes.code == class->code &&
           layer->attributes.action == class->action && strcmp(layer->attributes.url, class->url) == 0;
}

/* Under the list's read lock. The worker said the class by its table of then, the list is of now: where the two no
 * longer agree, the strongest listing of that meaning is the likeliest. */
static void explain(struct bl_rejects *rejects, struct bl_reject *reject)
{
    const struct bl_list_state *state = rejects->store->state;
    const struct bl_class *class = &bl_list_state_classes(state)[reject->sample.class_id];
    const struct bl_prefix prefix = bl_address_host_prefix(&reject->sample.source);
    uint8_t class_id;
    size_t n = bl_list_state_lookup(state, &prefix, rejects->layers, BL_LIST_LAYERS_MAX, &class_id);

    reject->code = class->code;
    reject->action = class->action;
    for (size_t i = 0; i < n; i++) {
        if (class->code == 0 || !is_behind(&rejects->layers[i], class))
            continue;
        reject->listing = rejects->layers[i].prefix;
        (void)memccpy(reject->listing_source, rejects->layers[i].attributes.source, '\0', BL_REJECT_SOURCE_MAX - 1);
        return;
    }
}

static void explain_batch(struct bl_rejects *rejects, size_t n)
{
    for (size_t from = 0; from < n; from += LOOKUPS) {
        (void)pthread_rwlock_rdlock(&rejects->store->lock);
        for (size_t i = from; i < n && i < from + LOOKUPS; i++)
            explain(rejects, &rejects->batch[i]);
        (void)pthread_rwlock_unlock(&rejects->store->lock);
    }
}

static struct listing_key listing_key(const struct bl_prefix *prefix, const char *source)
{
    struct listing_key key = {.prefix = *prefix};

    (void)memccpy(key.source, source, '\0', sizeof(key.source) - 1);
    return key;
}

/* Of the events that a sample stands for one is its source's; the others were anybody's. */
static void count(struct bl_sketch *sketch, const void *key, const struct bl_codec_sync_reject *sample)
{
    bl_sketch_add(sketch, key, sample->weight, 1, sample->time_ms);
}

static void keep_batch(struct bl_rejects *rejects, size_t n)
{
    (void)pthread_mutex_lock(&rejects->sketch_lock);
    for (size_t i = 0; i < n; i++) {
        const struct bl_reject *reject = &rejects->batch[i];
        const struct source_key source = {reject->sample.source};

        if (!bl_verdict_is_final(reject->sample.reason))
            continue;
        count(rejects->sources, &source, &reject->sample);
        if (reject->listing.family != BL_FAMILY_NONE) {
            const struct listing_key listing = listing_key(&reject->listing, reject->listing_source);

            count(rejects->listings, &listing, &reject->sample);
        }
    }
    (void)pthread_mutex_unlock(&rejects->sketch_lock);
    (void)pthread_mutex_lock(&rejects->ring_lock);
    for (size_t i = 0; i < n; i++)
        bl_reject_ring_push(rejects->ring, &rejects->batch[i]);
    (void)pthread_mutex_unlock(&rejects->ring_lock);
}

static void write_batch(struct bl_rejects *rejects, size_t n)
{
    struct bl_rejects_file_counts counts = {0};

    if (rejects->file == NULL)
        return;
    bl_rejects_file_write(rejects->file, rejects->batch, n, &counts);
    (void)pthread_mutex_lock(&rejects->ring_lock);
    rejects->file_counts.n_written += counts.n_written;
    rejects->file_counts.n_lost += counts.n_lost;
    (void)pthread_mutex_unlock(&rejects->ring_lock);
}

static void *run(void *context)
{
    struct bl_rejects *rejects = context;
    size_t n;

    while ((n = take_batch(rejects)) != 0) {
        explain_batch(rejects, n);
        keep_batch(rejects, n);
        write_batch(rejects, n);
    }
    return NULL;
}

/* Everything but the thread. */
static int make_parts(struct bl_rejects *rejects, struct bl_error_detail *detail)
{
    const struct bl_settings_controlplane *settings = rejects->store->settings;
    struct bl_siphash_key secret;
    int error;

    if (getrandom(&secret, sizeof(secret), 0) != (ssize_t)sizeof(secret) ||
        getrandom(&rejects->instance, sizeof(rejects->instance), 0) != (ssize_t)sizeof(rejects->instance))
        return bl_error_set(detail, BL_EIO, "no random numbers from the system: %s", strerror(errno));
    rejects->instance |= 1; /* 0 is a client's that has none yet */
    error = bl_reject_ring_create(&rejects->ring, settings->rejects_kept);
    if (error == BL_OK)
        error = bl_sketch_create(&rejects->sources, BL_REJECTS_COUNTED, sizeof(struct source_key), secret);
    if (error == BL_OK)
        error = bl_sketch_create(&rejects->listings, BL_REJECTS_COUNTED, sizeof(struct listing_key), secret);
    if (error == BL_OK && settings->rejects_file[0] != '\0')
        error = bl_rejects_file_open(&rejects->file,
                                     &(struct bl_rejects_file_options){settings->rejects_file,
                                                                       (uint64_t)settings->rejects_file_mb << 20,
                                                                       settings->rejects_files},
                                     detail);
    return error;
}

static void free_parts(struct bl_rejects *rejects)
{
    bl_rejects_file_close(rejects->file);
    bl_sketch_free(rejects->sources);
    bl_sketch_free(rejects->listings);
    bl_reject_ring_free(rejects->ring);
    (void)pthread_cond_destroy(&rejects->is_filled);
    (void)pthread_mutex_destroy(&rejects->queue_lock);
    (void)pthread_mutex_destroy(&rejects->ring_lock);
    (void)pthread_mutex_destroy(&rejects->sketch_lock);
    free(rejects);
}

int bl_rejects_create(struct bl_rejects **out, struct bl_store *store, struct bl_error_detail *detail)
{
    struct bl_rejects *rejects = calloc(1, sizeof(*rejects));
    int error;

    if (rejects == NULL)
        return BL_ENOMEM;
    rejects->store = store;
    rejects->since_ms = bl_clock_wall_ms();
    (void)pthread_mutex_init(&rejects->queue_lock, NULL);
    (void)pthread_mutex_init(&rejects->ring_lock, NULL);
    (void)pthread_mutex_init(&rejects->sketch_lock, NULL);
    (void)pthread_cond_init(&rejects->is_filled, NULL);
    error = make_parts(rejects, detail);
    if (error == BL_OK && pthread_create(&rejects->thread, NULL, run, rejects) != 0)
        error = BL_EIO;
    if (error != BL_OK) {
        free_parts(rejects);
        return error;
    }
    *out = rejects;
    return BL_OK;
}

void bl_rejects_free(struct bl_rejects *rejects)
{
    (void)pthread_mutex_lock(&rejects->queue_lock);
    rejects->stop = true;
    (void)pthread_cond_signal(&rejects->is_filled);
    (void)pthread_mutex_unlock(&rejects->queue_lock);
    (void)pthread_join(rejects->thread, NULL);
    free_parts(rejects);
}

uint64_t bl_rejects_instance(const struct bl_rejects *rejects)
{
    return rejects->instance;
}

void bl_rejects_find(struct bl_rejects *rejects, const struct bl_reject_query *query, struct bl_reject *out, size_t max,
                     struct bl_reject_answer *answer)
{
    (void)pthread_mutex_lock(&rejects->ring_lock);
    bl_reject_ring_find(rejects->ring, query, out, max, answer);
    (void)pthread_mutex_unlock(&rejects->ring_lock);
}

static void take_item(enum bl_rejects_top kind, const struct bl_sketch_item *in, struct bl_rejects_item *out)
{
    *out = (struct bl_rejects_item){.n_events = in->count, .error = in->error, .last_ms = in->last_ms};
    if (kind == BL_REJECTS_TOP_SOURCES) {
        struct source_key key;

        memcpy(&key, in->key, sizeof(key));
        out->prefix = bl_address_host_prefix(&key.address);
    } else {
        struct listing_key key;

        memcpy(&key, in->key, sizeof(key));
        out->prefix = key.prefix;
        memcpy(out->source, key.source, sizeof(out->source));
    }
}

size_t bl_rejects_top(struct bl_rejects *rejects, enum bl_rejects_top kind, struct bl_rejects_item *items, size_t max,
                      struct bl_rejects_total *total)
{
    const struct bl_sketch *sketch = kind == BL_REJECTS_TOP_SOURCES ? rejects->sources : rejects->listings;
    size_t n_max = max < BL_REJECTS_COUNTED ? max : BL_REJECTS_COUNTED;
    struct bl_sketch_item *found = calloc(n_max + 1, sizeof(*found));
    size_t n = 0;

    *total = (struct bl_rejects_total){0, rejects->since_ms};
    if (found == NULL)
        return 0;
    (void)pthread_mutex_lock(&rejects->sketch_lock);
    n = bl_sketch_top(sketch, found, n_max);
    total->n_events = bl_sketch_total(sketch);
    (void)pthread_mutex_unlock(&rejects->sketch_lock);
    for (size_t i = 0; i < n; i++)
        take_item(kind, &found[i], &items[i]);
    free(found);
    return n;
}

void bl_rejects_hits(struct bl_rejects *rejects, const struct bl_prefix *prefix, const char *source,
                     struct bl_rejects_item *item)
{
    const struct listing_key key = listing_key(prefix, source);
    struct bl_sketch_item found;
    int error;

    *item = (struct bl_rejects_item){0};
    (void)pthread_mutex_lock(&rejects->sketch_lock);
    error = bl_sketch_find(rejects->listings, &key, &found);
    (void)pthread_mutex_unlock(&rejects->sketch_lock);
    if (error == BL_OK)
        take_item(BL_REJECTS_TOP_LISTINGS, &found, item);
}

void bl_rejects_count(struct bl_rejects *rejects, struct bl_rejects_counts *counts)
{
    (void)pthread_mutex_lock(&rejects->queue_lock);
    counts->n_taken = rejects->n_taken;
    counts->n_lost = rejects->n_lost;
    (void)pthread_mutex_unlock(&rejects->queue_lock);
    (void)pthread_mutex_lock(&rejects->ring_lock);
    counts->n_lines = rejects->file_counts.n_written;
    counts->n_lines_lost = rejects->file_counts.n_lost;
    (void)pthread_mutex_unlock(&rejects->ring_lock);
}
