/** @file authorize.h
 * Who a caller is, and which methods it may call (ingest → authorize → policy).
 *
 * A user is what the configuration says, by his id, his name or a group of his (looked up once, at the start); uid 0 and the program's own user are administrators where it says nothing;
 * everybody else is nobody. What an actor may do to which prefix is policy.c's. Pure after create. Threads: any. */
#ifndef BL_AUTHORIZE_H
#define BL_AUTHORIZE_H

#include "bounceline/error.h"
#include "bounceline/settings.h"
#include "controlplane/batch.h"
#include "controlplane/peers.h"

enum bl_authorize_method {
    BL_AUTHORIZE_APPLY,
    BL_AUTHORIZE_LOOKUP,
    BL_AUTHORIZE_GET_STATUS,
    BL_AUTHORIZE_LIST_REJECTS,
    BL_AUTHORIZE_GET_TOP,
    BL_AUTHORIZE_PUSH,
    BL_AUTHORIZE_WATCH,
    BL_AUTHORIZE_EXPORT,
    BL_AUTHORIZE_HISTORY,
    BL_AUTHORIZE_BACKUP,
    /* gRPC's own services, for whoever is an actor: */
    BL_AUTHORIZE_HEALTH,
    BL_AUTHORIZE_HEALTH_WATCH,
    BL_AUTHORIZE_REFLECTION,
    BL_AUTHORIZE_METHOD_COUNT,
};

struct bl_authorize;

/** @p settings are borrowed for the object's life. @return 0, BL_ENOMEM, or BL_EINVAL naming a user or group that the
 * system does not have. */
int bl_authorize_create(struct bl_authorize **out, const struct bl_settings_controlplane *settings, uint32_t own_uid,
                        struct bl_error_detail *detail);
void bl_authorize_free(struct bl_authorize *authorize);

/** Which of controlplane.actors a user is: by his id, else by the first actor whose group is among @p groups.
 * @return 1 and on, 0: none. */
uint8_t bl_authorize_match(const struct bl_authorize *authorize, uint32_t uid, const uint32_t *groups, size_t n_groups);

/** The actor that @p peer is on its socket: on one with a role only who has it, and an admin, who then has no other.
 * Its strings live as long as @p authorize. @return 0, or BL_EPERM naming the uid, or the role and the socket. */
int bl_authorize_find(const struct bl_authorize *authorize, const struct bl_peer *peer, struct bl_actor *actor,
                      struct bl_error_detail *detail);

/** May this role call this method? A reader asks; a delister (the portal) looks up and applies, or pushes, no more; feeders do
 * all but take backups, administrators all. @return 0, or BL_EPERM naming actor, role and method. */
int bl_authorize_check(const struct bl_actor *actor, enum bl_authorize_method method, struct bl_error_detail *detail);

#endif
