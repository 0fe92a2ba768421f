/** @file plane_fixture.h
 * DPDK without ports, huge pages or files, and workers that take a turn when the test says so. Started in each test's
 * own process (checked fixtures), so that every test begins with an empty heap of DPDK's. */
#ifndef BL_PLANE_FIXTURE_H
#define BL_PLANE_FIXTURE_H

#include <check.h>
#include <stdlib.h>

#include <rte_eal.h>
#include <rte_malloc.h>

#include "dataplane/distribute.h"
#include "dataplane/table_fixture.h"
#include "dataplane/worker.h"

enum { PLANE_WORKERS = 3, PLANE_STEP_BYTES = 256 };

static struct bl_worker *plane_workers[PLANE_WORKERS];
static struct bl_distribute *plane_distribute;
static unsigned plane_n_blocks; /* of DPDK's heap, before anything was made */

static inline unsigned plane_count_blocks(void)
{
    struct rte_malloc_socket_stats stats;

    ck_assert_int_eq(rte_malloc_get_socket_stats(0, &stats), 0);
    return stats.alloc_count;
}

static inline void plane_start_eal(void)
{
    char *arguments[] = {(char[]){"test"},
                         (char[]){"--no-huge"},
                         (char[]){"--no-shconf"},
                         (char[]){"--no-pci"},
                         (char[]){"-m"},
                         (char[]){"128"},
                         (char[]){"--lcores=0@0"},
                         (char[]){"--no-telemetry"},
                         (char[]){"--log-level=*:error"},
                         NULL};

    ck_assert_int_ge(rte_eal_init(9, arguments), 0);
}

static inline void plane_end_eal(void)
{
    ck_assert_int_eq(rte_eal_cleanup(), 0);
}

static inline void plane_start(void)
{
    plane_start_eal();
    for (unsigned i = 0; i < PLANE_WORKERS; i++) {
        char name[16];

        snprintf(name, sizeof(name), "mailbox%u", i);
        plane_workers[i] = aligned_alloc(_Alignof(struct bl_worker), sizeof(struct bl_worker));
        memset(plane_workers[i], 0, sizeof(struct bl_worker));
        ck_assert_int_eq(bl_mailbox_init(&plane_workers[i]->mailbox, name, 0), BL_OK);
    }
    plane_n_blocks = plane_count_blocks();
    ck_assert_int_eq(bl_distribute_create(&plane_distribute, plane_workers, PLANE_WORKERS), BL_OK);
}

/* Whatever the test did: every block and patch is given back (AddressSanitizer sees the patches). */
static inline void plane_end(void)
{
    bl_distribute_free(plane_distribute);
    ck_assert_uint_eq(plane_count_blocks(), plane_n_blocks);
    for (unsigned i = 0; i < PLANE_WORKERS; i++) {
        bl_mailbox_fini(&plane_workers[i]->mailbox);
        free(plane_workers[i]);
    }
    plane_end_eal();
}

/* One turn of the worker's loop without packets. @return true when there was something to do. */
static inline bool plane_turn(unsigned i)
{
    struct bl_worker *worker = plane_workers[i];
    bool moved = bl_replica_follow(&worker->replica, &worker->mailbox, PLANE_STEP_BYTES);

    bl_replica_check_step(&worker->replica, PLANE_STEP_BYTES);
    return moved;
}

/* Everybody works until there is nothing left to do. */
static inline void plane_settle(const struct bl_table *master)
{
    do {
        for (unsigned i = 0; i < PLANE_WORKERS; i++)
            while (plane_turn(i))
                ;
        bl_distribute_poll(plane_distribute, master);
    } while (bl_distribute_waiting(plane_distribute) > 0);
}

static inline uint8_t plane_lookup(unsigned i, const char *address)
{
    return fixture_lookup(plane_workers[i]->replica.table, address);
}

#endif
