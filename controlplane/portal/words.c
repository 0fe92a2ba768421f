/* See words.h. */
#include "controlplane/portal/words.h"

#include <inttypes.h>
#include <stdio.h>

#include "controlplane/batch.h"

void bl_words_add(struct bl_words *words, const char *name, const char *value)
{
    if (words->n < BL_WORDS_MAX)
        words->values[words->n++] = (struct bl_page_value){name, value};
}

static char *make(struct bl_words *words)
{
    return words->made[words->n_made < BL_WORDS_MADE - 1 ? words->n_made++ : words->n_made];
}

void bl_words_add_number(struct bl_words *words, const char *name, uint64_t value)
{
    char *text = make(words);

    (void)snprintf(text, sizeof(words->made[0]), "%" PRIu64, value);
    bl_words_add(words, name, text);
}

void bl_words_init(struct bl_words *words, const struct bl_settings_portal *settings)
{
    words->n = 0;
    words->n_made = 0;
    bl_words_add(words, "operator", settings->operator_name);
    bl_words_add(words, "contact", settings->contact);
    bl_words_add(words, "base_url", settings->base_url);
    bl_words_add_number(words, "lifetime", settings->link_lifetime_s / 60);
}

static const char *when(bool condition)
{
    return condition ? "1" : NULL;
}

static void add_result(struct bl_words *words, const struct bl_control_result *result)
{
    char *took = make(words);

    bl_words_add(words, "removed", when(result->outcome == BL_OUTCOME_REMOVED));
    bl_words_add(words, "exempted", when(result->outcome == BL_OUTCOME_EXEMPTED));
    bl_words_add(words, "not_listed",
                 when(result->outcome == BL_OUTCOME_NOT_LISTED || result->outcome == BL_OUTCOME_UNCHANGED ||
                      result->outcome == BL_OUTCOME_APPLIED));
    bl_words_add(words, "refused", when(result->outcome == BL_OUTCOME_REFUSED));
    bl_words_add(words, "done", when(result->outcome != BL_OUTCOME_REFUSED));
    bl_words_add(words, "too_often", when(result->refusal == BL_REFUSAL_QUOTA));
    bl_words_add(words, "enforced", when(result->enforced));
    bl_words_add_number(words, "serial", result->serial);
    bl_words_add_number(words, "n_enforced", result->n_enforced);
    bl_words_add_number(words, "n_connected", result->n_connected);
    (void)snprintf(took, sizeof(words->made[0]), "%.1f", (double)result->took_us / 1000);
    bl_words_add(words, "took", took);
}

void bl_words_add_request(struct bl_words *words, const struct bl_secret *secret, const struct bl_request *request)
{
    char token[BL_SECRET_TOKEN_CHARS + 1];
    char *path = make(words);

    bl_secret_make_token(secret, request->nonce, token);
    (void)snprintf(path, sizeof(words->made[0]), "/c/%s", token);
    bl_words_add(words, "path", path);
    bl_words_add(words, "email", request->email);
    bl_words_add(words, "address", request->address);
    bl_words_add(words, "range", when(request->n_addresses > 0));
    bl_words_add(words, "named", when(request->named));
    if (request->state == BL_REQUEST_DONE)
        add_result(words, &request->result);
}
