/** @file table_oracle.h
 * What the table must say, found the plain way: one sorted array of prefixes a length, masked and compared byte by
 * byte. Shares no code with the table; the digest is added up anew from the arrays each time. */
#ifndef BL_TABLE_ORACLE_H
#define BL_TABLE_ORACLE_H

#include <stddef.h>
#include <stdint.h>

#include "bounceline/address.h"
#include "bounceline/digest.h"

struct oracle_entry {
    uint8_t bytes[16];
    uint8_t class_id;
};

struct oracle_list {
    struct oracle_entry *entries; /**< ascending by bytes */
    size_t n;
    size_t room;
};

/** Zero it to start. */
struct oracle {
    struct oracle_list ipv4[33];
    struct oracle_list ipv6[129];
    size_t n_ipv4;
    size_t n_ipv6;
};

/** Class 0 removes. Ends the program when there is no memory. */
void oracle_set(struct oracle *oracle, const struct bl_prefix *prefix, uint8_t class_id);

uint8_t oracle_lookup(const struct oracle *oracle, const struct bl_address *address);

/** How many prefixes cover the address; 2 stands for more. */
unsigned oracle_depth(const struct oracle *oracle, const struct bl_address *address);

/** The n-th entry in an order of its own; n is below n_ipv4 + n_ipv6. */
struct bl_prefix oracle_pick(const struct oracle *oracle, size_t n);

struct bl_digest oracle_digest(const struct oracle *oracle, uint64_t epoch);
void oracle_free(struct oracle *oracle);

#endif
