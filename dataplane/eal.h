/** @file eal.h
 * DPDK's environment, made from the settings: cores, memory, devices. Started before anything else of DPDK and ended
 * after everything else. Threads: main core only. */
#ifndef BL_EAL_H
#define BL_EAL_H

#include <sched.h>
#include <stddef.h>

#include "bounceline/error.h"
#include "bounceline/settings.h"
#include "dataplane/port.h"

/** Longest --lcores argument with its NUL. */
enum { BL_EAL_LCORES_MAX = 2048 };

/** The --lcores argument for lcore 0 (main) and 1..n (workers): one CPU each in the order of @p cpus, or, when there are
 * too few, all of them on all CPUs: "(0-4)@(0,1)". Pure. @return 0 or BL_ERANGE when there is no CPU or no room. */
int bl_eal_lcores(uint32_t n_workers, const cpu_set_t *cpus, char out[BL_EAL_LCORES_MAX]);

/** Starts EAL; says so where it must do without huge pages. @return 0, BL_EINVAL, BL_ENOMEM or BL_EIO: @p detail names
 * what to do, DPDK's own words are on standard error. */
int bl_eal_init(const struct bl_settings_dataplane *settings, const struct bl_port *wan, const struct bl_port *lan,
                struct bl_error_detail *detail);

/** The lcores of the workers. @return 0, or BL_ERANGE when dataplane.lcores gives fewer than there are workers. */
int bl_eal_worker_lcores(uint32_t n_workers, unsigned *lcores, struct bl_error_detail *detail);

void bl_eal_fini(void);

#endif
