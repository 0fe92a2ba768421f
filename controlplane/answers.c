/* The window of first answers: a ring, oldest out first, and a hash over it; see answers.h. */
#include "controlplane/answers.h"

#include <stdlib.h>
#include <string.h>

#include "bounceline/error.h"
#include "bounceline/siphash.h"

/* One answer; its strings and data lie behind it in one piece of memory. */
struct kept {
    struct bl_answer answer;
    struct kept *next; /* in its bucket */
    uint64_t hash;
    char memory[];
};

struct bl_answers {
    struct kept **ring;
    struct kept **buckets;
    size_t n_buckets; /* a power of two */
    size_t window;
    size_t first; /* the oldest */
    size_t n;
};

int bl_answers_create(struct bl_answers **out, size_t window)
{
    struct bl_answers *answers = calloc(1, sizeof(*answers));

    if (answers == NULL)
        return BL_ENOMEM;
    answers->window = window;
    for (answers->n_buckets = 16; answers->n_buckets < window; answers->n_buckets *= 2)
        ;
    answers->ring = calloc(window + 1, sizeof(struct kept *));
    answers->buckets = calloc(answers->n_buckets, sizeof(struct kept *));
    if (answers->ring == NULL || answers->buckets == NULL) {
        bl_answers_free(answers);
        return BL_ENOMEM;
    }
    *out = answers;
    return BL_OK;
}

void bl_answers_free(struct bl_answers *answers)
{
    if (answers == NULL)
        return;
    for (size_t i = 0; i < answers->n; i++)
        free(answers->ring[(answers->first + i) % answers->window]);
    free(answers->ring);
    free(answers->buckets);
    free(answers);
}

/* Clients choose the names: an address that they can't know keys the hash, so that they can't make chains long. */
static uint64_t hash_of(const struct bl_answers *answers, const char *actor, const char *session, uint64_t sequence)
{
    const struct bl_siphash_key key = {sequence, (uintptr_t)answers};

    return bl_siphash(&key, actor, strlen(actor)) ^ bl_siphash(&key, session, strlen(session) + 1);
}

static struct kept **bucket_of(const struct bl_answers *answers, uint64_t hash)
{
    return &answers->buckets[hash & (answers->n_buckets - 1)];
}

static struct kept *find(const struct bl_answers *answers, const char *actor, const char *session, uint64_t sequence)
{
    uint64_t hash = hash_of(answers, actor, session, sequence);
    struct kept *kept = *bucket_of(answers, hash);

    while (kept != NULL && (kept->hash != hash || kept->answer.sequence != sequence ||
                            strcmp(kept->answer.actor, actor) != 0 || strcmp(kept->answer.session, session) != 0))
        kept = kept->next;
    return kept;
}

static struct kept *copy(const struct bl_answers *answers, const struct bl_answer *answer)
{
    size_t actor_bytes = strlen(answer->actor) + 1;
    size_t session_bytes = strlen(answer->session) + 1;
    struct kept *kept = malloc(sizeof(*kept) + actor_bytes + session_bytes + answer->length);

    if (kept == NULL)
        return NULL;
    kept->answer = *answer;
    kept->hash = hash_of(answers, answer->actor, answer->session, answer->sequence);
    kept->answer.actor = memcpy(kept->memory, answer->actor, actor_bytes);
    kept->answer.session = memcpy(kept->memory + actor_bytes, answer->session, session_bytes);
    kept->answer.data = (const uint8_t *)kept->memory + actor_bytes + session_bytes;
    if (answer->length != 0)
        memcpy(kept->memory + actor_bytes + session_bytes, answer->data, answer->length);
    return kept;
}

static void drop_oldest(struct bl_answers *answers)
{
    struct kept *oldest = answers->ring[answers->first];
    struct kept **link = bucket_of(answers, oldest->hash);

    while (*link != oldest)
        link = &(*link)->next;
    *link = oldest->next;
    answers->first = (answers->first + 1) % answers->window;
    answers->n--;
    free(oldest);
}

int bl_answers_add(struct bl_answers *answers, const struct bl_answer *answer)
{
    struct kept **bucket;
    struct kept *kept;

    /* The first answer stands, whatever comes later by its name. */
    if (answer->session[0] == '\0' || answers->window == 0 ||
        find(answers, answer->actor, answer->session, answer->sequence) != NULL)
        return BL_OK;
    kept = copy(answers, answer);
    if (kept == NULL)
        return BL_ENOMEM;
    if (answers->n == answers->window)
        drop_oldest(answers);
    bucket = bucket_of(answers, kept->hash);
    kept->next = *bucket;
    *bucket = kept;
    answers->ring[(answers->first + answers->n++) % answers->window] = kept;
    return BL_OK;
}

int bl_answers_find(const struct bl_answers *answers, const char *actor, const char *session, uint64_t sequence,
                    uint64_t request_hash, struct bl_answer *answer)
{
    const struct kept *kept = find(answers, actor, session, sequence);

    if (session[0] == '\0' || kept == NULL)
        return BL_ENOENT;
    if (kept->answer.request_hash != request_hash)
        return BL_ECONFLICT;
    *answer = kept->answer;
    return BL_OK;
}

int bl_answers_each(const struct bl_answers *answers, int (*each)(void *context, const struct bl_answer *answer),
                    void *context)
{
    int result = 0;

    for (size_t i = 0; i < answers->n && result == 0; i++)
        result = each(context, &answers->ring[(answers->first + i) % answers->window]->answer);
    return result;
}
