/** @file table_plain.h
 * What the table must say, for millions of prefixes and 10^8 lookups, where table_oracle.h takes too long: a hash map of
 * the prefixes, and, compiled from it, the addresses at which the answer changes, in order. Shares no code with the
 * table, and none with table_oracle.h. */
#ifndef BL_TABLE_PLAIN_H
#define BL_TABLE_PLAIN_H

#include "dataplane/table_build.h"

/** From this address on, up to the next point, the class is this. */
struct plain_point {
    struct bl_ip6 address; /**< IPv4: in lo */
    uint8_t class_id;
};

struct plain_points {
    struct plain_point *points;
    size_t n;
};

struct plain {
    struct bl_table_entry *slots; /**< family 0: empty; class 0: removed */
    size_t n_slots;
    size_t n_used;
    size_t n; /**< prefixes with a class */
    struct plain_points ipv4;
    struct plain_points ipv6;
};

/** Takes @p n_max different prefixes over its life. These functions end the program when there is no memory. */
void plain_init(struct plain *plain, size_t n_max);

/** Class 0 removes. Lookups follow at the next compile. */
void plain_set(struct plain *plain, const struct bl_prefix *prefix, uint8_t class_id);
void plain_compile(struct plain *plain);

/** As of the last compile. */
uint8_t plain_lookup(const struct plain *plain, const struct bl_address *address);

/** The entries in an order of the map's own: call with *at = 0 first. @return NULL when there are no more. */
const struct bl_table_entry *plain_next(const struct plain *plain, size_t *at);

struct bl_digest plain_digest(const struct plain *plain, uint64_t epoch);
void plain_free(struct plain *plain);

#endif
