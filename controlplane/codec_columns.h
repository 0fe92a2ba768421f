/** @file codec_columns.h
 * The layers of a snapshot's part by column (codec_log.c calls): what layers have in common is said once, as a label, and
 * each layer is a number of a label, an address, a length, a serial and two times.
 *
 * In prefix order neighbours are rarely of one feed, and a group for each took 84 bytes and most of a start. A codec file.
 * Threads: any. */
#ifndef BL_CODEC_COLUMNS_H
#define BL_CODEC_COLUMNS_H

#include "bounceline/error.h"
#include "controlplane/record.h"

struct Bounceline__V1__EffectGroup;
struct Bounceline__V1__SnapshotLayers;

/** A message in the making, and the memory behind it. */
struct bl_codec_columns {
    struct Bounceline__V1__SnapshotLayers *message;
    void *memory[9];
};

/** Makes the message of all prefixes of the groups: IPv4 first, then IPv6, else in order. It borrows the groups' strings.
 * @return 0 or BL_ENOMEM with nothing to fini. */
int bl_codec_columns_make(const struct bl_effect_group *groups, size_t n_groups, struct bl_codec_columns *out);
void bl_codec_columns_fini(struct bl_codec_columns *columns);

/** Checks that the columns are of one length and that the labels are there. @return 0 or BL_EINVAL; *n is the number of
 * layers. */
int bl_codec_columns_check(const struct Bounceline__V1__SnapshotLayers *in, size_t *n, struct bl_error_detail *detail);

/** Writes each layer as a group of one prefix; strings are the message's. For a message that was checked. @return 0 or
 * BL_EINVAL: an address is not a prefix. */
int bl_codec_columns_take(const struct Bounceline__V1__SnapshotLayers *in, struct bl_effect_group *groups,
                          struct bl_prefix *prefixes, struct bl_error_detail *detail);

/** As codec_log.c says them: everything but the prefixes; of a record without actor and serial. */
void bl_codec_columns_label(const struct bl_effect_group *in, bool snapshot, struct Bounceline__V1__EffectGroup *out);
int bl_codec_columns_check_label(const struct Bounceline__V1__EffectGroup *in, struct bl_error_detail *detail);
void bl_codec_columns_take_label(const struct Bounceline__V1__EffectGroup *in, struct bl_effect_group *out);

#endif
