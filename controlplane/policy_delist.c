/* The delist without a source; see policy_delist.h. */
#include "controlplane/policy_delist.h"

#include <string.h>

#include "controlplane/policy_escalation.h"

/* What stands on a prefix, in it and over it. Strings are the state's: good until it changes. */
struct survey {
    const struct bl_list_layer *exemption;     /* covers it */
    const struct bl_list_layer *delist;        /* covers it */
    const struct bl_list_layer *operator_wide; /* the longest operator's listing that covers it and is wider */
    const struct bl_list_layer *feed_wide;     /* the longest listing that covers it, is wider and not suppressed */
    bool has_operator;                         /* an operator's listing of exactly the prefix */
    bool has_feed;                             /* a listing of exactly the prefix, not suppressed */
    bool is_suppressed;                        /* a listing in it or over it that a delist keeps out already */
    bool has_inner_feed;
    bool has_inner_operator;
    struct bl_prefix inner_operator; /* the first */
    bool is_closed;                  /* a feed's listing in it or over it is closed to self-service */
    struct bl_prefix closed;
};

static bool is_operator(const struct bl_list_layer *layer)
{
    return layer->kind == BL_EFFECT_LIST && strcmp(layer->attributes.source, BL_RECORD_OPERATOR) == 0;
}

/* Suppressed ones count for the closing, too: a delist of the prefix would suppress them longer. */
static void note_feed(struct survey *survey, const struct bl_list_layer *layer)
{
    if (!layer->attributes.self_service && !survey->is_closed) {
        survey->is_closed = true;
        survey->closed = layer->prefix;
    }
    survey->is_suppressed |= layer->suppressed;
}

/* Layers come strongest first: of a kind, the first one seen is the longest. */
static void note_cover(struct survey *survey, const struct bl_list_layer *layer, bool is_exact)
{
    if (layer->kind == BL_EFFECT_EXEMPT) {
        survey->exemption = survey->exemption == NULL ? layer : survey->exemption;
    } else if (layer->kind == BL_EFFECT_DELIST) {
        survey->delist = survey->delist == NULL ? layer : survey->delist;
    } else if (is_operator(layer)) {
        if (is_exact)
            survey->has_operator = true;
        else if (survey->operator_wide == NULL)
            survey->operator_wide = layer;
    } else {
        note_feed(survey, layer);
        if (is_exact)
            survey->has_feed |= !layer->suppressed;
        else if (survey->feed_wide == NULL && !layer->suppressed)
            survey->feed_wide = layer;
    }
}

struct inner {
    struct survey *survey;
    const struct bl_prefix *prefix;
};

static int note_inner(void *context, const struct bl_list_layer *layer)
{
    const struct inner *inner = context;

    if (layer->prefix.length == inner->prefix->length || layer->kind != BL_EFFECT_LIST)
        return 0;
    if (!is_operator(layer)) {
        note_feed(inner->survey, layer);
        inner->survey->has_inner_feed |= !layer->suppressed;
    } else if (!inner->survey->has_inner_operator) {
        inner->survey->has_inner_operator = true;
        inner->survey->inner_operator = layer->prefix;
    }
    return 0;
}

static void look_around(struct bl_policy_context *context, const struct bl_prefix *prefix, struct survey *survey)
{
    struct inner inner = {survey, prefix};
    uint8_t class_id;
    size_t n = bl_list_state_lookup(context->state, prefix, context->layers, BL_LIST_LAYERS_MAX, &class_id);

    memset(survey, 0, sizeof(*survey));
    for (size_t i = 0; i < n; i++)
        note_cover(survey, &context->layers[i], context->layers[i].prefix.length == prefix->length);
    if (prefix->length < bl_address_bits(prefix->family))
        (void)bl_list_state_each_layer_in(context->state, prefix, note_inner, &inner);
}

static void remark(struct bl_policy_decision *decision, const char *what, const struct bl_list_layer *layer)
{
    char text[BL_ADDRESS_TEXT_MAX];
    const char *by = layer->kind == BL_EFFECT_LIST ? layer->attributes.source : layer->attributes.actor;

    (void)bl_error_set(&decision->detail, BL_OK, "%s: %s by %s", what, bl_address_format_prefix(&layer->prefix, text),
                       by);
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Self-service neither asks for more than the usual time nor shortens what an operator gave, nor lets the times that are
 * counted be forgotten before they stop to count. An operator's delist counts as none, and the count begins anew. */
static void note_self_service(const struct bl_policy_context *context, const struct bl_prefix *prefix, int64_t usual_ms,
                              struct bl_effect_attributes *attributes, struct bl_policy_escalation *escalation)
{
    struct bl_effect_attributes known = {.self_delists = ""};
    bool is_known = bl_list_state_find_other(context->state, BL_EFFECT_DELIST, prefix, &known) == BL_OK;
    int64_t window_ms = (int64_t)context->settings->self_service_days * 86400000;

    if (attributes->expires_at_ms > usual_ms)
        attributes->expires_at_ms = usual_ms;
    attributes->expires_at_ms = later(attributes->expires_at_ms, context->now_ms + window_ms);
    if (is_known)
        attributes->expires_at_ms = later(attributes->expires_at_ms, known.expires_at_ms);
    bl_policy_escalation_add(escalation, known.self_delists, context->now_ms, window_ms);
    attributes->self_delists = escalation->text;
}

/* Suppresses what lists @prefix now. */
static int put_delist(struct bl_policy_context *context, const struct bl_prefix *prefix)
{
    int64_t usual_ms = context->now_ms + (int64_t)context->settings->delist_days * 86400000;
    struct bl_effect_attributes attributes = {
        .source = "",
        .reason = context->attributes.reason,
        .url = "",
        .actor = "",
        .observed_at_ms = context->now_ms,
        .expires_at_ms = context->update->expires_at_ms == 0 ? usual_ms : context->update->expires_at_ms,
        .suppress_until_ms = context->now_ms + (int64_t)context->settings->delist_grace_s * 1000,
        .self_delists = "",
    };
    struct bl_policy_escalation escalation;

    if (context->actor->role == BL_ROLE_DELISTER)
        note_self_service(context, prefix, usual_ms, &attributes, &escalation);
    return bl_policy_item_put(context, BL_EFFECT_DELIST, &attributes, prefix, false);
}

/* No feed's listing counts here that a delist could suppress. */
static int decide_without_feeds(struct bl_policy_context *context, const struct bl_prefix *prefix,
                                const struct survey *survey, bool is_unlisted, struct bl_policy_decision *decision)
{
    struct bl_effect_attributes known;
    char text[BL_ADDRESS_TEXT_MAX];

    if (is_unlisted) {
        decision->outcome = BL_OUTCOME_REMOVED;
        return BL_OK;
    }
    /* "Not listed" would be wrong for a part of it. */
    if (survey->has_inner_operator)
        return bl_policy_item_refuse(decision, BL_REFUSAL_OPERATOR_LISTING, prefix,
                                     "the operator lists %s in it: delist that",
                                     bl_address_format_prefix(&survey->inner_operator, text));
    if (survey->delist == NULL && !survey->is_suppressed) {
        decision->outcome = BL_OUTCOME_NOT_LISTED;
        return BL_OK;
    }
    decision->outcome = BL_OUTCOME_UNCHANGED;
    if (survey->delist != NULL)
        remark(decision, "delisted already", survey->delist);
    /* An administrator who says for how long means it. */
    if (context->actor->role != BL_ROLE_ADMIN || context->update->expires_at_ms == 0 ||
        bl_list_state_find_other(context->state, BL_EFFECT_DELIST, prefix, &known) != BL_OK ||
        known.expires_at_ms == context->update->expires_at_ms)
        return BL_OK;
    decision->outcome = BL_OUTCOME_APPLIED;
    decision->detail.text[0] = '\0';
    return put_delist(context, prefix);
}

/* Counted by the prefix as it is delisted. */
static bool is_escalated(const struct bl_policy_context *context, const struct bl_prefix *prefix, int64_t *until_ms)
{
    const struct bl_settings_controlplane *settings = context->settings;
    struct bl_effect_attributes known;

    if (bl_list_state_find_other(context->state, BL_EFFECT_DELIST, prefix, &known) != BL_OK)
        return false;
    *until_ms =
        bl_policy_escalation_until(known.self_delists, context->now_ms, (int64_t)settings->self_service_days * 86400000,
                                   settings->self_service_delists);
    return *until_ms != 0;
}

static int decide_with_feeds(struct bl_policy_context *context, const struct bl_prefix *prefix,
                             const struct survey *survey, bool is_unlisted, struct bl_policy_decision *decision)
{
    char text[BL_ADDRESS_TEXT_MAX];
    char time_text[BL_POLICY_ESCALATION_TIME_MAX];
    int64_t until_ms;

    if (context->actor->role == BL_ROLE_DELISTER && survey->is_closed)
        return bl_policy_item_refuse(decision, BL_REFUSAL_SELF_SERVICE_CLOSED, prefix,
                                     "the listing of %s is closed to self-service",
                                     bl_address_format_prefix(&survey->closed, text));
    if (context->actor->role == BL_ROLE_DELISTER && is_escalated(context, prefix, &until_ms))
        return bl_policy_item_refuse(decision, BL_REFUSAL_SELF_SERVICE_CLOSED, prefix,
                                     "delisted %u times by self-service within %u days: closed until %s",
                                     context->settings->self_service_delists, context->settings->self_service_days,
                                     bl_policy_escalation_time(until_ms, time_text));
    if (!survey->has_feed && survey->feed_wide != NULL && !is_unlisted) {
        decision->outcome = BL_OUTCOME_EXEMPTED;
        remark(decision, "exempted from a wider listing", survey->feed_wide);
    } else {
        decision->outcome = BL_OUTCOME_REMOVED;
    }
    if (survey->has_inner_operator)
        (void)bl_error_set(&decision->detail, BL_OK, "removed, but the operator's listing of %s in it stays",
                           bl_address_format_prefix(&survey->inner_operator, text));
    return put_delist(context, prefix);
}

static int unlist_operator(struct bl_policy_context *context, const struct bl_prefix *prefix)
{
    static const struct bl_effect_attributes attributes = {
        .source = BL_RECORD_OPERATOR, .reason = "", .url = "", .actor = ""};

    return bl_policy_item_put(context, BL_EFFECT_UNLIST, &attributes, prefix, false);
}

int bl_policy_delist_decide(struct bl_policy_context *context, const struct bl_prefix *prefix,
                            struct bl_policy_decision *decision)
{
    struct survey survey;
    char text[BL_ADDRESS_TEXT_MAX];
    bool is_unlisted = false;

    look_around(context, prefix, &survey);
    if (survey.has_operator && context->actor->role == BL_ROLE_ADMIN) {
        int error = unlist_operator(context, prefix);

        if (error != BL_OK)
            return error;
        /* What else lists it is seen anew: the layers' strings may have gone with the listing. */
        is_unlisted = true;
        look_around(context, prefix, &survey);
    }
    /* An exemption wins already; a delist behind it would come to light on the day when it ends. */
    if (survey.exemption != NULL) {
        decision->outcome = is_unlisted ? BL_OUTCOME_REMOVED : BL_OUTCOME_UNCHANGED;
        remark(decision, "exempt", survey.exemption);
        return BL_OK;
    }
    /* What was asked for exactly is done; that the address stays listed must be said. */
    if (survey.operator_wide != NULL && is_unlisted) {
        decision->outcome = BL_OUTCOME_REMOVED;
        remark(decision, "removed, but a wider listing stays", survey.operator_wide);
        return BL_OK;
    }
    if (survey.has_operator || survey.operator_wide != NULL)
        return bl_policy_item_refuse(
            decision, BL_REFUSAL_OPERATOR_LISTING, prefix, "the operator lists %s: only an operator ends that%s",
            bl_address_format_prefix(survey.has_operator ? prefix : &survey.operator_wide->prefix, text),
            context->actor->role == BL_ROLE_ADMIN ? ", by its own prefix, or exempts this one" : "");
    if (survey.has_feed || survey.feed_wide != NULL || survey.has_inner_feed)
        return decide_with_feeds(context, prefix, &survey, is_unlisted, decision);
    return decide_without_feeds(context, prefix, &survey, is_unlisted, decision);
}
