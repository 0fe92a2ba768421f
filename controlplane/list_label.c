/* What layers have in common, held once; see list_label.h. */
#include "controlplane/list_label.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "bounceline/siphash.h"

enum { BUCKETS_FIRST = 64 };

/* Behind next and n_holds, all is what it says. */
enum { BODY_AT = offsetof(struct bl_list_label, reason), BODY_BYTES = sizeof(struct bl_list_label) - BODY_AT };

int bl_list_labels_init(struct bl_list_labels *labels, uint32_t n_max)
{
    *labels = (struct bl_list_labels){.n_buckets = BUCKETS_FIRST};
    bl_list_pool_init(&labels->pool, sizeof(struct bl_list_label), n_max);
    labels->buckets = calloc(labels->n_buckets, sizeof(*labels->buckets));
    if (labels->buckets == NULL)
        return BL_ENOMEM;
    if (bl_list_texts_init(&labels->texts) != BL_OK)
        goto out_free;
    if (bl_list_texts_init(&labels->sources) != BL_OK)
        goto out_fini_texts;
    return BL_OK;
out_fini_texts:
    bl_list_texts_fini(&labels->texts);
out_free:
    free(labels->buckets);
    return BL_ENOMEM;
}

void bl_list_labels_fini(struct bl_list_labels *labels)
{
    bl_list_texts_fini(&labels->sources);
    bl_list_texts_fini(&labels->texts);
    free(labels->buckets);
    bl_list_pool_fini(&labels->pool);
}

static const uint8_t *body_of(const struct bl_list_label *label)
{
    return (const uint8_t *)label + BODY_AT;
}

/* Keyed as in list_text.c: clients choose what is in a label. */
static uint32_t *bucket_of(const struct bl_list_labels *labels, const struct bl_list_label *label)
{
    const struct bl_siphash_key key = {0x6c6973746c61626cULL, (uintptr_t)labels};

    return &labels->buckets[bl_siphash(&key, body_of(label), BODY_BYTES) & (labels->n_buckets - 1)];
}

static void put_in_bucket(struct bl_list_labels *labels, uint32_t number)
{
    struct bl_list_label *label = bl_list_label_at(labels, number);
    uint32_t *bucket = bucket_of(labels, label);

    label->next = *bucket;
    *bucket = number;
}

/* Longer chains are slower, not wrong: without memory the buckets stay as they are. */
static void grow_buckets(struct bl_list_labels *labels)
{
    uint32_t *before = labels->buckets;
    uint32_t n_before = labels->n_buckets;
    uint32_t *buckets = calloc((size_t)n_before * 2, sizeof(*buckets));

    if (buckets == NULL)
        return;
    labels->buckets = buckets;
    labels->n_buckets = n_before * 2;
    for (uint32_t i = 0; i < n_before; i++) {
        uint32_t next;

        for (uint32_t number = before[i]; number != 0; number = next) {
            next = bl_list_label_at(labels, number)->next;
            put_in_bucket(labels, number);
        }
    }
    free(before);
}

int bl_list_label_hold(struct bl_list_labels *labels, const struct bl_list_label *model, uint32_t *number)
{
    struct bl_list_label *label;
    uint32_t at = *bucket_of(labels, model);
    int error;

    for (; at != 0; at = label->next) {
        label = bl_list_label_at(labels, at);
        if (memcmp(body_of(label), body_of(model), BODY_BYTES) == 0) {
            label->n_holds++;
            *number = at;
            return BL_OK;
        }
    }
    error = bl_list_pool_reserve(&labels->pool, 1);
    if (error != BL_OK)
        return error;
    at = bl_list_pool_take(&labels->pool);
    label = bl_list_label_at(labels, at);
    *label = *model;
    label->n_holds = 1;
    bl_list_text_hold_again(&labels->texts, label->reason);
    bl_list_text_hold_again(&labels->texts, label->actor);
    bl_list_text_hold_again(&labels->texts, label->self_delists);
    bl_list_text_hold_again(&labels->sources, label->source);
    if (labels->n++ == labels->n_buckets)
        grow_buckets(labels);
    put_in_bucket(labels, at);
    *number = at;
    return BL_OK;
}

void bl_list_label_release_texts(struct bl_list_labels *labels, const struct bl_list_label *model)
{
    bl_list_text_release(&labels->texts, model->reason);
    bl_list_text_release(&labels->texts, model->actor);
    bl_list_text_release(&labels->texts, model->self_delists);
    bl_list_text_release(&labels->sources, model->source);
}

void bl_list_label_release(struct bl_list_labels *labels, uint32_t number)
{
    struct bl_list_label *label = bl_list_label_at(labels, number);
    uint32_t *link;

    if (--label->n_holds != 0)
        return;
    for (link = bucket_of(labels, label); *link != number; link = &bl_list_label_at(labels, *link)->next)
        ;
    *link = label->next;
    bl_list_label_release_texts(labels, label);
    bl_list_pool_give(&labels->pool, number);
    labels->n--;
}
