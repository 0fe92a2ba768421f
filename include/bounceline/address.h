/** @file address.h
 * IPv4 and IPv6 addresses and prefixes: one shape for all programs, text in and out.
 *
 * Byte order: `bytes` is network order, always; IPv4 uses the first 4 and leaves the rest zero, so that two prefixes
 * are equal exactly when memcmp says so. The table's keys (`uint32_t`, `struct bl_ip6`) are host order; the functions
 * below convert. Everything here is pure and may be called by any thread. */
#ifndef BL_ADDRESS_H
#define BL_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bounceline/error.h"

enum bl_family { BL_FAMILY_NONE = 0, BL_FAMILY_IPV4 = 4, BL_FAMILY_IPV6 = 6 };

/** An IPv6 address in host order, as the table and the fast path use it. */
struct bl_ip6 {
    uint64_t hi;
    uint64_t lo;
};

struct bl_address {
    uint8_t bytes[16];
    uint8_t family; /**< enum bl_family */
};

/** Host bits are zero: see bl_address_prefix_canonical. */
struct bl_prefix {
    uint8_t bytes[16];
    uint8_t length; /**< 0..32 or 0..128 */
    uint8_t family; /**< enum bl_family */
};

/** Longest text of a prefix with its NUL: "xxxx:...:255.255.255.255/128". */
#define BL_ADDRESS_TEXT_MAX 50

/** Reads "192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1" (becomes IPv4). Refused: leading zeros, spaces, zones, ports.
 * @return 0 or BL_EINVAL; @p out is written only on success. */
int bl_address_parse(const char *text, struct bl_address *out, struct bl_error_detail *detail);

/** Reads an address or "address/length". IPv4 without a length is a /32; IPv6 without one is a /@p ipv6_unit (host
 * bits below the unit are cut then). A length that is said must leave no host bits: they are refused, not masked.
 * IPv4-mapped IPv6 with a length of 96 or more becomes IPv4.
 * @return 0 or BL_EINVAL / BL_ERANGE; @p out is written only on success. */
int bl_address_parse_prefix(const char *text, uint8_t ipv6_unit, struct bl_prefix *out, struct bl_error_detail *detail);

/** Reads "192.0.2.1:9117" or "[2001:db8::1]:9117", a port of 1..65535 without leading zeros. @return 0 or BL_EINVAL; the
 * outputs are written only on success. */
int bl_address_parse_endpoint(const char *text, struct bl_address *address, uint16_t *port,
                              struct bl_error_detail *detail);

/** Writes the shortest text of RFC 5952; nothing for one of BL_FAMILY_NONE. @p out takes BL_ADDRESS_TEXT_MAX bytes. @return @p out. */
char *bl_address_format(const struct bl_address *address, char *out);

/** "192.0.2.1/32", "2001:db8::/64": the length is always there. */
char *bl_address_format_prefix(const struct bl_prefix *prefix, char *out);

/** True when family, length and zero host bits are as promised above. */
bool bl_address_prefix_canonical(const struct bl_prefix *prefix);

/** Clears the bits below the length and the unused bytes. */
void bl_address_prefix_mask(struct bl_prefix *prefix);

/** True when @p outer contains @p inner or is equal to it. */
bool bl_address_prefix_covers(const struct bl_prefix *outer, const struct bl_prefix *inner);

/** Total order: family, then bytes, then length: a prefix sorts directly before what it covers. */
int bl_address_prefix_compare(const struct bl_prefix *a, const struct bl_prefix *b);

/** 32 or 128. */
uint8_t bl_address_bits(uint8_t family);

/** The address as a prefix of full length. */
struct bl_prefix bl_address_host_prefix(const struct bl_address *address);

/** Reserved space that a list may never hold: this network, loopback, link-local, multicast, class E, unspecified,
 * IPv4-mapped (IANA special-purpose registries, RFC 6890), documentation and private networks excepted: those are
 * legal inside a network and in a lab. @return the covering or covered reserved prefix's text, or NULL. */
const char *bl_address_reserved(const struct bl_prefix *prefix);

/** Keys of the table. */
uint32_t bl_address_to_ip4(const uint8_t bytes[4]);
struct bl_ip6 bl_address_to_ip6(const uint8_t bytes[16]);
void bl_address_from_ip4(uint32_t ip4, uint8_t bytes[4]);
void bl_address_from_ip6(struct bl_ip6 ip6, uint8_t bytes[16]);

#endif
