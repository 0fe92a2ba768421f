/* uid → actor, role → methods; see authorize.h. */
#include "controlplane/authorize.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>

/* own_name: so that the log says who it was, also where the configuration does not. */
struct bl_authorize {
    const struct bl_settings_controlplane *settings;
    uint32_t own_uid;
    char own_name[64];
};

int bl_authorize_create(struct bl_authorize **out, const struct bl_settings_controlplane *settings, uint32_t own_uid)
{
    struct bl_authorize *authorize = calloc(1, sizeof(*authorize));
    struct passwd entry;
    struct passwd *found = NULL;
    char buffer[4096];

    if (authorize == NULL)
        return BL_ENOMEM;
    authorize->settings = settings;
    authorize->own_uid = own_uid;
    if (getpwuid_r(own_uid, &entry, buffer, sizeof(buffer), &found) == 0 && found != NULL)
        (void)snprintf(authorize->own_name, sizeof(authorize->own_name), "%.63s", found->pw_name);
    else
        (void)snprintf(authorize->own_name, sizeof(authorize->own_name), "uid%u", own_uid);
    *out = authorize;
    return BL_OK;
}

void bl_authorize_free(struct bl_authorize *authorize)
{
    free(authorize);
}

/* The first actor with this uid counts. */
int bl_authorize_find(const struct bl_authorize *authorize, uint32_t uid, struct bl_actor *actor,
                      struct bl_error_detail *detail)
{
    const struct bl_settings_controlplane *settings = authorize->settings;

    for (uint32_t i = 0; i < settings->n_actors; i++) {
        const struct bl_settings_actor *found = &settings->actors[i];

        if (found->uid != uid)
            continue;
        *actor = (struct bl_actor){found->name, found->role, found->source};
        return BL_OK;
    }
    if (uid == 0)
        *actor = (struct bl_actor){"root", BL_ROLE_ADMIN, ""};
    else if (uid == authorize->own_uid)
        *actor = (struct bl_actor){authorize->own_name, BL_ROLE_ADMIN, ""};
    else
        return bl_error_set(detail, BL_EPERM, "uid %u is not an actor: expected one of controlplane.actors", uid);
    return BL_OK;
}

static const char *method_text(enum bl_authorize_method method)
{
    switch (method) {
    case BL_AUTHORIZE_APPLY:
    case BL_AUTHORIZE_PUSH:
        return "change the list";
    case BL_AUTHORIZE_LOOKUP:
        return "look up addresses";
    case BL_AUTHORIZE_LIST_REJECTS:
    case BL_AUTHORIZE_GET_TOP:
        return "read the rejects";
    case BL_AUTHORIZE_WATCH:
    case BL_AUTHORIZE_EXPORT:
    case BL_AUTHORIZE_HISTORY:
        return "read the list and its log";
    default:
        return "read the status";
    }
}

int bl_authorize_check(const struct bl_actor *actor, enum bl_authorize_method method, struct bl_error_detail *detail)
{
    bool allowed = false;

    switch (actor->role) {
    case BL_ROLE_ADMIN:
    case BL_ROLE_FEEDER:
        allowed = true;
        break;
    case BL_ROLE_DELISTER:
        allowed = method == BL_AUTHORIZE_APPLY || method == BL_AUTHORIZE_PUSH || method == BL_AUTHORIZE_LOOKUP ||
                  method >= BL_AUTHORIZE_HEALTH;
        break;
    case BL_ROLE_READER:
        allowed = method != BL_AUTHORIZE_APPLY && method != BL_AUTHORIZE_PUSH;
        break;
    case BL_ROLE_NONE:
        break;
    }
    if (allowed)
        return BL_OK;
    return bl_error_set(detail, BL_EPERM, "actor %s, role %s: may not %s", actor->name,
                        bl_settings_role_text(actor->role), method_text(method));
}
