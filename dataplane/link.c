/* Which port has to be down; see link.h.
 *
 *   RISING ──link──▶ UP ──loss──▶ LOST ──link──▶ SETTLING ──lasted──▶ UP
 *   RISING ──too late──▶ LOST        ◀──loss── SETTLING
 *
 *   UP, RISING, SETTLING ──the other is LOST──▶ HELD ──the other is UP──▶ RISING */
#include "dataplane/link.h"

#include <string.h>

/* How long a link that came back has to last: nothing at first, then BL_LINK_SETTLE_MS and twice that and so on. */
static uint64_t settle_ms(unsigned n_flaps)
{
    uint64_t ms = BL_LINK_SETTLE_MS;

    if (n_flaps == 0)
        return 0;
    while (--n_flaps > 0 && ms < BL_LINK_SETTLE_MAX_MS)
        ms *= 2;
    return ms;
}

static void set_up(struct bl_link_port *port, uint64_t now_ms)
{
    port->state = BL_LINK_UP;
    port->since_ms = now_ms;
}

static void set_rising(struct bl_link_port *port, uint64_t now_ms, uint64_t rise_ms)
{
    port->state = BL_LINK_RISING;
    port->deadline_ms = now_ms + rise_ms;
}

/* What the port itself shows. */
static void look(struct bl_link *link, struct bl_link_port *port, bool has_link, uint64_t now_ms)
{
    switch (port->state) {
    case BL_LINK_UP:
        if (has_link)
            return;
        port->n_flaps = now_ms - port->since_ms < BL_LINK_QUIET_MS ? port->n_flaps + 1 : 0;
        port->state = BL_LINK_LOST;
        return;
    case BL_LINK_RISING:
        if (has_link) {
            set_up(port, now_ms);
        } else if (now_ms >= port->deadline_ms) {
            port->state = BL_LINK_LOST;
            if (link->rise_ms < BL_LINK_RISE_MAX_MS)
                link->rise_ms *= 2;
        }
        return;
    case BL_LINK_LOST:
        if (!has_link)
            return;
        port->state = BL_LINK_SETTLING;
        port->deadline_ms = now_ms + settle_ms(port->n_flaps);
        return;
    case BL_LINK_SETTLING:
        if (!has_link) {
            port->n_flaps++;
            port->state = BL_LINK_LOST;
        }
        return;
    case BL_LINK_HELD:
        return;
    }
}

/* What the other port makes of it. */
static void couple(struct bl_link_port *port, const struct bl_link_port *other, const struct bl_link *link,
                   uint64_t now_ms)
{
    if (port->state == BL_LINK_HELD && other->state == BL_LINK_UP)
        set_rising(port, now_ms, link->rise_ms);
    else if (port->state != BL_LINK_LOST && other->state == BL_LINK_LOST)
        port->state = BL_LINK_HELD;
}

void bl_link_init(struct bl_link *link, uint64_t now_ms)
{
    memset(link, 0, sizeof(*link));
    link->rise_ms = BL_LINK_RISE_MS;
    for (unsigned i = 0; i < BL_LINK_PORTS; i++)
        set_rising(&link->ports[i], now_ms, link->rise_ms);
}

int bl_link_step(struct bl_link *link, const bool has_link[BL_LINK_PORTS], uint64_t now_ms)
{
    struct bl_link_port *ports = link->ports;

    for (unsigned i = 0; i < BL_LINK_PORTS; i++) {
        look(link, &ports[i], has_link[i], now_ms);
        if (ports[i].state == BL_LINK_SETTLING && now_ms >= ports[i].deadline_ms)
            set_up(&ports[i], now_ms);
    }
    /* A port can't become lost or up in the first call, so that the order of the two does not matter. */
    for (unsigned i = 0; i < BL_LINK_PORTS; i++)
        couple(&ports[i], &ports[1 - i], link, now_ms);
    if (ports[0].state == BL_LINK_UP && ports[1].state == BL_LINK_UP)
        link->rise_ms = BL_LINK_RISE_MS;
    for (int i = 0; i < BL_LINK_PORTS; i++)
        if (ports[i].state == BL_LINK_HELD)
            return i;
    return BL_LINK_NONE;
}
