/** @file scrub.h
 * Who is wrong where: the master's checksums against those of all replicas, region by region (distribute → scrub).
 *
 * In each region the value that most of them have is taken for right, master and replicas with one vote each. The master
 * is believed only with more votes than any other value: when as many have another one, nobody can tell who is right, and
 * a new snapshot replaces them all. So with one worker any difference asks for a snapshot; with two, one that differs is
 * repaired from the master. Threads: main core only. Cost: control path. */
#ifndef BL_SCRUB_H
#define BL_SCRUB_H

#include "dataplane/replica.h"

/** Repairs of one round, 64 KiB each: the next round finds the rest. */
enum { BL_SCRUB_FINDINGS_MAX = 16 };

struct bl_scrub_finding {
    unsigned replica;
    size_t region;
};

struct bl_scrub_findings {
    bool master_doubted; /**< somewhere it has no more votes than another value */
    unsigned n;
    struct bl_scrub_finding at[BL_SCRUB_FINDINGS_MAX]; /**< who differs from the master, and where */
};

/** Compares. A replica with fewer regions than the master has a damaged header, in region 0: what lies behind is compared
 * when that is repaired. */
void bl_scrub_judge(const struct bl_replica_sums *master, const struct bl_replica_sums *const *replicas,
                    unsigned n_replicas, struct bl_scrub_findings *out);

/** One number for all regions, for reports: equal for equal blocks. */
uint64_t bl_scrub_total(const struct bl_replica_sums *sums);

#endif
