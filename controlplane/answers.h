/** @file answers.h
 * The bounded window of first answers: (actor, session, sequence) → the answer, so that a retry gets it again, also
 * after a restart (it is folded from the log like the list). Oldest out first. Threads: writer thread only. */
#ifndef BL_ANSWERS_H
#define BL_ANSWERS_H

#include <stddef.h>
#include <stdint.h>

struct bl_answers;

struct bl_answer {
    const char *actor;
    const char *session;
    uint64_t sequence;
    uint64_t request_hash;
    uint64_t serial;
    const uint8_t *data; /**< encoded UpdateResult */
    size_t length;
};

int bl_answers_create(struct bl_answers **out, size_t window);
void bl_answers_free(struct bl_answers *answers);

/** Keeps a copy. An empty session is not kept. @return 0 or BL_ENOMEM. */
int bl_answers_add(struct bl_answers *answers, const struct bl_answer *answer);

/** @return 0 with *answer (the window's own memory), BL_ENOENT, or BL_ECONFLICT: known by that name with another
 * request hash. */
int bl_answers_find(const struct bl_answers *answers, const char *actor, const char *session, uint64_t sequence,
                    uint64_t request_hash, struct bl_answer *answer);

/** Oldest first. A non-zero return of @p each ends it and is returned. */
int bl_answers_each(const struct bl_answers *answers, int (*each)(void *context, const struct bl_answer *answer),
                    void *context);

#endif
