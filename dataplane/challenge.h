/** @file challenge.h
 * The LAN side of `established: reset`: a server that answers our RST with a challenge ACK (RFC 5961, 3.2) gets the RST
 * at the number that its ACK names (LAN port → challenge → tx on the LAN port).
 *
 * A RST in the name of the client has the number of one of the client's segments, and ends the connection only where
 * the server expects just that one. Without state a challenge ACK can't be told from any other bare ACK of the server
 * to a listed source; with this setting either means that an old connection lives, and that it should not. The ACK
 * itself goes on like all that comes from the LAN side: nothing there is ever held back or changed. */
#ifndef BL_CHALLENGE_H
#define BL_CHALLENGE_H

#include <rte_mbuf.h>

#include "dataplane/worker.h"

/** Looks at a burst of the LAN port before it is forwarded; keeps none of the frames. At most BL_WORKER_BURST. Behind the
 * limit of resets. Threads: owning worker. Cost: fast path, with a lookup for each bare ACK of a protected port; not
 * called with any other setting. */
void bl_challenge_burst(struct bl_worker *worker, struct rte_mbuf *const *frames, unsigned n);

#endif
