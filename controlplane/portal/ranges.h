/** @file ranges.h
 * The addresses of a range in the portal's store (requests.h): what a link is bound to, and what became of each.
 * Threads: any. */
#ifndef BL_RANGES_H
#define BL_RANGES_H

#include "controlplane/portal/requests.h"

/** The addresses of a request, in their order; none for one that has a single address. @return 0 or BL_EIO. */
int bl_ranges_read(struct bl_requests *requests, int64_t request, struct bl_control_items *out);

#endif
