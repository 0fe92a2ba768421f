/** @file range.h
 * What a hoster pastes into the hosters' page: addresses of one network, each with its ticket or without.
 *
 * Words with space, comma or semicolon between them; each is an address (also in brackets), a prefix that stands for its
 * addresses, the ticket of the address before it, or the URL of a bounce (...?ip=ADDRESS&t=TICKET). Anything else is
 * refused by its name, and so is all of it. An address is counted by its unit, as a delist of it means it: an IPv4
 * address, or the IPv6 network of `ipv6_unit` bits around one; all must be of one network of 256 such units: a /24, or
 * with units of 64 bits a /56. Called by hosts.c. Pure; any thread. */
#ifndef BL_RANGE_H
#define BL_RANGE_H

#include <stdbool.h>
#include <stddef.h>

#include "bounceline/address.h"
#include "bounceline/ticket.h"

enum { BL_RANGE_MAX = 256, BL_RANGE_WORD_MAX = 80 };

enum bl_range_mistake {
    BL_RANGE_NONE,
    BL_RANGE_EMPTY,
    BL_RANGE_WORD,     /**< neither of the above */
    BL_RANGE_RESERVED, /**< bl_address_reserved */
    BL_RANGE_APART,    /**< of another network than the first */
};

struct bl_range_entry {
    struct bl_address address;
    char ticket[BL_TICKET_TEXT_MAX]; /**< unverified; "": none */
};

struct bl_range {
    struct bl_range_entry entries[BL_RANGE_MAX]; /**< in the order of their first mention; units differ */
    size_t n;
    struct bl_prefix network;     /**< of 256 units */
    char word[BL_RANGE_WORD_MAX]; /**< that the mistake is about; cut */
};

enum bl_range_mistake bl_range_read(const char *text, uint8_t ipv6_unit, struct bl_range *out);

#endif
