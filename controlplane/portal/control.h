/** @file control.h
 * What the portal asks of the control plane: one address's state, one address's delist. Stands between site.c and the
 * client of controlplane/cli. Keeps a few connections, so that a delist that waits to be enforced holds up nobody.
 * Threads: any. */
#ifndef BL_CONTROL_H
#define BL_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

#include "bounceline/settings.h"

struct bl_control;

/** What is known of an address. */
struct bl_control_state {
    bool listed;
    bool closed;   /**< by a listing that the portal may not delist */
    bool enforced; /**< every connected data plane has this state */
    uint32_t code;
    char prefix[BL_ADDRESS_TEXT_MAX]; /**< of the listing that counts; "" for none */
    char source[64];                  /**< of that listing */
    uint64_t serial;
    uint32_t n_enforced;
    uint32_t n_connected;
};

/** What a delist came to. Kept in the store as it is. */
struct bl_control_result {
    unsigned outcome; /**< enum bl_outcome */
    unsigned refusal; /**< enum bl_refusal */
    bool enforced;
    uint64_t serial;
    uint32_t n_enforced;
    uint32_t n_connected;
    uint64_t took_us;
    char detail[200];
};

enum { BL_CONTROL_ITEMS_MAX = 256 };

/** The addresses of a range, and what became of each. */
struct bl_control_item {
    char address[BL_ADDRESS_TEXT_MAX];
    unsigned outcome; /**< enum bl_outcome; 0: not asked yet */
    unsigned refusal; /**< enum bl_refusal */
    char detail[200];
};
struct bl_control_items {
    size_t n;
    struct bl_control_item items[BL_CONTROL_ITEMS_MAX];
};

struct bl_control_delist {
    const char *address; /**< not read for a range */
    const char *session; /**< names the batch: the same one asked again gets the first answer again */
    const char *reason;
};

int bl_control_create(struct bl_control **out, const struct bl_settings_portal *settings);
void bl_control_free(struct bl_control *control);

/** @return 0, or what bl_client_call says; the cause is in @p detail. */
int bl_control_lookup(struct bl_control *control, const char *address, struct bl_control_state *out,
                      struct bl_error_detail *detail);
int bl_control_delist(struct bl_control *control, const struct bl_control_delist *delist, struct bl_control_result *out,
                      struct bl_error_detail *detail);

/** The same for all of @p items in one batch, whose outcomes are filled in; that of @p out is APPLIED, or REFUSED when
 * all were. The control plane's quota counts each address, and refuses the batch whole: BL_EFULL. */
int bl_control_delist_range(struct bl_control *control, const struct bl_control_delist *delist,
                            struct bl_control_items *items, struct bl_control_result *out,
                            struct bl_error_detail *detail);

#endif
