/* See turn.h. */
#include "controlplane/portal/turn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bounceline/ticket.h"
#include "controlplane/clock.h"
#include "controlplane/notice.h"
#include "controlplane/portal/hosts.h"

/* @p bits of the address, as text: names of a source and of its network. */
static void name_network(const struct bl_address *client, uint8_t ipv4_bits, uint8_t ipv6_bits, char *out)
{
    struct bl_prefix prefix = bl_address_host_prefix(client);

    prefix.length = client->family == BL_FAMILY_IPV6 ? ipv6_bits : ipv4_bits;
    bl_address_prefix_mask(&prefix);
    (void)bl_address_format_prefix(&prefix, out);
}

void bl_turn_init(struct bl_turn *turn, struct bl_site *site, const struct bl_visit *visit, struct bl_answer *answer)
{
    turn->site = site;
    turn->visit = visit;
    turn->answer = answer;
    bl_words_init(&turn->words, &site->settings->portal);
    if (visit == NULL)
        return;
    name_network(&visit->client, 32, 64, turn->source);
    name_network(&visit->client, 24, 48, turn->network);
}

static bool is_page(const char *path)
{
    return strncmp(path, "/c/", 3) == 0 || strcmp(path, "/hosts") == 0;
}

void bl_turn_put_page(struct bl_turn *turn, unsigned status, const char *name)
{
    struct bl_page page = {turn->language, true, turn->words.values, turn->words.n};
    struct bl_page_value values[BL_WORDS_MAX + 4];
    char title_key[48];
    char *title;

    (void)snprintf(title_key, sizeof(title_key), "%s_title", name);
    title = bl_page_render_text(&page, title_key);
    memcpy(values, turn->words.values, turn->words.n * sizeof(values[0]));
    values[page.n_values++] = (struct bl_page_value){"title", title};
    /* A path that is no page of ours would be somebody's link: //elsewhere/ is another host's. */
    values[page.n_values++] = (struct bl_page_value){"here", is_page(turn->path) ? turn->path : "/"};
    values[page.n_values++] = (struct bl_page_value){"language", bl_page_language_text(turn->language)};
    values[page.n_values++] = (struct bl_page_value){name, "1"};
    page.values = values;
    turn->answer->status = status;
    turn->answer->type = "text/html; charset=utf-8";
    free(turn->answer->body);
    turn->answer->body = bl_page_render(&page, "page.html", &turn->answer->length);
    free(title);
}

void bl_turn_put_problem(struct bl_turn *turn, unsigned status, const char *which)
{
    bl_tally_add(turn->site->tally, which);
    bl_words_add(&turn->words, which, "1");
    bl_turn_put_page(turn, status, "problem");
}

void bl_turn_put_form(struct bl_turn *turn, unsigned status, const char *name)
{
    const struct bl_settings_portal *settings = &turn->site->settings->portal;
    bool shows_ticket = bl_form_get(&turn->query, "t")[0] != '\0' || bl_form_get(&turn->form, "t")[0] != '\0';
    int64_t now_ms = bl_clock_wall_ms();

    bl_words_add(&turn->words, "to_names",
                 settings->ticket == BL_TICKET_USE_REQUIRED && settings->reverse_names && !shows_ticket ? "1" : NULL);
    bl_words_add(&turn->words, "hosters", bl_hosts_offered(turn->site) ? "1" : NULL);
    bl_secret_make_form(&turn->site->secret, turn->source, now_ms, turn->form_token);
    bl_words_add(&turn->words, "form_token", turn->form_token);
    if (settings->work_bits > 0)
        bl_words_add_number(&turn->words, "work_bits", settings->work_bits);
    bl_turn_put_page(turn, status, name);
}

bool bl_turn_form_holds(const struct bl_turn *turn)
{
    return bl_secret_verify_form(&turn->site->secret, turn->source, bl_clock_wall_ms(),
                                 bl_form_get(&turn->form, "form"));
}

bool bl_turn_has_ticket(const struct bl_site *site, const struct bl_address *address, const char *text)
{
    struct bl_prefix unit = bl_ticket_unit(address, site->settings->controlplane.ipv6_unit);
    uint64_t today = (uint64_t)bl_clock_wall_ms() / 1000 / BL_TICKET_DAY_S;
    uint64_t age_days;

    return site->has_ticket_key && site->settings->portal.ticket != BL_TICKET_USE_OFF &&
           bl_ticket_verify(&site->ticket_key, &unit, today, text, &age_days);
}

void bl_turn_name_asker(const struct bl_site *site, const char *email, char out[BL_CLAIM_EMAIL_MAX + 1])
{
    bl_secret_name_person(&site->secret, site->settings->portal.audit, email, out);
}

void bl_turn_name_batch(const struct bl_site *site, const struct bl_request *request, char *session,
                        char reason[BL_CLAIM_EMAIL_MAX + 64])
{
    char who[BL_CLAIM_EMAIL_MAX + 1];

    for (int i = 0; i < BL_SECRET_NONCE_BYTES; i++)
        (void)snprintf(session + 2 * i, 3, "%02x", request->nonce[i]);
    bl_turn_name_asker(site, request->email, who);
    (void)snprintf(reason, BL_CLAIM_EMAIL_MAX + 64, "portal: request %lld of %s", (long long)request->id, who);
}

static void say_admitted(const struct bl_turn *turn, const struct bl_turn_claim *claim, int64_t id, bool quiet)
{
    char who[BL_CLAIM_EMAIL_MAX + 1];
    char range[40] = "";

    bl_turn_name_asker(turn->site, claim->email, who);
    if (claim->items != NULL)
        (void)snprintf(range, sizeof(range), "%zu addresses of ", claim->items->n);
    bl_notice_write("request %lld: %s%s for %s, from %s%s%s%s", (long long)id, range, claim->address, who, turn->source,
                    claim->ticket ? ", with a ticket" : "", claim->by_name ? ", by its reverse name" : "",
                    quiet ? "; no mail, that mailbox had its mails for today" : "");
}

/* When its mail, or its question for names, may go: at once for a ticket or a proof of work. */
static int64_t find_due(const struct bl_turn *turn, bool ticket, int64_t now_ms)
{
    const struct bl_settings_portal *settings = &turn->site->settings->portal;
    bool at_once = ticket || bl_secret_verify_work(bl_form_get(&turn->form, "form"), bl_form_get(&turn->form, "work"),
                                                   settings->work_bits);

    return now_ms + (at_once ? 0 : (int64_t)settings->delay_s * 1000);
}

static enum bl_admission admit(struct bl_turn *turn, const struct bl_turn_claim *claim)
{
    struct bl_site *site = turn->site;
    int64_t now_ms = bl_clock_wall_ms();
    struct bl_request request = {.language = turn->language, .created_ms = now_ms};
    struct bl_requests_entry entry = {.source = turn->source,
                                      .network = turn->network,
                                      .due_ms = find_due(turn, claim->ticket, now_ms),
                                      .items = claim->items};
    enum bl_admission admission;

    (void)snprintf(request.email, sizeof(request.email), "%s", claim->email);
    (void)snprintf(request.address, sizeof(request.address), "%s", claim->address);
    request.state = claim->by_name ? BL_REQUEST_BY_NAME : BL_REQUEST_WAITING;
    request.expires_ms = entry.due_ms + (int64_t)site->settings->portal.link_lifetime_s * 1000;
    if (bl_secret_make_link(&site->secret, request.nonce, entry.token_hash) != BL_OK)
        return BL_ADMISSION_FAILED;
    admission = bl_requests_admit(site->requests, &request, &entry);
    if (admission == BL_ADMISSION_ACCEPTED || admission == BL_ADMISSION_QUIET) {
        say_admitted(turn, claim, request.id, admission == BL_ADMISSION_QUIET);
        if (claim->by_name)
            bl_inquiry_wake(site->inquiry);
        else
            bl_courier_wake(site->courier);
    }
    return admission;
}

void bl_turn_admit(struct bl_turn *turn, const struct bl_turn_claim *claim)
{
    bl_words_add(&turn->words, claim->by_name ? "sent_by_name" : "sent_to_you", "1");
    switch (admit(turn, claim)) {
    case BL_ADMISSION_ACCEPTED:
    case BL_ADMISSION_QUIET: /* the same page: who reads that mailbox is nobody's business */
        bl_turn_put_page(turn, 200, "sent");
        break;
    case BL_ADMISSION_SOURCE:
        bl_turn_put_problem(turn, 429, "too_many");
        break;
    case BL_ADMISSION_ALL:
        bl_turn_put_problem(turn, 503, "busy");
        break;
    case BL_ADMISSION_FAILED:
        bl_turn_put_problem(turn, 503, "failed");
        break;
    }
}
