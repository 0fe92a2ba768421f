/* Makes and frees parcels; see parcel.h. */
#include "dataplane/parcel.h"

#include <stdlib.h>
#include <string.h>

#include <rte_malloc.h>

#include "dataplane/table_build.h"

void bl_parcel_drop_patch(struct bl_parcel_patch *patch)
{
    if (patch == NULL || --patch->n_users > 0)
        return;
    bl_table_patch_free(patch->patch);
    free(patch);
}

void bl_parcel_drop_classes(struct bl_parcel_classes *classes)
{
    if (classes == NULL || --classes->n_users > 0)
        return;
    free(classes);
}

struct bl_parcel_classes *bl_parcel_share_classes(const struct bl_class *classes)
{
    struct bl_parcel_classes *shared = calloc(1, sizeof(*shared));

    if (shared == NULL)
        return NULL;
    shared->n_users = 1;
    memcpy(shared->classes, classes, sizeof(shared->classes));
    return shared;
}

struct bl_table *bl_parcel_copy_master(const struct bl_table *master, int socket_id)
{
    size_t size = bl_table_size(master);
    struct bl_table *copy = rte_malloc_socket("bl_replica", size, BL_TABLE_ALIGN, socket_id);

    if (copy != NULL)
        memcpy(copy, master, size);
    return copy;
}

static struct bl_parcel *create(enum bl_message_kind kind, const struct bl_held *held,
                                struct bl_parcel_classes *classes)
{
    struct bl_parcel *parcel = calloc(1, sizeof(*parcel));

    if (parcel == NULL)
        return NULL;
    parcel->message.kind = kind;
    parcel->message.held = *held;
    parcel->classes = classes;
    if (classes != NULL) {
        classes->n_users++;
        parcel->message.classes = classes->classes;
    }
    return parcel;
}

struct bl_parcel *bl_parcel_create_patch(const struct bl_held *held, struct bl_parcel_patch *patch,
                                         struct bl_parcel_classes *classes)
{
    struct bl_parcel *parcel = create(BL_MESSAGE_PATCH, held, classes);

    if (parcel == NULL)
        return NULL;
    parcel->patch = patch;
    patch->n_users++;
    parcel->message.patch = patch->patch;
    return parcel;
}

struct bl_parcel *bl_parcel_create_switch(const struct bl_held *held, const struct bl_table *master, int socket_id,
                                          struct bl_parcel_classes *classes)
{
    struct bl_parcel *parcel = create(BL_MESSAGE_SWITCH, held, classes);

    if (parcel == NULL)
        return NULL;
    parcel->message.n_bytes = bl_table_size(master);
    parcel->message.table = bl_parcel_copy_master(master, socket_id);
    if (parcel->message.table == NULL) {
        bl_parcel_free(parcel);
        return NULL;
    }
    return parcel;
}

struct bl_parcel *bl_parcel_create_check(uint64_t round, const struct bl_table *master)
{
    const struct bl_held none = {.epoch = 0};
    struct bl_parcel *parcel = create(BL_MESSAGE_CHECK, &none, NULL);

    if (parcel == NULL)
        return NULL;
    parcel->message.round = round;
    parcel->message.sums = bl_replica_create_sums(bl_table_size(master));
    if (parcel->message.sums == NULL) {
        bl_parcel_free(parcel);
        return NULL;
    }
    return parcel;
}

struct bl_parcel *bl_parcel_create_repair(const struct bl_held *held, const struct bl_table *master, size_t region)
{
    struct bl_parcel *parcel = create(BL_MESSAGE_REPAIR, held, NULL);
    size_t offset = region * BL_REPLICA_REGION_BYTES;
    size_t left = bl_table_size(master) - offset;
    size_t length = left < BL_REPLICA_REGION_BYTES ? left : BL_REPLICA_REGION_BYTES;

    if (parcel == NULL)
        return NULL;
    parcel->bytes = malloc(length);
    if (parcel->bytes == NULL) {
        bl_parcel_free(parcel);
        return NULL;
    }
    memcpy(parcel->bytes, (const uint8_t *)master + offset, length);
    parcel->message.bytes = parcel->bytes;
    parcel->message.offset = offset;
    parcel->message.n_bytes = length;
    return parcel;
}

void bl_parcel_free(struct bl_parcel *parcel)
{
    bl_parcel_drop_patch(parcel->patch);
    bl_parcel_drop_classes(parcel->classes);
    rte_free(parcel->message.table);
    free(parcel->message.sums);
    free(parcel->bytes);
    free(parcel);
}
