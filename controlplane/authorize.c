/* user and groups → actor, role → methods; see authorize.h. */
#include "controlplane/authorize.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>

/* own_name: so that the log says who it was, also where the configuration does not. ids: of each actor, as looked up. */
struct bl_authorize {
    const struct bl_settings_controlplane *settings;
    uint32_t own_uid;
    char own_name[64];
    uint32_t ids[BL_SETTINGS_ACTORS_MAX];
};

static int look_up(const struct bl_settings_actor *actor, uint32_t *id, struct bl_error_detail *detail)
{
    const struct passwd *user = actor->user[0] == '\0' ? NULL : getpwnam(actor->user);
    const struct group *group = actor->group[0] == '\0' ? NULL : getgrnam(actor->group);

    if (user == NULL && actor->user[0] != '\0')
        return bl_error_set(detail, BL_EINVAL, "controlplane.actors: %s: there is no user %s", actor->name,
                            actor->user);
    if (group == NULL && actor->group[0] != '\0')
        return bl_error_set(detail, BL_EINVAL, "controlplane.actors: %s: there is no group %s", actor->name,
                            actor->group);
    *id = user != NULL ? user->pw_uid : group != NULL ? group->gr_gid : actor->uid;
    return BL_OK;
}

int bl_authorize_create(struct bl_authorize **out, const struct bl_settings_controlplane *settings, uint32_t own_uid,
                        struct bl_error_detail *detail)
{
    struct bl_authorize *authorize = calloc(1, sizeof(*authorize));
    const struct passwd *found;
    int error = BL_OK;

    if (authorize == NULL)
        return BL_ENOMEM;
    authorize->settings = settings;
    authorize->own_uid = own_uid;
    found = getpwuid(own_uid);
    if (found != NULL)
        (void)snprintf(authorize->own_name, sizeof(authorize->own_name), "%.63s", found->pw_name);
    else
        (void)snprintf(authorize->own_name, sizeof(authorize->own_name), "uid%u", own_uid);
    for (uint32_t i = 0; i < settings->n_actors && error == BL_OK; i++)
        error = look_up(&settings->actors[i], &authorize->ids[i], detail);
    if (error != BL_OK) {
        free(authorize);
        return error;
    }
    *out = authorize;
    return BL_OK;
}

void bl_authorize_free(struct bl_authorize *authorize)
{
    free(authorize);
}

static bool has_group(uint32_t gid, const uint32_t *groups, size_t n_groups)
{
    for (size_t i = 0; i < n_groups; i++)
        if (groups[i] == gid)
            return true;
    return false;
}

/* Who is named himself is not what his groups are: two walks. */
uint8_t bl_authorize_match(const struct bl_authorize *authorize, uint32_t uid, const uint32_t *groups, size_t n_groups)
{
    const struct bl_settings_controlplane *settings = authorize->settings;

    for (uint32_t i = 0; i < settings->n_actors; i++)
        if (settings->actors[i].group[0] == '\0' && authorize->ids[i] == uid)
            return (uint8_t)(i + 1);
    for (uint32_t i = 0; i < settings->n_actors; i++)
        if (settings->actors[i].group[0] != '\0' && has_group(authorize->ids[i], groups, n_groups))
            return (uint8_t)(i + 1);
    return 0;
}

/* A socket with a role gives nobody more than he has. */
static int restrict_to(const struct bl_settings_socket *socket, struct bl_actor *actor, struct bl_error_detail *detail)
{
    if (socket->role == BL_ROLE_NONE || socket->role == actor->role)
        return BL_OK;
    if (actor->role != BL_ROLE_ADMIN)
        return bl_error_set(detail, BL_EPERM, "actor %s, role %s: %s is for role %s", actor->name,
                            bl_settings_role_text(actor->role), socket->path, bl_settings_role_text(socket->role));
    actor->role = socket->role;
    return BL_OK;
}

int bl_authorize_find(const struct bl_authorize *authorize, const struct bl_peer *peer, struct bl_actor *actor,
                      struct bl_error_detail *detail)
{
    const struct bl_settings_controlplane *settings = authorize->settings;

    if (peer->actor > 0 && peer->actor <= settings->n_actors) {
        const struct bl_settings_actor *found = &settings->actors[peer->actor - 1];

        *actor = (struct bl_actor){found->name, found->role, found->source, peer->actor};
    } else if (peer->uid == 0)
        *actor = (struct bl_actor){"root", BL_ROLE_ADMIN, "", 0};
    else if (peer->uid == authorize->own_uid)
        *actor = (struct bl_actor){authorize->own_name, BL_ROLE_ADMIN, "", 0};
    else
        return bl_error_set(detail, BL_EPERM, "uid %u is not an actor: expected one of controlplane.actors", peer->uid);
    if (peer->socket > 0 && peer->socket <= settings->n_sockets)
        return restrict_to(&settings->sockets[peer->socket - 1], actor, detail);
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
    case BL_AUTHORIZE_BACKUP:
        return "take backups";
    default:
        return "read the status";
    }
}

int bl_authorize_check(const struct bl_actor *actor, enum bl_authorize_method method, struct bl_error_detail *detail)
{
    bool allowed = false;

    switch (actor->role) {
    case BL_ROLE_ADMIN:
        allowed = true;
        break;
    case BL_ROLE_FEEDER:
        allowed = method != BL_AUTHORIZE_BACKUP;
        break;
    case BL_ROLE_DELISTER:
        allowed = method == BL_AUTHORIZE_APPLY || method == BL_AUTHORIZE_PUSH || method == BL_AUTHORIZE_LOOKUP ||
                  method >= BL_AUTHORIZE_HEALTH;
        break;
    case BL_ROLE_READER:
        allowed = method != BL_AUTHORIZE_APPLY && method != BL_AUTHORIZE_PUSH && method != BL_AUTHORIZE_BACKUP;
        break;
    case BL_ROLE_NONE:
        break;
    }
    if (allowed)
        return BL_OK;
    return bl_error_set(detail, BL_EPERM, "actor %s, role %s: may not %s", actor->name,
                        bl_settings_role_text(actor->role), method_text(method));
}
