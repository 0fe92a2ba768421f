/* A batch: item by item, then what holds for the whole; see policy.h. */
#include "controlplane/policy.h"

#include <stdlib.h>
#include <string.h>

#include "controlplane/policy_item.h"
#include "controlplane/policy_replace.h"

/* Details are for people: nobody reads more. Places of a bulk's items: the first refusals, one for the hold, and of a dry
 * run the first changes. */
enum { DETAILS_MAX = 100, PLACES_MAX = 2 * BL_BATCH_BULK_REFUSALS_MAX };

/* One batch on its way. */
struct run {
    struct bl_policy_context *context;
    const struct bl_batch *batch;
    struct bl_batch_result *result;
    size_t n_all;
    size_t n_details;
    size_t n_refusals_shown; /* of a bulk, as the next two */
    size_t n_changes_shown;
    uint32_t first_accepted; /* of a bulk */
};

/* A remark on an item that was accepted always fits: it is in a list, which is short. */
static int set_detail(struct run *run, struct bl_item_result *item, const char *text)
{
    free(item->detail);
    item->detail = NULL;
    if (text[0] == '\0' || (item->outcome == BL_OUTCOME_REFUSED && run->n_details >= DETAILS_MAX))
        return BL_OK;
    run->n_details += item->outcome == BL_OUTCOME_REFUSED;
    item->detail = strdup(text);
    return item->detail == NULL ? BL_ENOMEM : BL_OK;
}

/* Items of a list all have their place; of a bulk the first refused ones, and of a dry run the first changes. */
static struct bl_item_result *find_place(struct run *run, uint32_t index, enum bl_outcome outcome)
{
    size_t *n_shown = outcome == BL_OUTCOME_REFUSED ? &run->n_refusals_shown : &run->n_changes_shown;

    if (run->batch->bulk == NULL)
        return &run->result->items[index];
    if (outcome != BL_OUTCOME_REFUSED &&
        !(run->batch->dry_run && (outcome == BL_OUTCOME_APPLIED || outcome == BL_OUTCOME_REMOVED)))
        return NULL;
    if (*n_shown == BL_BATCH_BULK_REFUSALS_MAX)
        return NULL;
    (*n_shown)++;
    return &run->result->items[run->result->n_items++];
}

static int decide(struct run *run, uint32_t index, const struct bl_update *update, const struct bl_prefix *prefix)
{
    struct bl_policy_decision decision;
    struct bl_item_result *item;
    int error;

    decision.refusal = BL_REFUSAL_NONE;
    error = bl_policy_item_decide(run->context, update, prefix, &decision);
    if (error != BL_OK)
        return error;
    run->result->n_outcomes[decision.outcome]++;
    if (decision.outcome != BL_OUTCOME_REFUSED && run->first_accepted > index)
        run->first_accepted = index;
    item = find_place(run, index, decision.outcome);
    if (item == NULL)
        return BL_OK;
    item->index = index;
    item->outcome = (uint8_t)decision.outcome;
    item->refusal = (uint8_t)decision.refusal;
    return set_detail(run, item, decision.detail.text);
}

/* What the source lists and the bulk does not. Items of their own, behind the bulk's: their prefix is said in words. */
static int decide_gone(struct run *run, const char *source)
{
    const struct bl_update update = {.kind = BL_UPDATE_DELIST, .source = source};
    struct bl_policy_replace replace;
    uint32_t index = (uint32_t)run->n_all;
    int error = bl_policy_replace_find(run->context->state, source, run->batch->bulk, &replace);

    if (error == BL_OK && run->n_all + replace.n_gone >= UINT32_MAX)
        error = BL_ENOMEM;
    for (size_t i = 0; i < replace.n_gone && error == BL_OK; i++) {
        size_t n_items = run->result->n_items;
        char text[BL_ADDRESS_TEXT_MAX];

        error = decide(run, index++, &update, &replace.gone[i]);
        if (error == BL_OK && run->result->n_items != n_items &&
            run->result->items[n_items].outcome != BL_OUTCOME_REFUSED)
            error = set_detail(run, &run->result->items[n_items], bl_address_format_prefix(&replace.gone[i], text));
    }
    run->n_all += replace.n_gone;
    bl_policy_replace_fini(&replace);
    run->context->update = NULL;
    return error;
}

/* The index counts through both columns, IPv4 first, as the answer promises. Removals come first: what they free, classes
 * too, is there for what comes. */
static int decide_bulk(struct run *run)
{
    const struct bl_bulk *bulk = run->batch->bulk;
    struct bl_update update = bulk->update;
    size_t n = bulk->n_ipv4 + bulk->n_ipv6;
    int error = BL_OK;

    if (run->batch->replace)
        error = decide_gone(run, bl_policy_item_source(run->context->actor, &update));
    for (size_t i = 0; i < n && error == BL_OK; i++) {
        struct bl_prefix prefix = bl_policy_replace_item(bulk, i);

        if (bulk->expires_at_s != NULL) {
            int64_t own_ms = (int64_t)bl_address_to_ip4(bulk->expires_at_s + 4 * i) * 1000;

            own_ms = own_ms == 0 ? bulk->update.expires_at_ms : own_ms;
            /* Another time is another update: it is looked at anew. */
            if (own_ms != update.expires_at_ms)
                run->context->update = NULL;
            update.expires_at_ms = own_ms;
        }
        error = decide(run, (uint32_t)i, &update, &prefix);
    }
    return error;
}

static int decide_updates(struct run *run)
{
    int error = BL_OK;

    for (size_t i = 0; i < run->batch->n_updates && error == BL_OK; i++)
        error = decide(run, (uint32_t)i, &run->batch->updates[i], NULL);
    return error;
}

/* What was accepted is refused after all. An item that was refused on its own keeps its cause. */
static int refuse_rest(struct run *run, enum bl_refusal refusal, const char *text)
{
    struct bl_batch_result *result = run->result;

    memset(result->n_outcomes, 0, sizeof(result->n_outcomes));
    result->n_outcomes[BL_OUTCOME_REFUSED] = run->n_all;
    if (run->batch->bulk != NULL && refusal != BL_REFUSAL_BATCH) {
        size_t last = run->n_refusals_shown == BL_BATCH_BULK_REFUSALS_MAX ? result->n_items - 1 : result->n_items++;

        /* The cause must be read, whatever was refused before: the last place is its. */
        run->n_details -= run->n_details == DETAILS_MAX;
        result->items[last].index = run->first_accepted;
        result->items[last].outcome = BL_OUTCOME_REFUSED;
        result->items[last].refusal = (uint8_t)refusal;
        return set_detail(run, &result->items[last], text);
    }
    for (size_t i = 0; i < result->n_items; i++) {
        int error;

        if (result->items[i].outcome == BL_OUTCOME_REFUSED)
            continue;
        result->items[i].outcome = BL_OUTCOME_REFUSED;
        result->items[i].refusal = (uint8_t)refusal;
        error = set_detail(run, &result->items[i], text);
        if (error != BL_OK)
            return error;
    }
    return BL_OK;
}

/* The rules for the whole batch. @return true in @p *is_refused when one refuses. */
static int judge_whole(struct run *run, bool *is_refused)
{
    struct bl_error_detail detail = {""};

    *is_refused = true;
    /* A person with a bounce has nothing to force and nothing to replace. What its items ask for was looked at already. */
    if (run->context->actor->role == BL_ROLE_DELISTER && (run->batch->force || run->batch->replace) &&
        run->first_accepted != UINT32_MAX)
        return refuse_rest(run, BL_REFUSAL_ROLE, "a delister may neither force nor replace");
    if (run->batch->atomic && run->result->n_outcomes[BL_OUTCOME_REFUSED] != 0)
        return refuse_rest(run, BL_REFUSAL_BATCH, "another item of the atomic batch was refused");
    if (!run->batch->force && bl_policy_hold_check(&run->context->hold, run->context->settings, &detail))
        return refuse_rest(run, BL_REFUSAL_HELD_FOR_FORCE, detail.text);
    *is_refused = false;
    return BL_OK;
}

static int run_batch(struct run *run, bool *is_refused)
{
    const struct bl_bulk *bulk = run->batch->bulk;
    int error;

    run->n_all = bulk == NULL ? run->batch->n_updates : bulk->n_ipv4 + bulk->n_ipv6;
    if (run->n_all >= UINT32_MAX)
        return BL_ENOMEM;
    run->result->n_items = bulk == NULL ? run->n_all : 0;
    run->result->items = calloc(bulk == NULL ? run->n_all + 1 : PLACES_MAX, sizeof(*run->result->items));
    if (run->result->items == NULL) {
        run->result->n_items = 0;
        return BL_ENOMEM;
    }
    error = bulk == NULL ? decide_updates(run) : decide_bulk(run);
    return error == BL_OK ? judge_whole(run, is_refused) : error;
}

int bl_policy_apply(const struct bl_settings_controlplane *settings, struct bl_list_state *state,
                    const struct bl_actor *actor, const struct bl_batch *batch, int64_t now_ms, uint64_t serial,
                    struct bl_batch_result *result, struct bl_policy_effects *effects)
{
    struct run run = {.batch = batch, .result = result, .first_accepted = UINT32_MAX};
    size_t mark = bl_list_state_mark(state);
    bool is_refused = true;
    int error;

    *effects = (struct bl_policy_effects){NULL, 0, NULL};
    *result = (struct bl_batch_result){.items = NULL};
    /* Too large for a stack: it has room for all layers that can cover one prefix. */
    run.context = calloc(1, sizeof(*run.context));
    if (run.context == NULL)
        return BL_ENOMEM;
    run.context->settings = settings;
    run.context->state = state;
    run.context->actor = actor;
    run.context->now_ms = now_ms;
    run.context->serial = serial;
    run.context->is_bulk = batch->bulk != NULL;
    error = run_batch(&run, &is_refused);
    /* Items that were refused left nothing; here the ones that were accepted go, too, and all of a dry run. */
    if (error != BL_OK || is_refused || batch->dry_run) {
        bl_list_state_rollback(state, mark);
        bl_policy_effects_clear(&run.context->effects);
    }
    bl_policy_effects_finish(&run.context->effects, effects);
    bl_policy_hold_fini(&run.context->hold);
    free(run.context);
    if (error != BL_OK) {
        bl_policy_effects_fini(effects);
        bl_batch_result_fini(result);
    }
    return error;
}

void bl_batch_result_fini(struct bl_batch_result *result)
{
    for (size_t i = 0; i < result->n_items; i++)
        free(result->items[i].detail);
    free(result->items);
    *result = (struct bl_batch_result){.items = NULL};
}
