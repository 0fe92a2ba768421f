/** @file machine.h
 * The machine that is measured on: its facts for the head of the output, and DPDK started on it. */
#ifndef BL_PERF_MACHINE_H
#define BL_PERF_MACHINE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/** Prints CPU, caches, governor, huge pages, load and versions, one a line behind @p lead. */
void machine_print(FILE *out, const char *lead, unsigned n_cpus);

/** Starts DPDK with @p n_cores cores, without devices and files: on huge pages where any are free and @p ordinary is
 * false, else on ordinary memory, which it says. @return 0, or negative with a line on standard error. Threads: main, once. */
int machine_start(unsigned n_cores, bool ordinary);

/** Ends DPDK and takes its empty folder for run-time files away. */
void machine_stop(void);

/** Bytes that DPDK can still take from the system. */
uint64_t machine_free_bytes(void);

/** CPUs that this process may run on; DPDK changes that. */
unsigned machine_cpus(void);

#endif
