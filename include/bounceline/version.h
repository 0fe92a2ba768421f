/** @file version.h
 * The product's version, and the versions of what it exchanges. Included by every program. */
#ifndef BL_VERSION_H
#define BL_VERSION_H

#define BL_VERSION_TEXT "0.1.0"

/** Of the TableSync protocol; a peer that says another is refused. */
#define BL_VERSION_SYNC 1u

/** Of the records and snapshots in the log; another is refused at start. */
#define BL_VERSION_LOG 1u

#endif
