/** @file parcel.h
 * A message to a worker with what it carries (distribute → parcel → mailbox).
 *
 * A patch and a class table are shared by all workers and counted: one reference a parcel that carries them, one a worker
 * that still uses the class table. Only the main core counts, so that no atomic is needed. Blocks, sums and a repair's
 * bytes are of one parcel alone. Threads: main core only. */
#ifndef BL_PARCEL_H
#define BL_PARCEL_H

#include "dataplane/replica.h"

struct bl_parcel_patch {
    unsigned n_users;
    struct bl_table_patch *patch;
};

struct bl_parcel_classes {
    unsigned n_users;
    struct bl_class classes[BL_CLASS_COUNT];
};

/** `message` first, so that one is the other. */
struct bl_parcel {
    struct bl_message message;
    struct bl_parcel_patch *patch;
    struct bl_parcel_classes *classes;
    uint8_t *bytes; /**< of a repair */
};

/** A copy of the classes with one reference, or NULL. */
struct bl_parcel_classes *bl_parcel_share_classes(const struct bl_class *classes);

/** These take one reference away; NULL is fine. */
void bl_parcel_drop_classes(struct bl_parcel_classes *classes);
void bl_parcel_drop_patch(struct bl_parcel_patch *patch);

/** A block for a worker of that socket, a copy of @p master; rte_free() it. NULL: no memory. */
struct bl_table *bl_parcel_copy_master(const struct bl_table *master, int socket_id);

/** These make one parcel each, NULL: no memory. A patch and classes (may be NULL) get a reference more. */
struct bl_parcel *bl_parcel_create_patch(const struct bl_held *held, struct bl_parcel_patch *patch,
                                         struct bl_parcel_classes *classes);
struct bl_parcel *bl_parcel_create_switch(const struct bl_held *held, const struct bl_table *master, int socket_id,
                                          struct bl_parcel_classes *classes);
struct bl_parcel *bl_parcel_create_check(uint64_t round, const struct bl_table *master);

/** The region of @p master. @p held: what the worker has already. */
struct bl_parcel *bl_parcel_create_repair(const struct bl_held *held, const struct bl_table *master, size_t region);

/** With what came back in it. */
void bl_parcel_free(struct bl_parcel *parcel);

#endif
