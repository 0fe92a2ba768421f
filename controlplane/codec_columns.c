/* The layers of a snapshot's part by column; see codec_columns.h. */
#include "controlplane/codec_columns.h"

#include <stdlib.h>
#include <string.h>

#include "bounceline/v1/log.pb-c.h"

/* Rows in the making, and an open table of the labels by what they say. */
struct maker {
    Bounceline__V1__SnapshotLayers *message;
    const struct bl_effect_group **labels; /* a group that each stands for */
    uint32_t *slots;                       /* 0: free, else a label's number + 1 */
    size_t n_slots;                        /* a power of two, at least twice the rows */
    size_t n_rows;
};

static bool is_same_text(const char *a, const char *b)
{
    return a == b || strcmp(a == NULL ? "" : a, b == NULL ? "" : b) == 0;
}

/* What a label says of suppress_until_ms: of delists from observed_at_ms on, so that those of one grace have one label. For
 * any numbers, since it is taken back in the same way. */
static int64_t grace_of(const struct bl_effect_group *group)
{
    const struct bl_effect_attributes *attributes = &group->attributes;
    uint64_t base_ms = group->kind == BL_EFFECT_DELIST ? (uint64_t)attributes->observed_at_ms : 0;

    return (int64_t)((uint64_t)attributes->suppress_until_ms - base_ms);
}

static bool is_same_label(const struct bl_effect_group *a, const struct bl_effect_group *b)
{
    const struct bl_effect_attributes *x = &a->attributes;
    const struct bl_effect_attributes *y = &b->attributes;

    return a->kind == b->kind && x->code == y->code && x->action == y->action && x->self_service == y->self_service &&
           grace_of(a) == grace_of(b) && is_same_text(x->source, y->source) && is_same_text(x->reason, y->reason) &&
           is_same_text(x->url, y->url) && is_same_text(x->actor, y->actor) &&
           is_same_text(x->self_delists, y->self_delists);
}

/* FNV-1a: the texts of one part, in a table of twice their number; who sends bad ones slows one snapshot down. */
static uint64_t hash_text(uint64_t hash, const char *text)
{
    for (; text != NULL && *text != '\0'; text++)
        hash = (hash ^ (uint8_t)*text) * UINT64_C(0x100000001b3);
    return (hash ^ 0xff) * UINT64_C(0x100000001b3);
}

static uint32_t number_of(struct maker *maker, const struct bl_effect_group *group)
{
    const struct bl_effect_attributes *attributes = &group->attributes;
    uint64_t hash = hash_text(UINT64_C(0xcbf29ce484222325) ^ attributes->code, attributes->source);
    size_t slot;

    hash = hash_text(hash_text(hash, attributes->reason), attributes->actor);
    hash = hash_text(hash ^ (uint64_t)grace_of(group), attributes->self_delists);
    slot = (hash ^ hash >> 32) & (maker->n_slots - 1);
    for (; maker->slots[slot] != 0; slot = (slot + 1) & (maker->n_slots - 1))
        if (is_same_label(maker->labels[maker->slots[slot] - 1], group))
            return maker->slots[slot] - 1;
    maker->labels[maker->message->n_labels] = group;
    maker->slots[slot] = (uint32_t)++maker->message->n_labels;
    return maker->slots[slot] - 1;
}

/* The columns of one family: where its addresses and lengths go. */
static void add_rows(struct maker *maker, const struct bl_effect_group *group, uint8_t family,
                     ProtobufCBinaryData *addresses, ProtobufCBinaryData *lengths)
{
    Bounceline__V1__SnapshotLayers *message = maker->message;
    size_t width = family == BL_FAMILY_IPV4 ? 4 : 16;
    bool has_label = false;
    uint32_t label = 0;

    for (size_t i = 0; i < group->n_prefixes; i++) {
        size_t row = maker->n_rows;

        if (group->prefixes[i].family != family)
            continue;
        if (!has_label)
            label = number_of(maker, group);
        has_label = true;
        memcpy(addresses->data + addresses->len, group->prefixes[i].bytes, width);
        addresses->len += width;
        lengths->data[lengths->len++] = group->prefixes[i].length;
        message->label[row] = label;
        message->serial[row] = group->attributes.serial;
        message->observed_at_ms[row] = group->attributes.observed_at_ms;
        message->expires_at_ms[row] = group->attributes.expires_at_ms;
        maker->n_rows++;
    }
}

/* Times and serials are the layers' own; suppress_until_ms is said from observed_at_ms on. */
static int make_labels(struct bl_codec_columns *out, const struct maker *maker)
{
    size_t n = out->message->n_labels;
    Bounceline__V1__EffectGroup *labels = calloc(n + 1, sizeof(*labels));
    Bounceline__V1__EffectGroup **pointers = calloc(n + 1, sizeof(struct Bounceline__V1__EffectGroup *));

    out->memory[6] = labels;
    out->memory[7] = pointers;
    if (labels == NULL || pointers == NULL)
        return BL_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        bl_codec_columns_label(maker->labels[i], true, &labels[i]);
        labels[i].serial = 0;
        labels[i].observed_at_ms = 0;
        labels[i].expires_at_ms = 0;
        labels[i].suppress_until_ms = grace_of(maker->labels[i]);
        pointers[i] = &labels[i];
    }
    out->message->labels = pointers;
    return BL_OK;
}

static int make_columns(struct bl_codec_columns *out, size_t n)
{
    Bounceline__V1__SnapshotLayers *message = malloc(sizeof(*message));
    uint8_t *bytes = malloc(n * (4 + 1 + 16 + 1) + 1);

    out->message = message;
    out->memory[8] = message;
    out->memory[0] = bytes;
    if (message == NULL)
        return BL_ENOMEM;
    bounceline__v1__snapshot_layers__init(message);
    out->memory[1] = message->label = malloc(n * sizeof(*message->label) + 1);
    out->memory[2] = message->serial = malloc(n * sizeof(*message->serial) + 1);
    out->memory[3] = message->observed_at_ms = malloc(n * sizeof(*message->observed_at_ms) + 1);
    out->memory[4] = message->expires_at_ms = malloc(n * sizeof(*message->expires_at_ms) + 1);
    if (bytes == NULL || message->label == NULL || message->serial == NULL || message->observed_at_ms == NULL ||
        message->expires_at_ms == NULL)
        return BL_ENOMEM;
    message->ipv4_addresses.data = bytes;
    message->ipv4_lengths.data = bytes + n * 4;
    message->ipv6_addresses.data = bytes + n * 5;
    message->ipv6_lengths.data = bytes + n * 21;
    message->n_label = message->n_serial = message->n_observed_at_ms = message->n_expires_at_ms = n;
    return BL_OK;
}

int bl_codec_columns_make(const struct bl_effect_group *groups, size_t n_groups, struct bl_codec_columns *out)
{
    struct maker maker = {.n_slots = 16};
    size_t n = 0;
    int error;

    memset(out, 0, sizeof(*out));
    for (size_t i = 0; i < n_groups; i++)
        n += groups[i].n_prefixes;
    while (maker.n_slots < n * 2)
        maker.n_slots *= 2;
    error = make_columns(out, n);
    maker.message = out->message;
    maker.labels = calloc(n + 1, sizeof(*maker.labels));
    maker.slots = calloc(maker.n_slots, sizeof(*maker.slots));
    if (error == BL_OK && (maker.labels == NULL || maker.slots == NULL))
        error = BL_ENOMEM;
    for (size_t i = 0; i < n_groups && error == BL_OK; i++)
        add_rows(&maker, &groups[i], BL_FAMILY_IPV4, &out->message->ipv4_addresses, &out->message->ipv4_lengths);
    for (size_t i = 0; i < n_groups && error == BL_OK; i++)
        add_rows(&maker, &groups[i], BL_FAMILY_IPV6, &out->message->ipv6_addresses, &out->message->ipv6_lengths);
    if (error == BL_OK)
        error = make_labels(out, &maker);
    free(maker.labels);
    free(maker.slots);
    if (error != BL_OK)
        bl_codec_columns_fini(out);
    return error;
}

void bl_codec_columns_fini(struct bl_codec_columns *columns)
{
    for (size_t i = 0; i < sizeof(columns->memory) / sizeof(columns->memory[0]); i++)
        free(columns->memory[i]);
    memset(columns, 0, sizeof(*columns));
}

int bl_codec_columns_check(const Bounceline__V1__SnapshotLayers *in, size_t *n, struct bl_error_detail *detail)
{
    *n = in->ipv4_lengths.len + in->ipv6_lengths.len;
    if (in->ipv4_addresses.len != in->ipv4_lengths.len * 4 || in->ipv6_addresses.len != in->ipv6_lengths.len * 16 ||
        in->n_label != *n || in->n_serial != *n || in->n_observed_at_ms != *n || in->n_expires_at_ms != *n)
        return bl_error_set(detail, BL_EINVAL, "SnapshotLayers: columns of different lengths");
    for (size_t i = 0; i < in->n_labels; i++) {
        int error = bl_codec_columns_check_label(in->labels[i], detail);

        if (error != BL_OK)
            return error;
        if (in->labels[i]->ipv4_lengths.len != 0 || in->labels[i]->ipv6_lengths.len != 0)
            return bl_error_set(detail, BL_EINVAL, "SnapshotLayers: label %zu has prefixes", i);
    }
    for (size_t i = 0; i < *n; i++)
        if (in->label[i] >= in->n_labels)
            return bl_error_set(detail, BL_EINVAL, "SnapshotLayers: layer %zu has label %u of %zu", i, in->label[i],
                                in->n_labels);
    return BL_OK;
}

int bl_codec_columns_take(const Bounceline__V1__SnapshotLayers *in, struct bl_effect_group *groups,
                          struct bl_prefix *prefixes, struct bl_error_detail *detail)
{
    size_t n_ipv4 = in->ipv4_lengths.len;

    for (size_t i = 0; i < in->n_label; i++) {
        bool is_ipv4 = i < n_ipv4;
        struct bl_prefix *prefix = &prefixes[i];
        struct bl_effect_attributes *attributes = &groups[i].attributes;

        *prefix = (struct bl_prefix){.family = is_ipv4 ? BL_FAMILY_IPV4 : BL_FAMILY_IPV6};
        prefix->length = is_ipv4 ? in->ipv4_lengths.data[i] : in->ipv6_lengths.data[i - n_ipv4];
        if (is_ipv4)
            memcpy(prefix->bytes, in->ipv4_addresses.data + i * 4, 4);
        else
            memcpy(prefix->bytes, in->ipv6_addresses.data + (i - n_ipv4) * 16, 16);
        if (!bl_address_prefix_canonical(prefix))
            return bl_error_set(detail, BL_EINVAL, "SnapshotLayers: layer %zu is not on a prefix", i);
        bl_codec_columns_take_label(in->labels[in->label[i]], &groups[i]);
        attributes->serial = in->serial[i];
        attributes->observed_at_ms = in->observed_at_ms[i];
        attributes->expires_at_ms = in->expires_at_ms[i];
        if (groups[i].kind == BL_EFFECT_DELIST)
            attributes->suppress_until_ms =
                (int64_t)((uint64_t)attributes->suppress_until_ms + (uint64_t)in->observed_at_ms[i]);
        groups[i].prefixes = prefix;
        groups[i].n_prefixes = 1;
    }
    return BL_OK;
}
