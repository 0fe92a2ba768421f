/** @file table_state.h
 * What the master has beside its block, and the parts that keep block and state together (table_build → these).
 *
 *   table_record    the patch that is being made            table_ranges   index and arena of either family
 *   table_prefixes  which wide prefixes there are           table_hosts    host lines, palette and map
 *   table_grow      a larger block, or one with a new key   table_deep     short, long and rest lines, filter
 *
 * A change is made in the block at once; each word that it writes is recorded. A part that finds no room says BL_EFULL
 * and has changed nothing: table_build then asks for a new block and tries again.
 * Threads: main core only. Cost: control path. */
#ifndef BL_TABLE_STATE_H
#define BL_TABLE_STATE_H

#include "dataplane/table_build.h"
#include "dataplane/table_layout.h"

/** The patch that is being recorded. Recording may give up at any time (a delta that writes more than a copy would, no
 * memory, a new block): then `moved` is set, nothing more is recorded, and the commit tells the caller to copy. So
 * recording never makes a change fail. */
struct bl_table_record {
    struct bl_table_patch *patch; /**< NULL: nothing yet */
    size_t room;                  /**< words that it has room for */
    size_t group;                 /**< its word where the open group starts */
    bool moved;                   /**< since the last commit: no patch can tell what changed */
};

/** Prefixes by (first 32 bits, length): IPv4 shorter than a host, IPv6 up to /32. Open addressing, linear probing, a
 * word each: class << 40 | (length + 1) << 32 | bits; 0: empty. */
struct bl_table_prefixes {
    uint64_t *slots;
    unsigned bits;
    uint64_t n;
    uint32_t n_lengths[33];
};

/** A piece of the low 16 bits, up to the next one's start. Rank: length + 1 of the prefix that decides; 0: none longer
 * than /16. */
struct bl_table_range {
    uint16_t start;
    uint8_t class_id;
    uint8_t rank;
};

enum { BL_TABLE_RANGES_MAX = 65536 };

/** Index and arena of one family, with what lies beside them: the ranks, at the places of the classes that they belong
 * to, and the lists of free containers, linked through the same bytes. */
struct bl_table_ranges {
    uint64_t *bits;
    unsigned bits_shift; /**< log2 of the addresses that one is about */
    uint32_t *index;
    uint8_t *arena;
    size_t n_bytes; /**< of the arena without its last line */
    size_t n_used;  /**< bytes of containers in use */
    size_t end;     /**< nothing was ever given out from here on */
    bool has_map;   /**< of hosts and ranges: then the bits are about the index' classes alone */
    uint8_t *ranks; /**< of the index */
    uint8_t *shadow;
    uint32_t free_first[BL_TABLE_KIND_NODE]; /**< place + 1 */
    size_t n_free[BL_TABLE_KIND_NODE];
};

enum bl_table_family { BL_TABLE_IPV4, BL_TABLE_IPV6, BL_TABLE_FAMILIES };

struct bl_table_build {
    struct bl_table *master; /**< in `memory`, aligned */
    void *memory;
    struct bl_siphash_key key; /**< the caller's; every block's keys are derived from it */
    uint64_t n_blocks;
    uint64_t n_keys; /**< that were derived */
    struct bl_table_areas areas;
    struct bl_table_record record;
    struct bl_digest digest;
    uint64_t n_entries[BL_TABLE_FAMILIES];
    struct bl_table_prefixes prefixes[BL_TABLE_FAMILIES];
    struct bl_table_ranges ranges[BL_TABLE_FAMILIES];
    struct bl_table_range *scratch; /**< 3 times BL_TABLE_RANGES_MAX + 2 */
    uint64_t n_hosts;               /**< IPv4 /32, wherever they lie */
    uint64_t n_host_ranges;         /**< those that lie in the ranges */
    uint64_t host_ranges_limit;     /**< more of them: another key is tried */
    uint16_t *n_map;                /**< hosts in the lines by /24; NULL: no map */
    uint64_t n_short;
    uint64_t n_long;
    uint64_t n_rest;
    uint64_t n_rest_left;      /**< slots of the rest that are neither used nor empty */
    uint16_t *n_filter;        /**< prefixes by filter entry and bit */
    uint64_t n_filter_used[2]; /**< entries that are not 0: far, near */
    uint32_t n_deep_lengths[129];
    uint8_t length_bits[129]; /**< which bit of a near entry stands for a length */
};

/* table_record.c */
void bl_table_record_open(struct bl_table_build *build);
void bl_table_record_close(struct bl_table_build *build);

/** Notes that the @p n bytes at @p place of the block were written. */
void bl_table_record_write(struct bl_table_build *build, const void *place, size_t n);

/** Gives the recording up. */
void bl_table_record_drop(struct bl_table_build *build);

struct bl_table_patch *bl_table_record_create(const struct bl_table *master, size_t room);

/* table_prefixes.c: bits below the length are zero. */
int bl_table_prefixes_reserve(struct bl_table_prefixes *prefixes, const struct bl_siphash_key *key);

/** @return the class, 0: not there. */
uint8_t bl_table_prefixes_find(const struct bl_table_prefixes *prefixes, const struct bl_siphash_key *key,
                               uint32_t bits, unsigned length);

/** Adds (room was reserved), changes or, with class 0, removes. */
void bl_table_prefixes_set(struct bl_table_prefixes *prefixes, const struct bl_siphash_key *key, uint32_t bits,
                           unsigned length, uint8_t class_id);

/** The longest prefix around (bits, length), itself not counted, of at least @p least. @return its class, and its rank
 * in @p rank; 0 and 0: none. */
uint8_t bl_table_prefixes_cover(const struct bl_table_prefixes *prefixes, const struct bl_siphash_key *key,
                                uint32_t bits, unsigned length, unsigned least, uint8_t *rank);

/* table_ranges.c */
/** @p bits: where in the block they are; the index follows them. */
int bl_table_ranges_init(struct bl_table_ranges *ranges, unsigned bits_shift, uint8_t *bits, uint8_t *arena,
                         size_t arena_bytes);
void bl_table_ranges_fini(struct bl_table_ranges *ranges);

/** What prefix decides an address (its first 32 bits), by the ranges alone: class and rank. */
struct bl_table_range bl_table_ranges_find(const struct bl_table_ranges *ranges, uint32_t address);

/** Everything in (bits, length) that no longer prefix decides becomes @p to's (class and rank). @return 0 or BL_EFULL. */
int bl_table_ranges_paint(struct bl_table_build *build, struct bl_table_ranges *ranges, uint32_t bits, unsigned length,
                          struct bl_table_range to);

/** True when a prefix longer than /16 decides any address of the /24 @p net. */
bool bl_table_ranges_any(const struct bl_table_ranges *ranges, uint32_t net);

/** Copies all of @p from into the empty @p to. @return 0, or BL_EFULL: too small. */
int bl_table_ranges_copy(struct bl_table_build *build, const struct bl_table_ranges *from, struct bl_table_ranges *to);

/** The pieces of one /16. @return how many. */
size_t bl_table_ranges_read(const struct bl_table_ranges *ranges, uint32_t top, struct bl_table_range *out);

/* gcc 12 takes a function that only prefetches for one without effect and, optimising at link time, drops the calls. */
#define BL_TABLE_KEEP_CALL() __asm__ volatile("")

/* table_hosts.c: bits of the address, whole. */

/** Asks for the bytes that a change of the host will touch. */
void bl_table_hosts_prefetch(const struct bl_table_build *build, uint32_t address);

/** @return the class of a host in its line, 0: not there. */
uint8_t bl_table_hosts_find(const struct bl_table_build *build, uint32_t address);

/** Adds one that is not there. @return false when its line or the palette is full. */
bool bl_table_hosts_add(struct bl_table_build *build, uint32_t address, uint8_t class_id);
bool bl_table_hosts_change(struct bl_table_build *build, uint32_t address, uint8_t class_id);
void bl_table_hosts_remove(struct bl_table_build *build, uint32_t address);

/** True when there is a palette and it can take no more class than it has, @p class_id not among them. */
bool bl_table_hosts_palette_full(const struct bl_table_build *build, uint8_t class_id);

/** Brings the map's bits for ranges up to date from @p bits on. */
void bl_table_hosts_map_ranges(struct bl_table_build *build, uint32_t bits, unsigned length);

/** Hosts with their classes: class << 32 | address. Zero it; free `at`. */
struct bl_table_hosts {
    uint64_t *at;
    size_t n;
    size_t room;
};

/** @return 0 or BL_ENOMEM. */
int bl_table_hosts_note(struct bl_table_hosts *hosts, uint32_t address, uint8_t class_id);

/** Moves all hosts of another build's lines into this one's, which are empty; who finds no room is put on @p missed.
 * @return 0 or BL_ENOMEM. */
int bl_table_hosts_copy(const struct bl_table_build *from, struct bl_table_build *to, struct bl_table_hosts *missed);

/* table_deep.c: IPv6 longer than /32. */
void bl_table_deep_prefetch(const struct bl_table_build *build, struct bl_ip6 address, unsigned length);
uint8_t bl_table_deep_find(const struct bl_table_build *build, struct bl_ip6 address, unsigned length);

/** @return 0 or BL_EFULL. */
int bl_table_deep_add(struct bl_table_build *build, struct bl_ip6 address, unsigned length, uint8_t class_id);
void bl_table_deep_change(struct bl_table_build *build, struct bl_ip6 address, unsigned length, uint8_t class_id);
void bl_table_deep_remove(struct bl_table_build *build, struct bl_ip6 address, unsigned length);

/** Moves all deep prefixes of another build's lines into this one's. @return 0 or BL_EFULL. */
int bl_table_deep_copy(const struct bl_table_build *from, struct bl_table_build *to);

/* table_grow.c */

/** calloc, on huge pages where it is large and the kernel has some: changes touch lines all over it. Free it. */
void *bl_table_grow_alloc(size_t n, size_t bytes_each);

/** Why a new block is wanted. */
enum bl_table_want {
    BL_TABLE_WANT_HOSTS = 1,   /**< room for more hosts */
    BL_TABLE_WANT_PALETTE = 2, /**< more classes of hosts than a palette has */
    BL_TABLE_WANT_IPV4 = 4,    /**< room for ranges */
    BL_TABLE_WANT_IPV6 = 8,
    BL_TABLE_WANT_SHORT = 16, /**< room for short prefixes, or any at all */
    BL_TABLE_WANT_LONG = 32,
    BL_TABLE_WANT_FILTER = 64,
    BL_TABLE_WANT_KEYS = 128,
    BL_TABLE_WANT_TRIM = 256, /**< just as large as needed */
};

/** The first block of a build. @return 0 or BL_ENOMEM. */
int bl_table_grow_start(struct bl_table_build *build, uint64_t epoch, uint64_t n_expected);

/** Moves everything to a new block; @p tries doubles the room that is added. On failure nothing changed. @return 0,
 * BL_ENOMEM or BL_EFULL. */
int bl_table_grow(struct bl_table_build *build, unsigned wants, unsigned tries);

/** True when a block that is just as large as needed would be notably smaller. */
bool bl_table_grow_trims(const struct bl_table_build *build);

/** True when a host more asks for more lines. */
bool bl_table_grow_is_due(const struct bl_table_build *build);

void bl_table_grow_fini(struct bl_table_build *build);

#endif
