/** @file worker_parts.h
 * Makes a worker and frees it: its limits, handshakes, samples, mailbox and buffers for answers, of its NUMA node's
 * memory. The replica is distribute.c's. Threads: main core, before the worker runs and after it stopped. Cost: start-up. */
#ifndef BL_WORKER_PARTS_H
#define BL_WORKER_PARTS_H

#include "bounceline/error.h"
#include "bounceline/settings.h"
#include "dataplane/port.h"
#include "dataplane/worker.h"

/** What a worker is made of; all borrowed. */
struct bl_worker_plan {
    struct bl_common *common; /**< kept */
    const struct bl_settings_dataplane *settings;
    const struct bl_port *ports; /**< BL_SIDE_COUNT open ones */
};

/** Worker @p id has queue pair @p id of both ports. @return 0, or BL_ENOMEM or BL_EIO naming the setting to change, and
 * nothing is left behind. Returns owned: bl_worker_parts_free. */
int bl_worker_parts_create(struct bl_worker **out, const struct bl_worker_plan *plan, unsigned id, unsigned lcore,
                           struct bl_error_detail *detail);
void bl_worker_parts_free(struct bl_worker *worker);

#endif
