/** @file link.h
 * Which of the two ports has to be down, because the other one has no link (dataplane.link_propagate).
 *
 * A switch that chooses between two appliances by link state sees its own cable only. So when one port loses its link, the
 * other is taken down, and brought up again when the link is back: what is broken on one side shows on both.
 *
 * Pure: what the ports show and a clock in, the port that has to be held down out (watch.c acts). At most one port is
 * held, never both, and the other one is then up as far as we are concerned and waits for its cable: the two can't wait
 * for each other. A port that is held shows nothing about its own cable, and is not asked; it shows it when it is brought
 * up: what has no link some seconds after that has lost it by itself, and the other is taken down in its place.
 *
 * Flapping: a loss is passed on at once. So is the first return; after each further loss soon after a return, the link has
 * to last twice as long before it counts, up to BL_LINK_SETTLE_MAX_MS. A port whose link does not come in time gets twice
 * the time at the next attempt, up to BL_LINK_RISE_MAX_MS, so that two slow negotiations can't take turns for ever.
 * Threads: main core only. */
#ifndef BL_LINK_H
#define BL_LINK_H

#include <stdbool.h>
#include <stdint.h>

enum {
    BL_LINK_PORTS = 2, /**< enum bl_side */
    BL_LINK_NONE = -1, /**< no port is to be held */
    BL_LINK_RISE_MS = 5000,
    BL_LINK_RISE_MAX_MS = 40000,
    BL_LINK_SETTLE_MS = 500,
    BL_LINK_SETTLE_MAX_MS = 4000,
    BL_LINK_QUIET_MS = 10000, /**< a link that lasted for so long was no flap */
};

enum bl_link_state {
    BL_LINK_UP,
    BL_LINK_RISING,   /**< was started or brought up, its link may still come: as good as up */
    BL_LINK_LOST,     /**< down by itself, or by somebody else than us: the other port is held for it */
    BL_LINK_SETTLING, /**< its link is back, and has not lasted for long enough */
    BL_LINK_HELD,     /**< down by us, for the other port is lost or settling */
};

struct bl_link_port {
    enum bl_link_state state;
    unsigned n_flaps;     /**< losses soon after a return, in a row */
    uint64_t since_ms;    /**< up: when that began */
    uint64_t deadline_ms; /**< rising: lost from then on; settling: up from then on */
};

struct bl_link {
    struct bl_link_port ports[BL_LINK_PORTS];
    uint64_t rise_ms; /**< what a rising port gets */
};

/** Both ports were just started: their links may take BL_LINK_RISE_MS. */
void bl_link_init(struct bl_link *link, uint64_t now_ms);

/** Takes in which ports show a link. @p now_ms never goes back. @return the port that has to be down, or BL_LINK_NONE. */
int bl_link_step(struct bl_link *link, const bool has_link[BL_LINK_PORTS], uint64_t now_ms);

#endif
