/* Updates an actor and window; see limits.h. */
#include "controlplane/limits.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { WINDOWS = 3 };

struct window {
    int64_t since_ms;
    uint64_t n;
};

static const struct {
    int64_t length_ms;
    const char *text;
} kinds[WINDOWS] = {{1000, "a second"}, {60000, "a minute"}, {86400000, "a day"}};

static const char *const share_texts[BL_LIMITS_SHARES] = {"calls", "streams", "bytes of batches in flight"};

struct bl_limits {
    pthread_mutex_t lock; /* of the rest */
    struct bl_settings_actor actors[BL_SETTINGS_ACTORS_MAX];
    struct window windows[BL_SETTINGS_ACTORS_MAX][WINDOWS];
    uint64_t held[BL_SETTINGS_ACTORS_MAX][BL_LIMITS_SHARES];
    uint64_t n_refused[BL_SETTINGS_ACTORS_MAX];
};

int bl_limits_create(struct bl_limits **out, const struct bl_settings_controlplane *settings)
{
    struct bl_limits *limits = calloc(1, sizeof(*limits));

    if (limits == NULL)
        return BL_ENOMEM;
    memcpy(limits->actors, settings->actors, sizeof(limits->actors));
    (void)pthread_mutex_init(&limits->lock, NULL);
    *out = limits;
    return BL_OK;
}

void bl_limits_change(struct bl_limits *limits, uint32_t number, const struct bl_settings_actor *actor)
{
    (void)pthread_mutex_lock(&limits->lock);
    limits->actors[number - 1] = *actor;
    (void)pthread_mutex_unlock(&limits->lock);
}

void bl_limits_free(struct bl_limits *limits)
{
    (void)pthread_mutex_destroy(&limits->lock);
    free(limits);
}

static uint32_t limit_of(const struct bl_settings_actor *actor, int kind)
{
    const uint32_t all[WINDOWS] = {actor->updates_per_s, actor->updates_per_minute, actor->updates_per_day};

    return all[kind];
}

/* @return the first window that has no room for @n more; WINDOWS: none. */
static int find_full_locked(struct window *windows, const struct bl_settings_actor *actor, uint64_t n, int64_t now_ms)
{
    for (int i = 0; i < WINDOWS; i++) {
        uint32_t limit = limit_of(actor, i);

        if (now_ms - windows[i].since_ms >= kinds[i].length_ms || windows[i].n == 0)
            windows[i] = (struct window){now_ms, 0};
        if (limit != 0 && (n > limit || windows[i].n > limit - n))
            return i;
    }
    return WINDOWS;
}

int bl_limits_take(struct bl_limits *limits, const struct bl_actor *actor, uint64_t n, int64_t now_ms,
                   struct bl_error_detail *detail)
{
    const struct bl_settings_actor *settings;
    struct window *windows;
    int full;
    uint32_t limit = 0;
    int64_t left_ms = 0;

    if (actor->number == 0 || actor->number > BL_SETTINGS_ACTORS_MAX)
        return BL_OK;
    settings = &limits->actors[actor->number - 1];
    windows = limits->windows[actor->number - 1];
    (void)pthread_mutex_lock(&limits->lock);
    full = find_full_locked(windows, settings, n, now_ms);
    for (int i = 0; i < WINDOWS && full == WINDOWS; i++)
        windows[i].n += n;
    if (full < WINDOWS) {
        limits->n_refused[actor->number - 1] += n;
        limit = limit_of(settings, full);
        left_ms = windows[full].since_ms + kinds[full].length_ms - now_ms;
    }
    (void)pthread_mutex_unlock(&limits->lock);
    if (full == WINDOWS)
        return BL_OK;
    if (n > limit)
        return bl_error_set(detail, BL_EFULL, "actor %s: a batch of %llu, expected at most %u, the limit of %s",
                            actor->name, (unsigned long long)n, limit, kinds[full].text);
    return bl_error_set(detail, BL_EFULL, "actor %s: more than %u updates %s, try again in %lld s", actor->name, limit,
                        kinds[full].text, (long long)(left_ms + 999) / 1000);
}

static uint64_t share_of(const struct bl_settings_actor *actor, enum bl_limits_share share)
{
    const uint64_t all[BL_LIMITS_SHARES] = {actor->calls_max, actor->streams_max, (uint64_t)actor->in_flight_mb << 20};

    return all[share];
}

int bl_limits_hold(struct bl_limits *limits, const struct bl_actor *actor, enum bl_limits_share share, uint64_t n,
                   struct bl_error_detail *detail)
{
    uint64_t *held;
    uint64_t limit;
    bool full;

    if (actor->number == 0 || actor->number > BL_SETTINGS_ACTORS_MAX)
        return BL_OK;
    held = &limits->held[actor->number - 1][share];
    (void)pthread_mutex_lock(&limits->lock);
    limit = share_of(&limits->actors[actor->number - 1], share);
    full = limit != 0 && (n > limit || *held > limit - n);
    if (!full)
        *held += n;
    (void)pthread_mutex_unlock(&limits->lock);
    if (!full)
        return BL_OK;
    return bl_error_set(detail, BL_EFULL, "actor %s: more than %llu %s at a time, try again", actor->name,
                        (unsigned long long)limit, share_texts[share]);
}

void bl_limits_give_back(struct bl_limits *limits, uint32_t number, enum bl_limits_share share, uint64_t n)
{
    if (number == 0 || number > BL_SETTINGS_ACTORS_MAX)
        return;
    (void)pthread_mutex_lock(&limits->lock);
    limits->held[number - 1][share] -= n;
    (void)pthread_mutex_unlock(&limits->lock);
}

uint64_t bl_limits_refused(struct bl_limits *limits, uint32_t number)
{
    uint64_t n;

    (void)pthread_mutex_lock(&limits->lock);
    n = number == 0 || number > BL_SETTINGS_ACTORS_MAX ? 0 : limits->n_refused[number - 1];
    (void)pthread_mutex_unlock(&limits->lock);
    return n;
}
