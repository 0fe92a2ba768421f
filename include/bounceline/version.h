/** @file version.h
 * The product's version, and the versions of what it exchanges. Included by every program. */
#ifndef BL_VERSION_H
#define BL_VERSION_H

#define BL_VERSION_TEXT "0.1.0"

/** Of the TableSync protocol; a peer that says another is refused. */
#define BL_VERSION_SYNC 1u

/** Of the log's tables; a newer one is refused at start. Since 2, snapshots have generations and meta has an origin. */
#define BL_VERSION_LOG 2u

/** Of the records; another is refused at start. */
#define BL_VERSION_RECORD 1u

/** Of a snapshot's parts; a newer one is refused at start. Since 2, layers are in columns. */
#define BL_VERSION_SNAPSHOT 2u

#endif
