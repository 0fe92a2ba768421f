/** @file ticket.h
 * The ticket in the 550's URL: whoever shows one got a bounce for that very address, a few days ago at most (made by the
 * data plane's reject.c without state, verified by the portal).
 *
 *   key of the day = SipHash-2-4(key file, "bounceline ticket key", day, half), two halves of 64 bits
 *   ticket         = the upper 60 bits of SipHash-2-4(key of the day, address unit, day), as 12 base32 characters
 *
 * The address unit is what a delist of the address means: an IPv4 address, or the IPv6 network of `ipv6_unit` bits
 * around one. The day is the number of whole days since 1970 UTC. Both sides must agree to the bit, and machines of
 * different versions must too: the test vectors in tests/include/test_ticket.c are part of the format. A blind guess
 * succeeds with 8 / 2^60. Pure. Threads: any. Cost: three SipHash calls, no allocation: fit for the fast path.
 * Source: Aumasson and Bernstein, SipHash (2012); RFC 4648, 6, in lower case. */
#ifndef BL_TICKET_H
#define BL_TICKET_H

#include <stdbool.h>
#include <stdint.h>

#include "bounceline/address.h"
#include "bounceline/siphash.h"

enum {
    BL_TICKET_CHARS = 12,
    BL_TICKET_TEXT_MAX = BL_TICKET_CHARS + 1, /**< with NUL */
    BL_TICKET_DAYS_MAX = 7,                   /**< so many days after its own a ticket is still good */
    BL_TICKET_DAY_S = 86400,
};

/** What a ticket for the address is about: itself, or its IPv6 network of @p ipv6_unit bits. */
struct bl_prefix bl_ticket_unit(const struct bl_address *address, uint8_t ipv6_unit);

/** Writes the ticket of @p unit for @p day. @param key the key file's 16 bytes. @return @p out. */
char *bl_ticket_make(const struct bl_siphash_key *key, const struct bl_prefix *unit, uint64_t day,
                     char out[BL_TICKET_TEXT_MAX]);

/** True when @p text (any case, NUL-terminated, from anybody) is the unit's ticket of @p today or of one of the
 * BL_TICKET_DAYS_MAX days before; *age_days says which. Takes the same time whatever the text is. */
bool bl_ticket_verify(const struct bl_siphash_key *key, const struct bl_prefix *unit, uint64_t today, const char *text,
                      uint64_t *age_days);

#endif
