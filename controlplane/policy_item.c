/* One update, rule by rule; see policy_item.h. */
#include "controlplane/policy_item.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "controlplane/policy_delist.h"
#include "controlplane/policy_text.h"

enum { IPV4_LENGTH_MIN = 8, IPV6_LENGTH_MIN = 19, MAPPED_LENGTH = 96 };

int bl_policy_item_refuse(struct bl_policy_decision *decision, enum bl_refusal refusal, const struct bl_prefix *prefix,
                          const char *format, ...)
{
    char prefix_text[BL_ADDRESS_TEXT_MAX];
    char cause[sizeof(decision->detail.text) - BL_ADDRESS_TEXT_MAX];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(cause, sizeof(cause), format, arguments);
    va_end(arguments);
    decision->outcome = BL_OUTCOME_REFUSED;
    decision->refusal = refusal;
    (void)bl_error_set(&decision->detail, BL_OK, "%s: %s", bl_address_format_prefix(prefix, prefix_text), cause);
    return BL_OK;
}

int bl_policy_item_put(struct bl_policy_context *context, enum bl_effect_kind kind,
                       const struct bl_effect_attributes *attributes, const struct bl_prefix *prefix, bool is_new)
{
    struct bl_effect_group effect = {kind, *attributes, prefix, 1};
    struct bl_effect_attributes applied;
    int error = BL_OK;

    /* First: the hold wants to know what the source covered before. */
    if (is_new || kind == BL_EFFECT_UNLIST)
        error = bl_policy_hold_count(&context->hold, context->state, attributes->source, prefix, is_new);
    if (error == BL_OK)
        error = bl_list_state_apply(context->state, &effect, context->serial, context->actor->name, NULL);
    /* The times were made for this item: what the state holds of them lives until the record is made. */
    if (error == BL_OK && kind == BL_EFFECT_DELIST &&
        bl_list_state_find_other(context->state, kind, prefix, &applied) == BL_OK)
        effect.attributes.self_delists = applied.self_delists;
    if (error == BL_OK)
        error = bl_policy_effects_add(&context->effects, &effect);
    return error;
}

/* A field of the update that can't be meant. */
static void find_malformed(struct bl_policy_context *context)
{
    const struct bl_update *update = context->update;
    struct bl_error_detail *detail = &context->detail;
    int error = BL_OK;

    if (update->kind < BL_UPDATE_LIST || update->kind > BL_UPDATE_UNEXEMPT)
        error = bl_error_set(detail, BL_EINVAL, "kind: expected list, delist, exempt or unexempt");
    else if (update->code != 0 && (update->code < BL_CLASS_CODE_MIN || update->code > BL_CLASS_CODE_MAX))
        error = bl_error_set(detail, BL_EINVAL, "code %u: expected %d..%d", update->code, BL_CLASS_CODE_MIN,
                             BL_CLASS_CODE_MAX);
    else if (update->action > BL_ACTION_MONITOR)
        error = bl_error_set(detail, BL_EINVAL, "action: expected reject, reset, drop or monitor");
    else if (update->self_service > BL_SELF_SERVICE_CLOSED)
        error = bl_error_set(detail, BL_EINVAL, "self_service: expected open or closed");
    else if (update->reason != NULL && !bl_policy_text_is_reason(update->reason))
        error = bl_error_set(detail, BL_EINVAL, "reason: expected at most %d bytes of printable UTF-8",
                             BL_POLICY_TEXT_REASON_MAX);
    else if (update->source != NULL && update->source[0] != '\0' && !bl_policy_text_is_source(update->source))
        error = bl_error_set(detail, BL_EINVAL, "source: expected 1 to %d of a-z, 0-9, '.', '_' and '-'",
                             BL_POLICY_TEXT_SOURCE_MAX);
    else if (update->observed_at_ms < 0 || update->observed_at_ms > context->now_ms + BL_POLICY_ITEM_SKEW_MS)
        error = bl_error_set(detail, BL_EINVAL, "observed_at_ms: expected a time that has been, or 0");
    else if (update->expires_at_ms != 0 && update->expires_at_ms <= context->now_ms)
        error = bl_error_set(detail, BL_EINVAL, "expires_at_ms: expected a time to come, or 0");
    context->refusal = error == BL_OK ? BL_REFUSAL_NONE : BL_REFUSAL_INVALID;
}

static const struct bl_settings_source *find_source(const struct bl_settings_controlplane *settings, const char *name)
{
    for (uint32_t i = 0; i < settings->n_sources; i++)
        if (strcmp(settings->sources[i].name, name) == 0)
            return &settings->sources[i];
    return NULL;
}

/* What a listing is that says nothing: its source's settings, else the general ones. */
static void fill_attributes(struct bl_policy_context *context)
{
    const struct bl_settings_controlplane *settings = context->settings;
    const struct bl_update *update = context->update;
    const struct bl_settings_source *source = find_source(settings, context->source);
    struct bl_effect_attributes *attributes = &context->attributes;

    *attributes = (struct bl_effect_attributes){
        .source = context->source,
        .reason = update->reason == NULL ? "" : update->reason,
        .url = source != NULL && source->url[0] != '\0' ? source->url : settings->url,
        .actor = "",
        /* A clock that is a little ahead must not make evidence that no delist can answer. */
        .observed_at_ms = update->observed_at_ms < context->now_ms ? update->observed_at_ms : context->now_ms,
        .expires_at_ms = update->expires_at_ms,
        .code = source != NULL ? source->code : settings->code,
        .action = source != NULL ? source->action : (uint8_t)BL_ACTION_REJECT,
        .self_service = source != NULL ? source->self_service : true,
    };
    if (update->code != 0)
        attributes->code = (uint16_t)update->code;
    if (update->action != 0)
        attributes->action = update->action;
    if (update->self_service != BL_SELF_SERVICE_DEFAULT)
        attributes->self_service = update->self_service == BL_SELF_SERVICE_OPEN;
}

const char *bl_policy_item_source(const struct bl_actor *actor, const struct bl_update *update)
{
    const char *source = update->source == NULL ? "" : update->source;

    /* A delist without a source means another thing than one with: nothing is filled in there. */
    if (source[0] == '\0' && update->kind == BL_UPDATE_LIST)
        source = actor->role == BL_ROLE_ADMIN ? BL_RECORD_OPERATOR : actor->source;
    return source;
}

/* All of a bulk's items ask for the same: a million of them is looked at once. */
static void look_at_update(struct bl_policy_context *context, const struct bl_update *update)
{
    if (context->update == update)
        return;
    context->update = update;
    context->source = bl_policy_item_source(context->actor, update);
    find_malformed(context);
    if (context->refusal == BL_REFUSAL_NONE)
        fill_attributes(context);
}

/* Columns carry bytes: everything that the reader of text refuses must be refused here, and IPv4-mapped becomes IPv4. */
static bool take_columns(const struct bl_prefix *in, struct bl_prefix *out)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

    *out = *in;
    if (!bl_address_prefix_canonical(in))
        return false;
    if (in->family == BL_FAMILY_IPV6 && in->length >= MAPPED_LENGTH && memcmp(in->bytes, mapped, sizeof(mapped)) == 0) {
        *out = (struct bl_prefix){.family = BL_FAMILY_IPV4, .length = (uint8_t)(in->length - MAPPED_LENGTH)};
        memcpy(out->bytes, in->bytes + sizeof(mapped), 4);
    }
    return true;
}

static bool is_malformed(struct bl_policy_context *context, const struct bl_prefix *in, struct bl_prefix *out,
                         struct bl_policy_decision *decision)
{
    const char *text = context->update->prefix == NULL ? "" : context->update->prefix;

    /* The prefix comes first: every other text names it. */
    decision->outcome = BL_OUTCOME_REFUSED;
    decision->refusal = BL_REFUSAL_INVALID;
    if (in == NULL && bl_address_parse_prefix(text, context->settings->ipv6_unit, out, &decision->detail) != BL_OK)
        return true;
    if (in != NULL && !take_columns(in, out)) {
        (void)bl_policy_item_refuse(decision, BL_REFUSAL_INVALID, in,
                                    "expected a length of at most %u and no bits set behind it",
                                    bl_address_bits(in->family));
        return true;
    }
    if (context->refusal != BL_REFUSAL_NONE) {
        (void)bl_policy_item_refuse(decision, context->refusal, out, "%s", context->detail.text);
        return true;
    }
    decision->outcome = BL_OUTCOME_NONE;
    decision->refusal = BL_REFUSAL_NONE;
    return false;
}

/* @return what the actor's role does not allow; NULL: it may. */
static const char *find_forbidden(const struct bl_policy_context *context, const struct bl_prefix *prefix)
{
    const struct bl_update *update = context->update;
    bool is_plain_delist = update->kind == BL_UPDATE_DELIST && context->source[0] == '\0';

    switch (context->actor->role) {
    case BL_ROLE_ADMIN:
        return NULL;
    case BL_ROLE_FEEDER:
        if (update->kind == BL_UPDATE_LIST || (update->kind == BL_UPDATE_DELIST && !is_plain_delist))
            return NULL;
        return "a feeder may list, and delist with its own source";
    case BL_ROLE_DELISTER:
        if (!is_plain_delist)
            return "a delister may delist, without a source";
        /* A person has one bounce of one address, or of one unit of IPv6. */
        if (prefix->length < (prefix->family == BL_FAMILY_IPV4 ? 32 : context->settings->ipv6_unit))
            return "a delister may delist single addresses";
        return NULL;
    default:
        return "the role may not change the list";
    }
}

/* Taking an exemption back makes nothing wider: what is there may always go. */
static bool is_too_wide(const struct bl_policy_context *context, const struct bl_prefix *prefix)
{
    return context->update->kind != BL_UPDATE_UNEXEMPT &&
           prefix->length < (prefix->family == BL_FAMILY_IPV4 ? IPV4_LENGTH_MIN : IPV6_LENGTH_MIN);
}

/* @return the network that no list may touch; NULL: there is none. */
static const char *find_never_listed(const struct bl_policy_context *context, const struct bl_prefix *prefix,
                                     char text[BL_ADDRESS_TEXT_MAX])
{
    const struct bl_settings_controlplane *settings = context->settings;

    for (uint32_t i = 0; i < settings->n_never_listed; i++) {
        const struct bl_prefix *network = &settings->never_listed[i];

        if (bl_address_prefix_covers(network, prefix) || bl_address_prefix_covers(prefix, network))
            return bl_address_format_prefix(network, text);
    }
    return bl_address_reserved(prefix);
}

/* The rules that hold for every kind. @return true when one refuses. */
static bool is_refused(struct bl_policy_context *context, const struct bl_prefix *in, struct bl_prefix *prefix,
                       struct bl_policy_decision *decision)
{
    const struct bl_actor *actor = context->actor;
    char text[BL_ADDRESS_TEXT_MAX];
    const char *found;

    if (is_malformed(context, in, prefix, decision))
        return true;
    found = find_forbidden(context, prefix);
    if (found != NULL)
        (void)bl_policy_item_refuse(decision, BL_REFUSAL_ROLE, prefix, "actor %s is a %s: %s", actor->name,
                                    bl_settings_role_text(actor->role), found);
    else if (is_too_wide(context, prefix))
        (void)bl_policy_item_refuse(decision, BL_REFUSAL_TOO_WIDE, prefix, "expected /%d or longer",
                                    prefix->family == BL_FAMILY_IPV4 ? IPV4_LENGTH_MIN : IPV6_LENGTH_MIN);
    else if (context->update->kind == BL_UPDATE_LIST && (found = find_never_listed(context, prefix, text)) != NULL)
        (void)bl_policy_item_refuse(decision, BL_REFUSAL_NEVER_LISTED, prefix, "touches %s, which is never listed",
                                    found);
    else if (actor->role == BL_ROLE_FEEDER && (actor->source[0] == '\0' || strcmp(context->source, actor->source) != 0))
        (void)bl_policy_item_refuse(decision, BL_REFUSAL_SOURCE, prefix, "source %s: actor %s speaks for %s",
                                    context->source, actor->name, actor->source[0] == '\0' ? "none" : actor->source);
    return decision->outcome == BL_OUTCOME_REFUSED;
}

/* The actor and the serial are not compared: who repeats a listing does not take it over. */
static bool is_same_listing(const struct bl_effect_attributes *a, const struct bl_effect_attributes *b)
{
    return a->code == b->code && a->action == b->action && a->self_service == b->self_service &&
           a->observed_at_ms == b->observed_at_ms && a->expires_at_ms == b->expires_at_ms &&
           strcmp(a->url, b->url) == 0 && strcmp(a->reason, b->reason) == 0;
}

/* A person who lists what stays exempt must learn it. */
static void remark_exempt(struct bl_policy_context *context, const struct bl_prefix *prefix,
                          struct bl_policy_decision *decision)
{
    char text[BL_ADDRESS_TEXT_MAX];
    uint8_t class_id;
    size_t n = bl_list_state_lookup(context->state, prefix, context->layers, BL_LIST_LAYERS_MAX, &class_id);

    for (size_t i = 0; i < n && class_id == BL_CLASS_EXEMPT; i++) {
        const struct bl_list_layer *layer = &context->layers[i];

        if (!layer->effective)
            continue;
        (void)bl_error_set(&decision->detail, BL_OK, "%s, but %s is %s by %s",
                           decision->outcome == BL_OUTCOME_APPLIED ? "applied" : "unchanged",
                           bl_address_format_prefix(&layer->prefix, text),
                           layer->kind == BL_EFFECT_EXEMPT ? "exempt" : "delisted", layer->attributes.actor);
    }
}

static int list(struct bl_policy_context *context, const struct bl_prefix *prefix, struct bl_policy_decision *decision)
{
    struct bl_effect_attributes attributes = context->attributes;
    struct bl_effect_attributes known;
    bool is_known = bl_list_state_find(context->state, prefix, context->source, &known) == BL_OK;
    int error;

    /* A feed that repeats its file has not seen anything new. */
    if (context->update->observed_at_ms == 0)
        attributes.observed_at_ms = is_known ? known.observed_at_ms : context->now_ms;
    decision->outcome = BL_OUTCOME_UNCHANGED;
    if (!is_known || !is_same_listing(&known, &attributes)) {
        decision->outcome = BL_OUTCOME_APPLIED;
        error = bl_policy_item_put(context, BL_EFFECT_LIST, &attributes, prefix, !is_known);
        if (error == BL_EFULL)
            return bl_policy_item_refuse(decision, BL_REFUSAL_CLASSES_EXHAUSTED, prefix,
                                         "code %u, action %s: all %d classes are in use", attributes.code,
                                         bl_class_action_text(attributes.action), BL_CLASS_LAST);
        if (error != BL_OK)
            return error;
    }
    if (!context->is_bulk)
        remark_exempt(context, prefix, decision);
    return BL_OK;
}

/* A source drops its listing. */
static int unlist(struct bl_policy_context *context, const struct bl_prefix *prefix,
                  struct bl_policy_decision *decision)
{
    const struct bl_effect_attributes attributes = {.source = context->source, .reason = "", .url = "", .actor = ""};
    struct bl_effect_attributes known;

    decision->outcome = BL_OUTCOME_NOT_LISTED;
    if (bl_list_state_find(context->state, prefix, context->source, &known) != BL_OK)
        return BL_OK;
    decision->outcome = BL_OUTCOME_REMOVED;
    return bl_policy_item_put(context, BL_EFFECT_UNLIST, &attributes, prefix, false);
}

/* An exemption of what nothing lists is good, too: it is for what may come. */
static int exempt(struct bl_policy_context *context, const struct bl_prefix *prefix,
                  struct bl_policy_decision *decision)
{
    const struct bl_effect_attributes attributes = {
        .source = "",
        .reason = context->attributes.reason,
        .url = "",
        .actor = "",
        .expires_at_ms = context->update->expires_at_ms,
    };
    struct bl_effect_attributes known;

    decision->outcome = BL_OUTCOME_UNCHANGED;
    if (bl_list_state_find_other(context->state, BL_EFFECT_EXEMPT, prefix, &known) == BL_OK &&
        known.expires_at_ms == attributes.expires_at_ms && strcmp(known.reason, attributes.reason) == 0)
        return BL_OK;
    decision->outcome = BL_OUTCOME_APPLIED;
    return bl_policy_item_put(context, BL_EFFECT_EXEMPT, &attributes, prefix, false);
}

static int unexempt(struct bl_policy_context *context, const struct bl_prefix *prefix,
                    struct bl_policy_decision *decision)
{
    static const struct bl_effect_attributes attributes = {.source = "", .reason = "", .url = "", .actor = ""};
    struct bl_effect_attributes known;

    decision->outcome = BL_OUTCOME_NOT_LISTED;
    if (bl_list_state_find_other(context->state, BL_EFFECT_EXEMPT, prefix, &known) != BL_OK)
        return BL_OK;
    decision->outcome = BL_OUTCOME_APPLIED;
    return bl_policy_item_put(context, BL_EFFECT_UNEXEMPT, &attributes, prefix, false);
}

int bl_policy_item_decide(struct bl_policy_context *context, const struct bl_update *update, const struct bl_prefix *in,
                          struct bl_policy_decision *decision)
{
    struct bl_prefix prefix;

    decision->detail.text[0] = '\0';
    look_at_update(context, update);
    if (is_refused(context, in, &prefix, decision))
        return BL_OK;
    switch (update->kind) {
    case BL_UPDATE_LIST:
        return list(context, &prefix, decision);
    case BL_UPDATE_DELIST:
        return context->source[0] != '\0' ? unlist(context, &prefix, decision)
                                          : bl_policy_delist_decide(context, &prefix, decision);
    case BL_UPDATE_EXEMPT:
        return exempt(context, &prefix, decision);
    case BL_UPDATE_UNEXEMPT:
        return unexempt(context, &prefix, decision);
    }
    return BL_OK;
}
