/* See hosts.h. */
#include "controlplane/portal/hosts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/batch.h"
#include "controlplane/clock.h"
#include "controlplane/notice.h"
#include "controlplane/portal/range.h"
#include "controlplane/portal/ranges.h"
#include "controlplane/portal/rows.h"

static bool takes_tickets(const struct bl_site *site)
{
    return site->has_ticket_key && site->settings->portal.ticket != BL_TICKET_USE_OFF;
}

bool bl_hosts_offered(const struct bl_site *site)
{
    return site->settings->portal.range_addresses > 0 && (takes_tickets(site) || site->settings->portal.reverse_names);
}

static void put_form(struct bl_turn *turn, unsigned status)
{
    bl_words_add(&turn->words, "by_ticket", takes_tickets(turn->site) ? "1" : NULL);
    bl_words_add(&turn->words, "by_name", turn->site->settings->portal.reverse_names ? "1" : NULL);
    bl_turn_put_form(turn, status, "hosts");
}

void bl_hosts_get_form(struct bl_turn *turn)
{
    put_form(turn, 200);
}

/* The first field that is wrong, as the form's template names it; NULL: none is. */
static const char *find_mistake(const struct bl_turn *turn, struct bl_range *range)
{
    static const char *const names[] = {
        [BL_RANGE_NONE] = NULL,           [BL_RANGE_EMPTY] = "range_empty",
        [BL_RANGE_WORD] = "range_word",   [BL_RANGE_RESERVED] = "range_reserved",
        [BL_RANGE_APART] = "range_apart",
    };
    const struct bl_settings *settings = turn->site->settings;
    enum bl_range_mistake mistake;

    if (!bl_claim_email_valid(bl_form_get(&turn->form, "email")))
        return "wrong_email";
    mistake = bl_range_read(bl_form_get(&turn->form, "ip"), settings->controlplane.ipv6_unit, range);
    if (mistake != BL_RANGE_NONE)
        return names[mistake];
    if (range->n > settings->portal.range_addresses)
        return "range_many";
    return bl_turn_form_holds(turn) ? NULL : "old_form";
}

/* @return the first address that shows no ticket, or NULL. All are looked at: the time tells nothing about one. */
static const struct bl_range_entry *find_unproven(const struct bl_turn *turn, const struct bl_range *range)
{
    const struct bl_range_entry *unproven = NULL;

    for (size_t i = range->n; i-- > 0;) {
        if (!bl_turn_has_ticket(turn->site, &range->entries[i].address, range->entries[i].ticket))
            unproven = &range->entries[i];
    }
    return unproven;
}

static void put_mistake(struct bl_turn *turn, const char *mistake, const char *word)
{
    bl_tally_add(turn->site->tally, mistake);
    bl_words_add(&turn->words, "mistake", "1");
    bl_words_add(&turn->words, "wrong_range", strncmp(mistake, "range_", 6) == 0 ? "1" : NULL);
    bl_words_add(&turn->words, mistake, "1");
    bl_words_add(&turn->words, "word", word);
    put_form(turn, 422);
}

static void take_range(struct bl_turn *turn, const struct bl_range *range, bool by_name)
{
    struct bl_control_items *items = calloc(1, sizeof(*items));
    char network[BL_ADDRESS_TEXT_MAX];
    const struct bl_turn_claim claim = {.email = bl_form_get(&turn->form, "email"),
                                        .address = bl_address_format_prefix(&range->network, network),
                                        .items = items,
                                        .ticket = !by_name,
                                        .by_name = by_name};

    if (items == NULL) {
        bl_turn_put_problem(turn, 503, "failed");
        return;
    }
    items->n = range->n;
    for (size_t i = 0; i < range->n; i++)
        (void)bl_address_format(&range->entries[i].address, items->items[i].address);
    bl_turn_admit(turn, &claim);
    free(items);
}

void bl_hosts_post_form(struct bl_turn *turn)
{
    struct bl_range *range = calloc(1, sizeof(*range));
    const struct bl_range_entry *unproven;
    const char *mistake;
    char text[BL_ADDRESS_TEXT_MAX];

    if (range == NULL) {
        bl_turn_put_problem(turn, 503, "failed");
        return;
    }
    bl_words_add(&turn->words, "email", bl_form_get(&turn->form, "email"));
    bl_words_add(&turn->words, "ip", bl_form_get(&turn->form, "ip"));
    mistake = find_mistake(turn, range);
    unproven = mistake == NULL ? find_unproven(turn, range) : NULL;
    if (mistake != NULL)
        put_mistake(turn, mistake, range->word);
    else if (unproven != NULL && !turn->site->settings->portal.reverse_names)
        put_mistake(turn, "range_ticket", bl_address_format(&unproven->address, text));
    else
        take_range(turn, range, unproven != NULL);
    free(range);
}

/* All addresses' states. @return false: the control plane does not say. */
static bool look_up(struct bl_turn *turn, const struct bl_control_items *items, struct bl_control_state *states)
{
    struct bl_error_detail detail = {""};

    for (size_t i = 0; i < items->n; i++) {
        if (bl_control_lookup(turn->site->control, items->items[i].address, &states[i], &detail) == BL_OK)
            continue;
        bl_notice_write("lookup of %s: %s", items->items[i].address, detail.text);
        return false;
    }
    return true;
}

static void add_counts(struct bl_turn *turn, const struct bl_control_items *items,
                       const struct bl_control_state *states, enum bl_request_state state)
{
    unsigned n[BL_OUTCOME_COUNT] = {0};
    unsigned n_open = 0;
    bool enforced = true;

    for (size_t i = 0; i < items->n; i++) {
        n[items->items[i].outcome < BL_OUTCOME_COUNT ? items->items[i].outcome : BL_OUTCOME_NONE]++;
        n_open += states[i].listed && !states[i].closed;
        enforced = enforced && states[i].enforced;
    }
    bl_words_add_number(&turn->words, "n_addresses", items->n);
    bl_words_add_number(&turn->words, "n_removed", n[BL_OUTCOME_REMOVED]);
    bl_words_add_number(&turn->words, "n_exempted", n[BL_OUTCOME_EXEMPTED]);
    bl_words_add_number(&turn->words, "n_refused", n[BL_OUTCOME_REFUSED]);
    bl_words_add_number(&turn->words, "n_open", n_open);
    /* One that was pressed and has no result yet is asked once more, and gets the first answer. */
    bl_words_add(&turn->words, "some_open", n_open > 0 || state == BL_REQUEST_PRESSED ? "1" : NULL);
    bl_words_add(&turn->words, "some_refused", n[BL_OUTCOME_REFUSED] > 0 ? "1" : NULL);
    bl_words_add(&turn->words, "now_enforced", enforced ? "1" : NULL);
}

void bl_hosts_show(struct bl_turn *turn, const struct bl_request *request)
{
    const struct bl_page page = {.language = turn->language, .html = true};
    struct bl_control_items *items = calloc(1, sizeof(*items));
    struct bl_control_state *states = calloc(BL_CONTROL_ITEMS_MAX, sizeof(*states));
    char *rows = NULL;

    if (items != NULL && states != NULL && bl_ranges_read(turn->site->requests, request->id, items) == BL_OK &&
        look_up(turn, items, states))
        rows = bl_rows_render(&page, items, states);
    if (rows == NULL) {
        bl_turn_put_problem(turn, 503, "failed");
    } else {
        add_counts(turn, items, states, request->state);
        bl_words_add(&turn->words, "rows", rows);
        bl_turn_put_page(turn, 200, request->state == BL_REQUEST_DONE ? "range_result" : "range_confirm");
    }
    free(rows);
    free(states);
    free(items);
}

static int delist(struct bl_turn *turn, const struct bl_request *request, struct bl_control_items *items)
{
    struct bl_site *site = turn->site;
    struct bl_error_detail detail = {""};
    struct bl_control_result result;
    char session[2 * BL_SECRET_NONCE_BYTES + 1];
    char reason[BL_CLAIM_EMAIL_MAX + 64];
    const struct bl_control_delist asked = {NULL, session, reason};
    int error = bl_ranges_read(site->requests, request->id, items);

    bl_turn_name_batch(site, request, session, reason);
    if (error == BL_OK)
        error = bl_control_delist_range(site->control, &asked, items, &result, &detail);
    if (error != BL_OK) {
        bl_notice_write("request %lld: delist: %s", (long long)request->id, detail.text);
        return error;
    }
    bl_notice_write("%s: delist of %zu addresses of %s: serial %llu, %s, %llu us", reason, items->n, request->address,
                    (unsigned long long)result.serial, result.enforced ? "enforced" : "not enforced yet",
                    (unsigned long long)result.took_us);
    error = bl_requests_finish(site->requests, request->id, &result, items, bl_clock_wall_ms());
    if (error == BL_EIO)
        return error;
    bl_courier_wake(site->courier);
    return BL_OK;
}

bool bl_hosts_delist(struct bl_turn *turn, const struct bl_request *request)
{
    struct bl_control_items *items = calloc(1, sizeof(*items));
    int error = items == NULL ? BL_ENOMEM : delist(turn, request, items);

    free(items);
    if (error != BL_OK)
        bl_turn_put_problem(turn, 503, error == BL_EFULL ? "busy" : "failed");
    return error == BL_OK;
}
