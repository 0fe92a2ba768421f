/** @file layers_oracle.h
 * A naive list: flat arrays, every question answered by looking at every layer, straight from the four rules of
 * DESIGN.md. It shares no code with the list state; struct bl_prefix is only the shape of a prefix. */
#ifndef BL_LAYERS_ORACLE_H
#define BL_LAYERS_ORACLE_H

#include "bounceline/address.h"
#include "controlplane/list_state.h"

enum { ORACLE_LAYERS_MAX = 512, ORACLE_SOURCES = 6, ORACLE_CONFIGURED = 2, ORACLE_URLS = 3 };

/** [0] is the operator; the next two are the configured ones, in an order that is not by name. */
extern const char *const oracle_sources[ORACLE_SOURCES];
extern const char *const oracle_urls[ORACLE_URLS];

struct oracle_meaning {
    uint16_t code; /* 0: not listed */
    uint8_t action;
    bool self_service;
    int url;
};

struct oracle_layer {
    enum bl_effect_kind kind; /* LIST, DELIST, EXEMPT */
    struct bl_prefix prefix;
    int source;
    struct oracle_meaning meaning;
    int64_t observed_at_ms;
    int64_t expires_at_ms;
    int64_t suppress_until_ms;
};

struct oracle {
    struct oracle_layer layers[ORACLE_LAYERS_MAX];
    size_t n;
};

/** Sets the layer of that prefix, kind and source. */
void oracle_set(struct oracle *oracle, const struct oracle_layer *layer);

/** Removes it; what is absent stays so. */
void oracle_remove(struct oracle *oracle, enum bl_effect_kind kind, const struct bl_prefix *prefix, int source);

/** True when a LIST of @p meaning needs a 63rd class. */
bool oracle_is_full(const struct oracle *oracle, const struct oracle_meaning *meaning);

/** The rules at @p prefix (an address is one of full length). @p kept_out: an exemption or a delist is what keeps it from
 * being listed. */
struct oracle_meaning oracle_value(const struct oracle *oracle, const struct bl_prefix *prefix, bool *kept_out);

/** Bit by bit. */
bool oracle_covers(const struct bl_prefix *outer, const struct bl_prefix *inner);

bool oracle_names(const struct oracle *oracle, const struct bl_prefix *prefix);

/** True when a delist that covers @p layer's prefix as far as @p prefix suppresses it there. */
bool oracle_is_suppressed(const struct oracle *oracle, const struct oracle_layer *layer,
                          const struct bl_prefix *prefix);

/** What bl_list_state_cover should say. */
struct bl_list_coverage oracle_cover(const struct oracle *oracle, int source);

/** What a data plane has: entries by longest prefix, and the classes that it was told. */
struct oracle_plane {
    struct bl_list_change entries[ORACLE_LAYERS_MAX * 2];
    size_t n;
    struct bl_class classes[BL_CLASS_COUNT];
};

void oracle_plane_take(struct oracle_plane *plane, const struct bl_list_changes *changes,
                       const struct bl_class *classes);
uint8_t oracle_plane_lookup(const struct oracle_plane *plane, const struct bl_prefix *address);

#endif
