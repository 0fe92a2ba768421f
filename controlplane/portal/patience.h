/** @file patience.h
 * How long a client may take: so long for a request's head, and as long again for its body, however busily it trickles.
 *
 * libmicrohttpd's own limit starts anew with every byte. server.c tells of each connection what it does; main.c's clock
 * calls bl_patience_check once a second, which shuts down the socket of whoever is over his time: to the library that is
 * a client that went away. Threads: any; one lock, held for a walk over the connections at most. */
#ifndef BL_PATIENCE_H
#define BL_PATIENCE_H

#include <stdint.h>

struct bl_patience;
struct bl_patience_guest; /**< one connection; NULL is taken everywhere, and is watched by nobody */

/** @return NULL: out of memory. */
struct bl_patience *bl_patience_create(int64_t limit_ms);
void bl_patience_free(struct bl_patience *patience);

/** A connection begins, and with it its time. @p descriptor is borrowed until bl_patience_leave. */
struct bl_patience_guest *bl_patience_admit(struct bl_patience *patience, int descriptor);
void bl_patience_leave(struct bl_patience *patience, struct bl_patience_guest *guest);

/** The next part is due: its time begins. */
void bl_patience_restart(struct bl_patience *patience, struct bl_patience_guest *guest);

/** It is our turn: no time runs until the next bl_patience_restart. */
void bl_patience_rest(struct bl_patience *patience, struct bl_patience_guest *guest);

/** Shuts down what is over its time. @return how many. */
unsigned bl_patience_check(struct bl_patience *patience);

#endif
