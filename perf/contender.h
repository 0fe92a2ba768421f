/** @file contender.h
 * What the benchmark knows of a structure: how it is built, looked up in, changed and freed (contender → measure).
 *
 * One file a structure: contender_ours.c, contender_floor.c, contender_lpm.c, contender_fib.c, contender_hash.c,
 * contender_lpm6.c, contender_fib6.c. A lookup goes over many bursts of CONTENDER_BURST in one call, so that what the
 * library inlines is inlined. Next hop: the class, 0 for none. Threads: build, set and free on the main core; lookup on
 * any, as long as nothing else is called. */
#ifndef BL_PERF_CONTENDER_H
#define BL_PERF_CONTENDER_H

#include <stdbool.h>
#include <stdio.h>

#include "keys.h"

enum { CONTENDER_BURST = 64, CONTENDER_CORES_MAX = 2, CONTENDER_VARIANTS_MAX = 3, CONTENDER_WHY_MAX = 160 };

/** Results of one burst, in whatever form the structure gives them. */
union contender_results {
    uint8_t classes[CONTENDER_BURST];
    uint32_t next_hops[CONTENDER_BURST];
    int32_t positions[CONTENDER_BURST];
    uint64_t wide[CONTENDER_BURST];
};

/** Bytes: @p lookup what lookups can touch (one replica), @p all with what only changes need. */
struct contender_memory {
    uint64_t lookup;
    uint64_t all;
};

struct contender_kind {
    const char *name;
    uint8_t family;  /**< enum bl_family; BL_FAMILY_NONE: both */
    bool hosts_only; /**< holds the hosts of the list, answers for them alone */
    bool no_answers; /**< it measures the machine and looks nothing up */
    /** DPDK heap bytes that building takes, or 0 with the reason why it cannot be. */
    uint64_t (*need)(const struct list *list, char why[CONTENDER_WHY_MAX]);
    /** @return the state, or NULL with the reason. */
    void *(*build)(const struct list *list, char why[CONTENDER_WHY_MAX]);
    struct contender_memory (*memory)(const void *state);
    /** Ways to look up in the same structure; "" is the only one. */
    const char *variants[CONTENDER_VARIANTS_MAX];
    /** @return false when the machine has not got this variant; NULL: there is one only. */
    bool (*select)(void *state, unsigned variant);
    /** @p core picks the replica where there are several. @p n is a multiple of CONTENDER_BURST. */
    void (*lookup)(const void *state, unsigned core, const struct keys *keys, size_t first, size_t n,
                   union contender_results *results);
    /** The class of the i-th key of the last burst. */
    uint8_t (*class_of)(const void *state, const union contender_results *results, unsigned i);
    /** Class 0 removes. @return 0 or what the library says; NULL: it takes no changes at this size. */
    int (*set)(void *state, const struct bl_prefix *prefix, uint8_t class_id);
    /** What must be said of how it was built or changed, or NULL. */
    const char *(*remark)(const void *state);
    void (*free)(void *state);
};

extern const struct contender_kind contender_ours;
extern const struct contender_kind contender_floor;
extern const struct contender_kind contender_lpm;
enum { CONTENDER_FIB_SIZES = 4 };
extern const struct contender_kind contender_fib[CONTENDER_FIB_SIZES]; /**< next hops of 1, 2, 4, 8 bytes */
extern const struct contender_kind contender_hash;
extern const struct contender_kind contender_lpm6;
enum { CONTENDER_FIB6_SIZES = 2 };
extern const struct contender_kind contender_fib6[CONTENDER_FIB6_SIZES]; /**< next hops of 2 and 4 bytes */

/** Bytes of DPDK's heap that are in use. */
uint64_t contender_heap_bytes(void);

/** Of contender_ours: each core its own replica (the start), or all the first one. */
void contender_ours_share(void *state, bool shared);
struct bl_table_build *contender_ours_build(void *state);
struct bl_table *contender_ours_replica(void *state, unsigned core);
/** What the copy of the first block into one replica took. */
double contender_ours_copy_ms(const void *state);
/** After a commit that gave no patch: replicas are copied anew. @return 0 or BL_ENOMEM. */
int contender_ours_copy(void *state);

#endif
