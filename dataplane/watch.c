/* Watches the links; see watch.h. */
#include "dataplane/watch.h"

#include "dataplane/fanout.h"
#include "dataplane/say.h"

enum { LOOK_MS = 50, SLOW_MS = 1000 };

int bl_watch_prepare(struct bl_port *ports, bool propagate, struct bl_error_detail *detail)
{
    for (unsigned i = 0; i < BL_LINK_PORTS && propagate; i++) {
        if (ports[i].form != BL_PORT_KERNEL)
            continue;
        if (bl_port_set_link(&ports[i], true) != BL_OK)
            return bl_error_set(detail, BL_EIO, "dataplane.link_propagate: port %s can't be brought up",
                                ports[i].setting);
    }
    return BL_OK;
}

static void say_link(const struct bl_port *port)
{
    bl_say_line("%s: port %s: link %s", port->key, port->setting, port->link_up ? "up" : "DOWN");
}

int bl_watch_init(struct bl_watch *watch, struct bl_port *ports, bool propagate, uint64_t now_ms,
                  struct bl_error_detail *detail)
{
    *watch = (struct bl_watch){.ports = ports, .propagate = propagate, .held = BL_LINK_NONE};
    bl_link_init(&watch->link, now_ms);
    for (unsigned i = 0; i < BL_LINK_PORTS; i++) {
        int error = propagate ? bl_port_check_set_link(&ports[i], detail) : BL_OK;

        if (error != BL_OK)
            return error;
    }
    for (unsigned i = 0; i < BL_LINK_PORTS; i++) {
        (void)bl_port_link(&ports[i]);
        say_link(&ports[i]);
    }
    return BL_OK;
}

/* Makes a port go down or up. What fails is told once, and tried again at the next look. @return whether it worked. */
static bool set(struct bl_watch *watch, int side, bool up)
{
    struct bl_port *port = &watch->ports[side];
    const struct bl_port *other = &watch->ports[1 - side];

    if (bl_port_set_link(port, up) != BL_OK) {
        if (!watch->failure_told)
            bl_say_line("%s: port %s can't be %s (link_propagate): trying on", port->key, port->setting,
                        up ? "brought up" : "taken down");
        watch->failure_told = true;
        return false;
    }
    watch->failure_told = false;
    if (up)
        bl_say_line("%s: port %s: brought up, %s has link again (link_propagate)", port->key, port->setting,
                    other->key);
    else
        bl_say_line("%s: port %s: taken down, %s has no link (link_propagate)", port->key, port->setting, other->key);
    return true;
}

/* Brings about that @p wanted and no other port is down by us. */
static void hold(struct bl_watch *watch, int wanted)
{
    if (watch->held == wanted)
        return;
    if (watch->held != BL_LINK_NONE) {
        if (!set(watch, watch->held, true))
            return;
        watch->held = BL_LINK_NONE;
    }
    if (wanted != BL_LINK_NONE && set(watch, wanted, false)) {
        watch->held = wanted;
        watch->counts[wanted].n_taken_down++;
    }
}

static void propagate(struct bl_watch *watch, uint64_t now_ms)
{
    bool has_link[BL_LINK_PORTS];

    for (unsigned i = 0; i < BL_LINK_PORTS; i++)
        has_link[i] = watch->ports[i].link_up;
    hold(watch, bl_link_step(&watch->link, has_link, now_ms));
}

/* Someone else has brought up what we hold down. */
static void insist(struct bl_watch *watch)
{
    if (watch->held != BL_LINK_NONE && watch->ports[watch->held].link_up)
        (void)bl_port_set_link(&watch->ports[watch->held], false);
}

void bl_watch_poll(struct bl_watch *watch, uint64_t now_ms)
{
    bool slow = now_ms >= watch->slow_ms;

    if (now_ms < watch->look_ms)
        return;
    watch->look_ms = now_ms + (watch->propagate ? LOOK_MS : SLOW_MS);
    if (slow)
        watch->slow_ms = now_ms + SLOW_MS;
    for (int i = 0; i < BL_LINK_PORTS; i++) {
        struct bl_port *port = &watch->ports[i];
        bool changed = bl_port_link(port);

        /* Not only when it has come up: it may have been down between two looks. */
        if (port->form == BL_PORT_KERNEL && port->link_up && (changed || slow))
            bl_fanout_recover();
        /* That a port has no link which we have taken down was told already. */
        if (!changed || i == watch->held)
            continue;
        say_link(port);
        if (!port->link_up)
            watch->counts[i].n_lost++;
    }
    if (!watch->propagate)
        return;
    propagate(watch, now_ms);
    if (slow)
        insist(watch);
}

void bl_watch_fini(struct bl_watch *watch)
{
    const struct bl_port *port;

    if (watch->ports == NULL || watch->held == BL_LINK_NONE)
        return;
    port = &watch->ports[watch->held];
    bl_say_line("%s: port %s: %s (link_propagate)", port->key, port->setting,
                bl_port_set_link(port, true) == BL_OK ? "brought up again at the end"
                                                      : "can't be brought up at the end");
    watch->held = BL_LINK_NONE;
}
