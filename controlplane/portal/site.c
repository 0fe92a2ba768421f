/* See site.h. Each handler decides, fills in words, and names the page: turn.h renders. */
#include "controlplane/portal/site.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/clock.h"
#include "controlplane/notice.h"
#include "controlplane/portal/files.h"
#include "controlplane/portal/hosts.h"

static void get_form(struct bl_turn *turn)
{
    bl_words_add(&turn->words, "ip", bl_form_get(&turn->query, "ip"));
    bl_words_add(&turn->words, "ticket", bl_form_get(&turn->query, "t"));
    bl_turn_put_form(turn, 200, "form");
}

/* The first field that is wrong, as the form's template names it; NULL: none is. */
static const char *find_mistake(struct bl_turn *turn, struct bl_address *address)
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
    return bl_turn_form_holds(turn) ? NULL : "old_form";
}

static void post_form(struct bl_turn *turn)
{
    const char *email = bl_form_get(&turn->form, "email");
    const char *ticket = bl_form_get(&turn->form, "t");
    struct bl_address address;
    const char *mistake = find_mistake(turn, &address);
    const struct bl_settings_portal *settings = &turn->site->settings->portal;
    struct bl_turn_claim claim = {0};
    char text[BL_ADDRESS_TEXT_MAX];

    bl_words_add(&turn->words, "email", email);
    bl_words_add(&turn->words, "ip", bl_form_get(&turn->form, "ip"));
    bl_words_add(&turn->words, "ticket", ticket);
    if (mistake != NULL) {
        bl_tally_add(turn->site->tally, mistake);
        bl_words_add(&turn->words, "mistake", "1");
        bl_words_add(&turn->words, mistake, "1");
        bl_turn_put_form(turn, 422, "form");
        return;
    }
    claim.email = email;
    claim.address = bl_address_format(&address, text);
    claim.ticket = bl_turn_has_ticket(turn->site, &address, ticket);
    claim.by_name = settings->ticket == BL_TICKET_USE_REQUIRED && !claim.ticket;
    if (claim.by_name && !settings->reverse_names)
        bl_turn_put_problem(turn, 403, "no_ticket");
    else
        bl_turn_admit(turn, &claim);
}

/* What the control plane says now. @return false: it says nothing, and the page is put. */
static bool look_up(struct bl_turn *turn, const struct bl_request *request, struct bl_control_state *state)
{
    struct bl_error_detail detail = {""};

    if (bl_control_lookup(turn->site->control, request->address, state, &detail) == BL_OK)
        return true;
    bl_notice_write("request %lld: lookup: %s", (long long)request->id, detail.text);
    bl_turn_put_problem(turn, 503, "failed");
    return false;
}

static void add_state(struct bl_turn *turn, const struct bl_control_state *state)
{
    bl_words_add(&turn->words, "now_listed", state->listed ? "1" : NULL);
    bl_words_add(&turn->words, "now_clear", state->listed ? NULL : "1");
    bl_words_add(&turn->words, "now_enforced", state->enforced ? "1" : NULL);
    bl_words_add(&turn->words, "prefix", state->listed ? state->prefix : NULL);
    bl_words_add_number(&turn->words, "code", state->code);
    bl_words_add_number(&turn->words, "now_serial", state->serial);
    bl_words_add_number(&turn->words, "now_connected", state->n_connected);
}

static void get_link(struct bl_turn *turn, const struct bl_request *request)
{
    struct bl_control_state state = {0};

    if (request->n_addresses > 0) {
        bl_hosts_show(turn, request);
        return;
    }
    if (!look_up(turn, request, &state))
        return;
    add_state(turn, &state);
    if (request->state == BL_REQUEST_DONE)
        bl_turn_put_page(turn, 200, "result");
    else
        bl_turn_put_page(turn, 200, !state.listed ? "clear" : state.closed ? "closed" : "confirm");
    if (request->state != BL_REQUEST_DONE && state.listed && state.closed)
        bl_tally_add(turn->site->tally, "closed");
}

/* Asks the control plane, and keeps what it said. Safe to do again: the batch has the request's own name. */
static bool delist(struct bl_turn *turn, struct bl_request *request)
{
    struct bl_site *site = turn->site;
    struct bl_error_detail detail = {""};
    struct bl_control_result result;
    char session[2 * BL_SECRET_NONCE_BYTES + 1];
    char reason[BL_CLAIM_EMAIL_MAX + 64];
    const struct bl_control_delist asked = {request->address, session, reason};

    bl_turn_name_batch(site, request, session, reason);
    if (bl_control_delist(site->control, &asked, &result, &detail) != BL_OK) {
        bl_notice_write("request %lld: delist: %s", (long long)request->id, detail.text);
        return false;
    }
    bl_notice_write("%s: delist %s: outcome %u, refusal %u, serial %llu, %s, %llu us", reason, request->address,
                    result.outcome, result.refusal, (unsigned long long)result.serial,
                    result.enforced ? "enforced" : "not enforced yet", (unsigned long long)result.took_us);
    if (bl_requests_finish(site->requests, request->id, &result, NULL, bl_clock_wall_ms()) == BL_EIO)
        return false;
    bl_courier_wake(site->courier);
    return true;
}

static void post_link(struct bl_turn *turn, struct bl_request *request)
{
    if (request->state == BL_REQUEST_DONE) {
        bl_turn_put_problem(turn, 410, "used");
        return;
    }
    if (request->state == BL_REQUEST_WAITING && bl_requests_press(turn->site->requests, request->id) == BL_EIO) {
        bl_turn_put_problem(turn, 503, "failed");
        return;
    }
    if (request->n_addresses > 0) {
        if (!bl_hosts_delist(turn, request))
            return;
    } else if (!delist(turn, request)) {
        bl_turn_put_problem(turn, 503, "failed");
        return;
    }
    turn->answer->status = 303;
    (void)snprintf(turn->answer->location, sizeof(turn->answer->location), "%.63s?lang=%s", turn->path,
                   bl_page_language_text(turn->language));
}

static void handle_link(struct bl_turn *turn)
{
    uint8_t hash[BL_SECRET_HASH_BYTES];
    struct bl_request request;
    int error = BL_ENOENT;

    if (bl_secret_hash_token(turn->path + 3, hash))
        error = bl_requests_find(turn->site->requests, hash, &request);
    if (error != BL_OK) {
        bl_turn_put_problem(turn, error == BL_ENOENT ? 404 : 503, error == BL_ENOENT ? "unknown" : "failed");
        return;
    }
    if (bl_form_get(&turn->query, "lang")[0] == '\0' && bl_form_get(&turn->form, "lang")[0] == '\0')
        turn->language = request.language;
    bl_words_add_request(&turn->words, &turn->site->secret, &request);
    if (request.state == BL_REQUEST_WAITING && bl_clock_wall_ms() > request.expires_ms)
        bl_turn_put_problem(turn, 410, "expired");
    else if (turn->visit->post)
        post_link(turn, &request);
    else
        get_link(turn, &request);
}

static bool put_file(struct bl_turn *turn, const char *name, const char *type)
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

static void route(struct bl_turn *turn)
{
    bool post = turn->visit->post;

    if (strcmp(turn->path, "/") == 0 && post)
        post_form(turn);
    else if (strcmp(turn->path, "/") == 0)
        get_form(turn);
    else if (strcmp(turn->path, "/hosts") == 0 && bl_hosts_offered(turn->site))
        (post ? bl_hosts_post_form : bl_hosts_get_form)(turn);
    else if (strncmp(turn->path, "/c/", 3) == 0)
        handle_link(turn);
    else if (strcmp(turn->path, "/style.css") == 0 && !post)
        (void)put_file(turn, "style.css", "text/css; charset=utf-8");
    else if (strcmp(turn->path, "/work.js") == 0 && !post)
        (void)put_file(turn, "work.js", "text/javascript; charset=utf-8");
    else
        bl_turn_put_problem(turn, 404, "no_page");
}

/* Path, query, body. @return false: something in it can't be read. */
static bool read_visit(struct bl_turn *turn)
{
    const struct bl_visit *visit = turn->visit;
    size_t path_length = strcspn(visit->target, "?");
    const char *query = visit->target + path_length + (visit->target[path_length] == '?');
    const char *language;

    turn->language = bl_page_choose_language(visit->accept_language); /* for the page that refuses it, too */
    if (path_length >= sizeof(turn->path) || visit->target[0] != '/')
        return false;
    memcpy(turn->path, visit->target, path_length);
    turn->path[path_length] = '\0';
    if (bl_form_decode(query, strlen(query), NULL, &turn->query) != BL_OK ||
        bl_form_decode(visit->body == NULL ? "" : visit->body, visit->body_length, "ip", &turn->form) != BL_OK)
        return false;
    language = bl_form_get(visit->post ? &turn->form : &turn->query, "lang");
    return language[0] == '\0' || bl_page_read_language(language, &turn->language);
}

void bl_site_answer(struct bl_site *site, const struct bl_visit *visit, struct bl_answer *answer)
{
    struct bl_turn *turn = calloc(1, sizeof(*turn)); /* two forms: too large for a careful stack */

    *answer = (struct bl_answer){.status = 503, .type = "text/plain"};
    if (turn == NULL)
        return;
    bl_turn_init(turn, site, visit, answer);
    if (read_visit(turn))
        route(turn);
    else
        bl_turn_put_problem(turn, 400, "bad_request");
    free(turn);
}

void bl_site_refuse(struct bl_site *site, unsigned status, struct bl_answer *answer)
{
    struct bl_turn *turn = calloc(1, sizeof(*turn));

    *answer = (struct bl_answer){.status = status, .type = "text/plain"};
    if (turn == NULL)
        return;
    bl_turn_init(turn, site, NULL, answer);
    (void)snprintf(turn->path, sizeof(turn->path), "/");
    bl_turn_put_problem(turn, status, "bad_request");
    free(turn);
}
