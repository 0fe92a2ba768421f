/** @file list_carve.h
 * A list with holes as one without: each listing that has exclusions in it becomes the fewest prefixes that leave them
 * out (list_file.c calls; list_format.c cuts ranges with the same tool). Pure but for the heap. */
#ifndef BL_LIST_CARVE_H
#define BL_LIST_CARVE_H

#include "controlplane/cli/list_file.h"

/** Carves the exclusions of a sorted array out of its listings. The longest prefix decides, of equal ones the exclusion;
 * @p by_octets: lengths are compared by the whole octets that they need, as rbldnsd's ip4set stores them.
 * @p out gets an array to be freed, sorted, without exclusions; a prefix of it may be there twice.
 * @return 0, BL_ENOMEM, or BL_ETOOBIG: more than BL_LIST_FILE_ENTRIES_MAX. */
int bl_list_carve(const struct bl_list_file_entry *entries, size_t n, bool by_octets, struct bl_list_file_entry **out,
                  size_t *n_out);

/** The last address of @p prefix, in network order. */
void bl_list_carve_last(const struct bl_prefix *prefix, uint8_t bytes[16]);

/** The lower (@p side 0) or upper half; of a full length there is none. */
struct bl_prefix bl_list_carve_half(const struct bl_prefix *prefix, int side);

#endif
