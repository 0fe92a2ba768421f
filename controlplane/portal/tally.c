/* See tally.h. */
#include "controlplane/portal/tally.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct bl_tally {
    pthread_mutex_t lock;
    struct bl_tally_entry entries[BL_TALLY_REASONS_MAX];
    size_t n;
};

struct bl_tally *bl_tally_create(void)
{
    struct bl_tally *tally = calloc(1, sizeof(*tally));

    if (tally != NULL)
        (void)pthread_mutex_init(&tally->lock, NULL);
    return tally;
}

void bl_tally_free(struct bl_tally *tally)
{
    if (tally == NULL)
        return;
    (void)pthread_mutex_destroy(&tally->lock);
    free(tally);
}

void bl_tally_add_many(struct bl_tally *tally, const char *reason, uint64_t n)
{
    size_t i = 0;

    if (tally == NULL)
        return;
    (void)pthread_mutex_lock(&tally->lock);
    while (i < tally->n && strcmp(tally->entries[i].reason, reason) != 0)
        i++;
    if (i == BL_TALLY_REASONS_MAX)
        i--;
    else if (i == tally->n)
        tally->entries[tally->n++].reason = i == BL_TALLY_REASONS_MAX - 1 ? "other" : reason;
    tally->entries[i].n += n;
    (void)pthread_mutex_unlock(&tally->lock);
}

void bl_tally_add(struct bl_tally *tally, const char *reason)
{
    bl_tally_add_many(tally, reason, 1);
}

size_t bl_tally_take(struct bl_tally *tally, struct bl_tally_entry out[BL_TALLY_REASONS_MAX])
{
    size_t n;

    (void)pthread_mutex_lock(&tally->lock);
    n = tally->n;
    memcpy(out, tally->entries, n * sizeof(out[0]));
    memset(tally->entries, 0, sizeof(tally->entries));
    tally->n = 0;
    (void)pthread_mutex_unlock(&tally->lock);
    return n;
}
