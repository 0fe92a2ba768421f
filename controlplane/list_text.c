/* Strings held once and counted; see list_text.h. */
#include "controlplane/list_text.h"

#include <stdlib.h>
#include <string.h>

#include "bounceline/siphash.h"

enum { BUCKETS_FIRST = 64 };

int bl_list_texts_init(struct bl_list_texts *texts)
{
    *texts = (struct bl_list_texts){.n = 1, .n_max = 16, .n_buckets = BUCKETS_FIRST};
    texts->texts = calloc(texts->n_max, sizeof(*texts->texts));
    texts->buckets = calloc(texts->n_buckets, sizeof(*texts->buckets));
    if (texts->texts != NULL)
        texts->texts[0].bytes = strdup("");
    if (texts->texts == NULL || texts->buckets == NULL || texts->texts[0].bytes == NULL) {
        bl_list_texts_fini(texts);
        return BL_ENOMEM;
    }
    return BL_OK;
}

void bl_list_texts_fini(struct bl_list_texts *texts)
{
    for (uint32_t i = 0; texts->texts != NULL && i < texts->n; i++)
        free(texts->texts[i].bytes);
    free(texts->texts);
    free(texts->buckets);
    memset(texts, 0, sizeof(*texts));
}

static uint32_t *bucket_of(const struct bl_list_texts *texts, const char *bytes)
{
    /* Clients choose the strings: an address that they can't know keys the hash, so that they can't make chains long. */
    const struct bl_siphash_key key = {0x6c69737474657874ULL, (uintptr_t)texts};

    return &texts->buckets[bl_siphash(&key, bytes, strlen(bytes)) & (texts->n_buckets - 1)];
}

uint32_t bl_list_text_find(const struct bl_list_texts *texts, const char *bytes)
{
    uint32_t number = *bucket_of(texts, bytes);

    while (number != 0 && strcmp(texts->texts[number].bytes, bytes) != 0)
        number = texts->texts[number].next;
    return number;
}

static void put_in_bucket(struct bl_list_texts *texts, uint32_t number)
{
    uint32_t *bucket = bucket_of(texts, texts->texts[number].bytes);

    texts->texts[number].next = *bucket;
    *bucket = number;
}

/* Longer chains are slower, not wrong: without memory the buckets stay as they are. */
static void grow_buckets(struct bl_list_texts *texts)
{
    uint32_t *buckets = calloc((size_t)texts->n_buckets * 2, sizeof(*buckets));

    if (buckets == NULL)
        return;
    free(texts->buckets);
    texts->buckets = buckets;
    texts->n_buckets *= 2;
    for (uint32_t i = 1; i < texts->n; i++)
        if (texts->texts[i].bytes != NULL)
            put_in_bucket(texts, i);
}

static int take_number(struct bl_list_texts *texts, uint32_t *number)
{
    if (texts->first_free != 0) {
        *number = texts->first_free;
        texts->first_free = texts->texts[*number].next;
        texts->n_free--;
        return BL_OK;
    }
    if (texts->n == texts->n_max) {
        struct bl_list_text *more = realloc(texts->texts, (size_t)texts->n_max * 2 * sizeof(*more));

        if (more == NULL)
            return BL_ENOMEM;
        texts->texts = more;
        texts->n_max *= 2;
    }
    *number = texts->n++;
    texts->texts[*number].bytes = NULL;
    return BL_OK;
}

int bl_list_text_hold(struct bl_list_texts *texts, const char *bytes, uint32_t *number)
{
    char *copy;
    int error;

    if (bytes == NULL || bytes[0] == '\0') {
        *number = 0;
        return BL_OK;
    }
    *number = bl_list_text_find(texts, bytes);
    if (*number != 0) {
        texts->texts[*number].n_holds++;
        return BL_OK;
    }
    copy = strdup(bytes);
    if (copy == NULL)
        return BL_ENOMEM;
    error = take_number(texts, number);
    if (error != BL_OK) {
        free(copy);
        return error;
    }
    /* Before the new one is there: growing puts every string into its bucket. */
    if (texts->n - texts->n_free > texts->n_buckets)
        grow_buckets(texts);
    texts->texts[*number] = (struct bl_list_text){.bytes = copy, .n_holds = 1};
    put_in_bucket(texts, *number);
    return BL_OK;
}

void bl_list_text_hold_again(struct bl_list_texts *texts, uint32_t number)
{
    if (number != 0)
        texts->texts[number].n_holds++;
}

void bl_list_text_release(struct bl_list_texts *texts, uint32_t number)
{
    struct bl_list_text *text = &texts->texts[number];
    uint32_t *link;

    if (number == 0 || --text->n_holds != 0)
        return;
    for (link = bucket_of(texts, text->bytes); *link != number; link = &texts->texts[*link].next)
        ;
    *link = text->next;
    free(text->bytes);
    *text = (struct bl_list_text){.bytes = NULL, .next = texts->first_free};
    texts->first_free = number;
    texts->n_free++;
}
