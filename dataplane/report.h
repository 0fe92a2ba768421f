/** @file report.h
 * The data plane's state as others see it: the report to the control plane, and DPDK's telemetry
 * (/bounceline/counters, /bounceline/workers). Reads counters, changes nothing. */
#ifndef BL_REPORT_H
#define BL_REPORT_H

#include "dataplane/distribute.h"
#include "dataplane/keeper.h"
#include "dataplane/sync_codec.h"
#include "dataplane/watch.h"
#include "dataplane/worker.h"

/** What is reported on; borrowed. */
struct bl_report {
    struct bl_worker **workers;
    unsigned n_workers;
    const struct bl_distribute *distribute;
    const struct bl_watch *watch;
    const struct bl_keeper *keeper; /**< NULL: there is none */
};

/** Threads: main core only. Cost: control path. */
void bl_report_fill(const struct bl_report *report, struct bl_sync_report *out);

/** Answers telemetry from now on, until bl_report_unregister. Threads: main core only. @return 0 or BL_EIO. */
int bl_report_register(const struct bl_report *report);
void bl_report_unregister(void);

#endif
