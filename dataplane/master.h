/** @file master.h
 * The main core's table and how messages of the control plane change it (feed → master → table_build, distribute).
 *
 * Holds one committed state: a master table with its class table, epoch, serial and digest. A snapshot is built aside,
 * deltas that come between its chunks too, and replaces it at its last chunk; any other delta is applied to it and
 * committed when its digest is right. A message that does not fit is refused whole and the workers keep what they have:
 * after a delta that could not be completed the master is given up, because it was half changed, and the next snapshot
 * makes a new one. Threads: main core only. */
#ifndef BL_MASTER_H
#define BL_MASTER_H

#include <stdbool.h>

#include "dataplane/distribute.h"
#include "dataplane/keeper.h"
#include "dataplane/sync_codec.h"

struct bl_master;

/** Starts with the state that a table file holds, and the workers with it; with NULL empty, and the workers with an empty
 * table. @p distribute is borrowed. @return 0; BL_EDIGEST (its digest is not that of its entries), BL_ENOMEM, BL_EFULL or
 * BL_EIO: then nothing has started, and may be without the file. Threads: before workers start. */
int bl_master_create(struct bl_master **out, struct bl_distribute *distribute, const struct bl_table_file *table,
                     struct bl_error_detail *detail);

/** Every change goes to @p keeper too (borrowed), from now on. */
void bl_master_set_keeper(struct bl_master *master, struct bl_keeper *keeper);
void bl_master_free(struct bl_master *master);

/** Takes in a snapshot's chunk or a delta. @return 0, BL_EORDER (not what comes next), BL_EDIGEST, BL_EINVAL, BL_EFULL or
 * BL_ENOMEM: what was enforced stays so. */
int bl_master_apply(struct bl_master *master, const struct bl_sync_message *message, struct bl_error_detail *detail);

/** The connection ended: a snapshot or delta that was not complete will not be. */
void bl_master_interrupt(struct bl_master *master);

/** Gives the master up: the next hello says that nothing is held. The workers keep what they have. */
void bl_master_forget(struct bl_master *master);

/** The committed state; epoch 0 when there is none. */
struct bl_held bl_master_held(const struct bl_master *master);

/** The block in its committed state, to copy replicas from; NULL when there is none now. Valid until the next apply. */
const struct bl_table *bl_master_table(const struct bl_master *master);

#endif
