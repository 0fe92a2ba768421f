/* See site.h. Each handler decides, fills in words, and names the page: put_page renders. */
#include "controlplane/portal/site.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bounceline/ticket.h"
#include "controlplane/batch.h"
#include "controlplane/clock.h"
#include "controlplane/notice.h"
#include "controlplane/portal/files.h"
#include "controlplane/portal/form.h"
#include "controlplane/portal/words.h"

/* One visit on its way through here. */
struct turn {
    struct bl_site *site;
    const struct bl_visit *visit;
    struct bl_answer *answer;
    struct bl_words words;
    enum bl_language language;
    char path[64];
    char source[BL_ADDRESS_TEXT_MAX];
    char network[BL_ADDRESS_TEXT_MAX];
    char form_token[BL_SECRET_FORM_CHARS + 1];
    struct bl_form query;
    struct bl_form form;
};

static void put_page(struct turn *turn, unsigned status, const char *name)
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
    values[page.n_values++] = (struct bl_page_value){"here", strncmp(turn->path, "/c/", 3) == 0 ? turn->path : "/"};
    values[page.n_values++] = (struct bl_page_value){"language", bl_page_language_text(turn->language)};
    values[page.n_values++] = (struct bl_page_value){name, "1"};
    page.values = values;
    turn->answer->status = status;
    turn->answer->type = "text/html; charset=utf-8";
    free(turn->answer->body);
    turn->answer->body = bl_page_render(&page, "page.html", &turn->answer->length);
    free(title);
}

static void put_problem(struct turn *turn, unsigned status, const char *which)
{
    bl_tally_add(turn->site->tally, which);
    bl_words_add(&turn->words, which, "1");
    put_page(turn, status, "problem");
}

/* @p bits of the address, as text without a length: names of a source and of its network. */
static void name_network(const struct bl_address *client, uint8_t ipv4_bits, uint8_t ipv6_bits, char *out)
{
    struct bl_prefix prefix = bl_address_host_prefix(client);

    prefix.length = client->family == BL_FAMILY_IPV6 ? ipv6_bits : ipv4_bits;
    bl_address_prefix_mask(&prefix);
    (void)bl_address_format_prefix(&prefix, out);
}

static void put_form(struct turn *turn, unsigned status)
{
    int64_t now_ms = bl_clock_wall_ms();

    bl_secret_make_form(&turn->site->secret, turn->source, now_ms, turn->form_token);
    bl_words_add(&turn->words, "form_token", turn->form_token);
    if (turn->site->settings->portal.work_bits > 0)
        bl_words_add_number(&turn->words, "work_bits", turn->site->settings->portal.work_bits);
    put_page(turn, status, "form");
}

static bool has_ticket(const struct bl_site *site, const struct bl_address *address, const char *text)
{
    struct bl_prefix unit = bl_ticket_unit(address, site->settings->controlplane.ipv6_unit);
    uint64_t today = (uint64_t)bl_clock_wall_ms() / 1000 / BL_TICKET_DAY_S;
    uint64_t age_days;

    return site->has_ticket_key && site->settings->portal.ticket != BL_TICKET_USE_OFF &&
           bl_ticket_verify(&site->ticket_key, &unit, today, text, &age_days);
}

static void get_form(struct turn *turn)
{
    bl_words_add(&turn->words, "ip", bl_form_get(&turn->query, "ip"));
    bl_words_add(&turn->words, "ticket", bl_form_get(&turn->query, "t"));
    put_form(turn, 200);
}

/* The audit's line, and the reason in the control plane's log. */
static void name_asker(const struct bl_site *site, const char *email, char out[BL_CLAIM_EMAIL_MAX + 1])
{
    bl_secret_name_person(&site->secret, site->settings->portal.audit, email, out);
}

/* Stores the request; its mail waits when nothing speaks for the one who asks. */
static enum bl_admission admit(struct turn *turn, const char *email, const struct bl_address *address, bool ticket)
{
    struct bl_site *site = turn->site;
    const struct bl_settings_portal *settings = &site->settings->portal;
    int64_t now_ms = bl_clock_wall_ms();
    struct bl_request request = {.language = turn->language, .created_ms = now_ms};
    struct bl_requests_asker asker = {turn->source, turn->network};
    uint8_t hash[BL_SECRET_HASH_BYTES];
    char token[BL_SECRET_TOKEN_CHARS + 1];
    enum bl_admission admission;
    bool at_once = ticket || bl_secret_verify_work(bl_form_get(&turn->form, "form"), bl_form_get(&turn->form, "work"),
                                                   settings->work_bits);
    int64_t due_ms = now_ms + (at_once ? 0 : (int64_t)settings->delay_s * 1000);

    (void)snprintf(request.email, sizeof(request.email), "%s", email);
    (void)bl_address_format(address, request.address);
    request.expires_ms = due_ms + (int64_t)settings->link_lifetime_s * 1000;
    if (bl_secret_random(request.nonce, sizeof(request.nonce)) != BL_OK)
        return BL_ADMISSION_FAILED;
    bl_secret_make_token(&site->secret, request.nonce, token);
    (void)bl_secret_hash_token(token, hash);
    admission = bl_requests_admit(site->requests, &request, &asker, hash, due_ms);
    if (admission == BL_ADMISSION_ACCEPTED || admission == BL_ADMISSION_QUIET) {
        char who[BL_CLAIM_EMAIL_MAX + 1];

        name_asker(site, email, who);
        bl_notice_write("request %lld: %s for %s, from %s%s%s", (long long)request.id, request.address, who,
                        turn->source, ticket ? ", with a ticket" : "",
                        admission == BL_ADMISSION_QUIET ? "; no mail, that mailbox had its mails for today" : "");
        bl_courier_wake(site->courier);
    }
    return admission;
}

/* The first field that is wrong, as the form's template names it; NULL: none is. */
static const char *find_mistake(struct turn *turn, struct bl_address *address)
{
    const char *ip = bl_form_get(&turn->form, "ip");
    struct bl_prefix prefix;
    int error;

    if (!bl_claim_email_valid(bl_form_get(&turn->form, "email")))
        return "wrong_email";
    error = bl_claim_find_address(ip, address);
    if (error != BL_OK)
        return error == BL_ENOENT ? "wrong_ip" : "many_ip";
    prefix = bl_address_host_prefix(address);
    if (bl_address_reserved(&prefix) != NULL)
        return "reserved_ip";
    return bl_secret_verify_form(&turn->site->secret, turn->source, bl_clock_wall_ms(),
                                 bl_form_get(&turn->form, "form"))
               ? NULL
               : "old_form";
}

static void post_form(struct turn *turn)
{
    const char *email = bl_form_get(&turn->form, "email");
    const char *ticket = bl_form_get(&turn->form, "t");
    struct bl_address address;
    const char *mistake = find_mistake(turn, &address);
    bool ticket_holds;

    bl_words_add(&turn->words, "email", email);
    bl_words_add(&turn->words, "ip", bl_form_get(&turn->form, "ip"));
    bl_words_add(&turn->words, "ticket", ticket);
    if (mistake != NULL) {
        bl_tally_add(turn->site->tally, mistake);
        bl_words_add(&turn->words, "mistake", "1");
        bl_words_add(&turn->words, mistake, "1");
        put_form(turn, 422);
        return;
    }
    ticket_holds = has_ticket(turn->site, &address, ticket);
    if (turn->site->settings->portal.ticket == BL_TICKET_USE_REQUIRED && !ticket_holds) {
        put_problem(turn, 403, "no_ticket");
        return;
    }
    switch (admit(turn, email, &address, ticket_holds)) {
    case BL_ADMISSION_ACCEPTED:
    case BL_ADMISSION_QUIET: /* the same page: who reads that mailbox is nobody's business */
        put_page(turn, 200, "sent");
        break;
    case BL_ADMISSION_SOURCE:
        put_problem(turn, 429, "too_many");
        break;
    case BL_ADMISSION_ALL:
        put_problem(turn, 503, "busy");
        break;
    case BL_ADMISSION_FAILED:
        put_problem(turn, 503, "failed");
        break;
    }
}

/* What the control plane says now. @return false: it says nothing, and the page is put. */
static bool look_up(struct turn *turn, const struct bl_request *request, struct bl_control_state *state)
{
    struct bl_error_detail detail = {""};

    if (bl_control_lookup(turn->site->control, request->address, state, &detail) == BL_OK)
        return true;
    bl_notice_write("request %lld: lookup: %s", (long long)request->id, detail.text);
    put_problem(turn, 503, "failed");
    return false;
}

static void add_state(struct turn *turn, const struct bl_control_state *state)
{
    bl_words_add(&turn->words, "now_listed", state->listed ? "1" : NULL);
    bl_words_add(&turn->words, "now_clear", state->listed ? NULL : "1");
    bl_words_add(&turn->words, "now_enforced", state->enforced ? "1" : NULL);
    bl_words_add(&turn->words, "prefix", state->listed ? state->prefix : NULL);
    bl_words_add_number(&turn->words, "code", state->code);
    bl_words_add_number(&turn->words, "now_serial", state->serial);
    bl_words_add_number(&turn->words, "now_connected", state->n_connected);
}

static void get_link(struct turn *turn, const struct bl_request *request)
{
    struct bl_control_state state = {0};

    if (!look_up(turn, request, &state))
        return;
    add_state(turn, &state);
    if (request->state == BL_REQUEST_DONE)
        put_page(turn, 200, "result");
    else
        put_page(turn, 200, !state.listed ? "clear" : state.closed ? "closed" : "confirm");
    if (request->state != BL_REQUEST_DONE && state.listed && state.closed)
        bl_tally_add(turn->site->tally, "closed");
}

/* Asks the control plane, and keeps what it said. Safe to do again: the batch has the request's own name. */
static bool delist(struct turn *turn, struct bl_request *request)
{
    struct bl_site *site = turn->site;
    struct bl_error_detail detail = {""};
    struct bl_control_result result;
    char session[2 * BL_SECRET_NONCE_BYTES + 1];
    char who[BL_CLAIM_EMAIL_MAX + 1];
    char reason[BL_CLAIM_EMAIL_MAX + 64];
    const struct bl_control_delist asked = {request->address, session, reason};

    for (int i = 0; i < BL_SECRET_NONCE_BYTES; i++)
        (void)snprintf(session + 2 * i, 3, "%02x", request->nonce[i]);
    name_asker(site, request->email, who);
    (void)snprintf(reason, sizeof(reason), "portal: request %lld of %s", (long long)request->id, who);
    if (bl_control_delist(site->control, &asked, &result, &detail) != BL_OK) {
        bl_notice_write("request %lld: delist: %s", (long long)request->id, detail.text);
        return false;
    }
    bl_notice_write("request %lld: delist %s for %s: outcome %u, refusal %u, serial %llu, %s, %llu us",
                    (long long)request->id, request->address, who, result.outcome, result.refusal,
                    (unsigned long long)result.serial, result.enforced ? "enforced" : "not enforced yet",
                    (unsigned long long)result.took_us);
    if (bl_requests_finish(site->requests, request->id, &result, bl_clock_wall_ms()) == BL_EIO)
        return false;
    bl_courier_wake(site->courier);
    return true;
}

static void post_link(struct turn *turn, struct bl_request *request)
{
    if (request->state == BL_REQUEST_DONE) {
        put_problem(turn, 410, "used");
        return;
    }
    if (request->state == BL_REQUEST_WAITING && bl_requests_press(turn->site->requests, request->id) == BL_EIO) {
        put_problem(turn, 503, "failed");
        return;
    }
    if (!delist(turn, request)) {
        put_problem(turn, 503, "failed");
        return;
    }
    turn->answer->status = 303;
    (void)snprintf(turn->answer->location, sizeof(turn->answer->location), "%.63s?lang=%s", turn->path,
                   bl_page_language_text(turn->language));
}

static void handle_link(struct turn *turn)
{
    uint8_t hash[BL_SECRET_HASH_BYTES];
    struct bl_request request;
    int error = BL_ENOENT;

    if (bl_secret_hash_token(turn->path + 3, hash))
        error = bl_requests_find(turn->site->requests, hash, &request);
    if (error != BL_OK) {
        put_problem(turn, error == BL_ENOENT ? 404 : 503, error == BL_ENOENT ? "unknown" : "failed");
        return;
    }
    if (bl_form_get(&turn->query, "lang")[0] == '\0' && bl_form_get(&turn->form, "lang")[0] == '\0')
        turn->language = request.language;
    bl_words_add_request(&turn->words, &turn->site->secret, &request);
    if (request.state == BL_REQUEST_WAITING && bl_clock_wall_ms() > request.expires_ms)
        put_problem(turn, 410, "expired");
    else if (turn->visit->post)
        post_link(turn, &request);
    else
        get_link(turn, &request);
}

static bool put_file(struct turn *turn, const char *name, const char *type)
{
    const struct bl_files_file *file = bl_files_find(name);
    char *copy = malloc(file->length);

    if (copy == NULL)
        return false;
    memcpy(copy, file->text, file->length);
    turn->answer->status = 200;
    turn->answer->type = type;
    turn->answer->body = copy;
    turn->answer->length = file->length;
    turn->answer->cacheable = true;
    return true;
}

static void route(struct turn *turn)
{
    bool post = turn->visit->post;

    if (strcmp(turn->path, "/") == 0 && post)
        post_form(turn);
    else if (strcmp(turn->path, "/") == 0)
        get_form(turn);
    else if (strncmp(turn->path, "/c/", 3) == 0)
        handle_link(turn);
    else if (strcmp(turn->path, "/style.css") == 0 && !post)
        (void)put_file(turn, "style.css", "text/css; charset=utf-8");
    else if (strcmp(turn->path, "/work.js") == 0 && !post)
        (void)put_file(turn, "work.js", "text/javascript; charset=utf-8");
    else
        put_problem(turn, 404, "no_page");
}

/* Path, query, body. @return false: something in it can't be read. */
static bool read_visit(struct turn *turn)
{
    const struct bl_visit *visit = turn->visit;
    size_t path_length = strcspn(visit->target, "?");
    const char *query = visit->target + path_length + (visit->target[path_length] == '?');
    const char *language;

    if (path_length >= sizeof(turn->path) || visit->target[0] != '/')
        return false;
    memcpy(turn->path, visit->target, path_length);
    turn->path[path_length] = '\0';
    if (bl_form_decode(query, strlen(query), NULL, &turn->query) != BL_OK ||
        bl_form_decode(visit->body == NULL ? "" : visit->body, visit->body_length, "ip", &turn->form) != BL_OK)
        return false;
    language = bl_form_get(visit->post ? &turn->form : &turn->query, "lang");
    turn->language = bl_page_choose_language(visit->accept_language);
    return language[0] == '\0' || bl_page_read_language(language, &turn->language);
}

void bl_site_answer(struct bl_site *site, const struct bl_visit *visit, struct bl_answer *answer)
{
    struct turn *turn = calloc(1, sizeof(*turn)); /* two forms: too large for a careful stack */

    *answer = (struct bl_answer){.status = 503, .type = "text/plain"};
    if (turn == NULL)
        return;
    turn->site = site;
    turn->visit = visit;
    turn->answer = answer;
    bl_words_init(&turn->words, &site->settings->portal);
    name_network(&visit->client, 32, 64, turn->source);
    name_network(&visit->client, 24, 48, turn->network);
    if (read_visit(turn))
        route(turn);
    else
        put_problem(turn, 400, "bad_request");
    free(turn);
}

void bl_site_refuse(struct bl_site *site, unsigned status, struct bl_answer *answer)
{
    struct turn *turn = calloc(1, sizeof(*turn));

    *answer = (struct bl_answer){.status = status, .type = "text/plain"};
    if (turn == NULL)
        return;
    turn->site = site;
    turn->answer = answer;
    (void)snprintf(turn->path, sizeof(turn->path), "/");
    bl_words_init(&turn->words, &site->settings->portal);
    put_problem(turn, status, "bad_request");
    free(turn);
}
