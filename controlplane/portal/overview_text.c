/* See overview_text.h. Everything that is not ours goes through bl_page_put_escaped or the JSON writer. */
#define _GNU_SOURCE /* open_memstream */
#include "controlplane/portal/overview_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "controlplane/batch.h"
#include "controlplane/cli/client_codec.h"
#include "controlplane/cli/json.h"

enum { BAR_WIDTH = 240 };

/* The names are those of pages/page.html, of reasons_sql, and the admissions'. */
static const struct {
    const char *name;
    const char *text;
} reasons[] = {
    {"bad_request", "A request that can't be read"},
    {"busy", "Too many requests of everybody together"},
    {"closed", "Shown that the listing is closed to self-service"},
    {"control_plane", "The control plane said no"},
    {"expired", "The link was too old"},
    {"failed", "Something did not answer on our side"},
    {"mailbox", "That mailbox had its mails for the day (the page does not say so)"},
    {"many_ip", "The form: more than one IP address"},
    {"no_page", "No such page"},
    {"no_ticket", "No ticket of a bounce"},
    {"old_form", "The form: too old, or another source's"},
    {"operator_listing", "Listed by an operator"},
    {"quota", "The control plane's quota for the portal"},
    {"reserved_ip", "The form: an address that is not used on the internet"},
    {"self_service_closed", "Closed to self-service when the button was pressed"},
    {"too_many", "Too many requests of one source or network"},
    {"unknown", "The link is none of ours"},
    {"used", "The link was used already"},
    {"wrong_email", "The form: no mail address"},
    {"wrong_ip", "The form: no IP address"},
};

static const char *reason_text(const char *name)
{
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        if (strcmp(reasons[i].name, name) == 0)
            return reasons[i].text;
    }
    return name;
}

static const char *const mail_states[] = {"queued", "handed over", "sent", "given up", "unsure", "withheld"};
_Static_assert(sizeof(mail_states) / sizeof(mail_states[0]) == BL_MAIL_WITHHELD + 1, "one for each enum bl_mail_state");

static const char *became_text(const struct bl_overview_request *request)
{
    if (request->state != BL_REQUEST_DONE)
        return request->state == BL_REQUEST_PRESSED ? "pressed" : "waiting";
    return request->outcome == BL_OUTCOME_REFUSED ? bl_client_codec_refusal_text(request->refusal)
                                                  : bl_client_codec_outcome_text(request->outcome);
}

static const char *kind_text(enum bl_mail_kind kind)
{
    return kind == BL_MAIL_LINK ? "link" : "receipt";
}

enum moment { MOMENT_WHOLE, MOMENT_SECOND, MOMENT_HOUR, MOMENT_DAY };

/* UTC; strftime's names would be the locale's, and the program never leaves "C". */
static void put_time(int64_t time_ms, enum moment moment, FILE *out)
{
    time_t seconds = (time_t)(time_ms / 1000);
    struct tm broken;
    char text[40] = "";

    (void)gmtime_r(&seconds, &broken);
    switch (moment) {
    case MOMENT_WHOLE:
        (void)strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &broken);
        break;
    case MOMENT_SECOND:
        (void)strftime(text, sizeof(text), "%m-%d %H:%M:%S", &broken);
        break;
    case MOMENT_HOUR:
        (void)strftime(text, sizeof(text), "%H:00", &broken);
        break;
    case MOMENT_DAY:
        (void)strftime(text, sizeof(text), "%a %m-%d", &broken);
        break;
    }
    (void)fputs(text, out);
}

static void put_person(const struct bl_overview_names *names, const char *email, FILE *out)
{
    char who[BL_CLAIM_EMAIL_MAX + 1];

    bl_secret_name_person(names->secret, names->settings->audit, email, who);
    bl_page_put_escaped(who, out);
}

static void put_head(const struct bl_overview_state *state, const struct bl_overview_names *names, FILE *out)
{
    (void)fputs("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                "<meta name=\"color-scheme\" content=\"light dark\">\n<title>Portal overview – ",
                out);
    bl_page_put_escaped(names->settings->operator_name, out);
    (void)fputs("</title>\n<link rel=\"icon\" href=\"data:,\">\n<link rel=\"stylesheet\" href=\"/style.css\">\n"
                "<link rel=\"stylesheet\" href=\"/operator.css\">\n</head>\n<body>\n"
                "<a class=\"skip\" href=\"#main\">Skip to the figures</a>\n<header><a class=\"brand\" href=\"/\">",
                out);
    bl_page_put_escaped(names->settings->operator_name, out);
    (void)fputs("</a><nav aria-label=\"Other forms\"><a href=\"/status.json\">JSON</a></nav></header>\n"
                "<main id=\"main\">\n<h1>Portal overview</h1>\n<p class=\"lead\">As of ",
                out);
    put_time(state->now_ms, MOMENT_WHOLE, out);
    (void)fputs(" UTC. Reload for newer figures.</p>\n", out);
}

static void put_figure(const char *name, uint64_t value, const char *unit, FILE *out)
{
    (void)fprintf(out, "<div><dt>%s</dt><dd>%" PRIu64 "%s</dd></div>\n", name, value, unit);
}

/* What an operator looks for first. */
static void put_figures(const struct bl_overview_state *state, FILE *out)
{
    uint64_t n_requests = 0;
    uint64_t n_delisted = 0;
    uint64_t n_refused = 0;

    for (int i = 0; i < BL_OVERVIEW_HOURS; i++) {
        n_requests += state->hours[i].n_requests;
        n_delisted += state->hours[i].n_delisted;
        n_refused += state->hours[i].n_refused;
    }
    (void)fputs("<h2>The last 24 hours</h2>\n<dl class=\"figures\">\n", out);
    put_figure("Requests", n_requests, "", out);
    put_figure("Delisted", n_delisted, "", out);
    put_figure("Refused", n_refused, "", out);
    put_figure("Mails to send", state->mails[BL_MAIL_QUEUED] + state->mails[BL_MAIL_HANDED], "", out);
    (void)fprintf(out,
                  "<div><dt>Until enforced</dt><dd>%.1f ms<small>median; longest %.1f ms</small></dd></div>\n</dl>\n",
                  (double)state->median_us / 1000, (double)state->largest_us / 1000);
}

static void put_slots(const struct bl_overview_slot *slots, size_t n, enum moment moment, const char *caption,
                      FILE *out)
{
    uint64_t most = 1;

    for (size_t i = 0; i < n; i++)
        most = slots[i].n_requests > most ? slots[i].n_requests : most;
    (void)fprintf(out,
                  "<div class=\"wide\"><table>\n<caption>%s</caption>\n<thead><tr><th scope=\"col\">UTC</th>"
                  "<th scope=\"col\">Requests</th><th scope=\"col\">Delisted</th><th scope=\"col\">Refused</th>"
                  "<td></td></tr></thead>\n<tbody>\n",
                  caption);
    for (size_t i = n; i-- > 0;) {
        (void)fputs("<tr><th scope=\"row\">", out);
        put_time(slots[i].begin_ms, moment, out);
        (void)fprintf(out, "</th><td>%" PRIu64 "</td><td>%" PRIu64 "</td><td>%" PRIu64 "</td><td>", slots[i].n_requests,
                      slots[i].n_delisted, slots[i].n_refused);
        if (slots[i].n_requests > 0)
            (void)fprintf(out,
                          "<svg width=\"%d\" height=\"12\" aria-hidden=\"true\"><rect class=\"asked\" width=\"%" PRIu64
                          "\" height=\"12\"/><rect class=\"done\" width=\"%" PRIu64 "\" height=\"12\"/></svg>",
                          BAR_WIDTH, slots[i].n_requests * BAR_WIDTH / most, slots[i].n_delisted * BAR_WIDTH / most);
        (void)fputs("</td></tr>\n", out);
    }
    (void)fputs("</tbody></table></div>\n", out);
}

static void put_pair(const char *name, uint64_t day, uint64_t week, FILE *out)
{
    (void)fputs("<tr><th scope=\"row\">", out);
    bl_page_put_escaped(name, out);
    (void)fprintf(out, "</th><td>%" PRIu64 "</td><td>%" PRIu64 "</td></tr>\n", day, week);
}

static void put_pairs_begin(const char *caption, const char *what, FILE *out)
{
    (void)fprintf(out,
                  "<div class=\"wide\"><table>\n<caption>%s</caption>\n<thead><tr><th scope=\"col\">%s</th>"
                  "<th scope=\"col\">24 hours</th><th scope=\"col\">7 days</th></tr></thead>\n<tbody>\n",
                  caption, what);
}

static void put_outcomes(const struct bl_overview_state *state, FILE *out)
{
    const struct bl_overview_outcomes *day = &state->day;
    const struct bl_overview_outcomes *week = &state->week;

    (void)fputs("<h2>What became of the requests</h2>\n", out);
    put_pairs_begin("Each request, by its end", "End", out);
    put_pair("Removed from the list", day->n_removed, week->n_removed, out);
    put_pair("Exempted from a wider listing", day->n_exempted, week->n_exempted, out);
    put_pair("Was not listed", day->n_not_listed, week->n_not_listed, out);
    put_pair("Refused by the control plane", day->n_refused, week->n_refused, out);
    put_pair("The link was not used, or not yet", day->n_waiting, week->n_waiting, out);
    put_pair("Delisted, but not enforced before the deadline", day->n_not_enforced, week->n_not_enforced, out);
    (void)fputs("</tbody></table></div>\n<h2>Refused, by reason</h2>\n", out);
    if (state->n_reasons == 0) {
        (void)fputs("<p>Nothing was.</p>\n", out);
        return;
    }
    put_pairs_begin("By the portal and by the control plane", "Reason", out);
    for (size_t i = 0; i < state->n_reasons; i++)
        put_pair(reason_text(state->reasons[i].name), state->reasons[i].n_day, state->reasons[i].n_week, out);
    (void)fputs("</tbody></table></div>\n", out);
}

static void put_outbox(const struct bl_overview_state *state, const struct bl_overview_names *names, FILE *out)
{
    (void)fputs("<h2>Outbox</h2>\n<p>Of 7 days:", out);
    for (int i = 0; i <= BL_MAIL_WITHHELD; i++)
        (void)fprintf(out, "%s %" PRIu64 " %s", i == 0 ? "" : ",", state->mails[i], mail_states[i]);
    (void)fputs(".</p>\n", out);
    if (state->n_outbox == 0)
        return;
    (void)fputs("<div class=\"wide\"><table>\n<caption>Open, the first one due first</caption>\n<thead><tr>"
                "<th scope=\"col\">Due, UTC</th><th scope=\"col\">Mail</th><th scope=\"col\">What</th>"
                "<th scope=\"col\">To</th><th scope=\"col\">Tries</th><th scope=\"col\">The last one said</th></tr>"
                "</thead>\n<tbody>\n",
                out);
    for (size_t i = 0; i < state->n_outbox; i++) {
        const struct bl_overview_mail *mail = &state->outbox[i];

        (void)fputs("<tr><th scope=\"row\">", out);
        put_time(mail->due_ms, MOMENT_SECOND, out);
        (void)fprintf(out, "</th><td>%" PRId64 "</td><td>%s</td><td>", mail->id, kind_text(mail->kind));
        put_person(names, mail->email, out);
        (void)fprintf(out, "</td><td>%" PRIu32 "</td><td>", mail->n_attempts);
        bl_page_put_escaped(mail->cause, out);
        (void)fputs("</td></tr>\n", out);
    }
    (void)fputs("</tbody></table></div>\n", out);
}

static void put_latest(const struct bl_overview_state *state, const struct bl_overview_names *names, FILE *out)
{
    (void)fputs("<h2>Latest requests</h2>\n", out);
    if (state->n_latest == 0) {
        (void)fputs("<p>None in the last 7 days.</p>\n", out);
        return;
    }
    (void)fputs("<div class=\"wide\"><table>\n<caption>The newest first</caption>\n<thead><tr>"
                "<th scope=\"col\">UTC</th><th scope=\"col\">Request</th><th scope=\"col\">Who</th>"
                "<th scope=\"col\">From</th><th scope=\"col\">Address</th><th scope=\"col\">End</th>"
                "<th scope=\"col\">Serial</th><th scope=\"col\">ms</th></tr></thead>\n<tbody>\n",
                out);
    for (size_t i = 0; i < state->n_latest; i++) {
        const struct bl_overview_request *request = &state->latest[i];

        (void)fputs("<tr><th scope=\"row\">", out);
        put_time(request->created_ms, MOMENT_SECOND, out);
        (void)fprintf(out, "</th><td>%" PRId64 "</td><td>", request->id);
        put_person(names, request->email, out);
        (void)fputs("</td><td>", out);
        bl_page_put_escaped(request->source, out);
        (void)fputs("</td><td>", out);
        bl_page_put_escaped(request->address, out);
        (void)fputs("</td><td>", out);
        for (const char *c = became_text(request); *c != '\0'; c++)
            (void)fputc(*c == '_' ? ' ' : *c, out);
        if (request->state == BL_REQUEST_DONE)
            (void)fprintf(out, "</td><td>%" PRIu64 "</td><td>%.1f</td></tr>\n", request->serial,
                          (double)request->took_us / 1000);
        else
            (void)fputs("</td><td></td><td></td></tr>\n", out);
    }
    (void)fputs("</tbody></table></div>\n", out);
}

static char *finish(FILE *out, char **text)
{
    if (fclose(out) == 0)
        return *text;
    free(*text);
    return NULL;
}

char *bl_overview_text_page(const struct bl_overview_state *state, const struct bl_overview_names *names,
                            size_t *length)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, length);

    if (out == NULL)
        return NULL;
    put_head(state, names, out);
    put_figures(state, out);
    (void)fputs("<h2>Requests over time</h2>\n", out);
    put_slots(state->hours, BL_OVERVIEW_HOURS, MOMENT_HOUR, "By hour", out);
    put_slots(state->days, BL_OVERVIEW_DAYS, MOMENT_DAY, "By day", out);
    put_outcomes(state, out);
    put_outbox(state, names, out);
    put_latest(state, names, out);
    (void)fputs("</main>\n</body>\n</html>\n", out);
    return finish(out, &text);
}

static void put_json_slots(struct bl_json *json, const char *key, const struct bl_overview_slot *slots, size_t n)
{
    bl_json_begin_array(json, key);
    for (size_t i = 0; i < n; i++) {
        bl_json_begin_object(json, NULL);
        bl_json_put_int(json, "begin_ms", slots[i].begin_ms);
        bl_json_put_uint(json, "requests", slots[i].n_requests);
        bl_json_put_uint(json, "delisted", slots[i].n_delisted);
        bl_json_put_uint(json, "refused", slots[i].n_refused);
        bl_json_end_object(json);
    }
    bl_json_end_array(json);
}

static void put_json_outcomes(struct bl_json *json, const char *key, const struct bl_overview_outcomes *outcomes)
{
    bl_json_begin_object(json, key);
    bl_json_put_uint(json, "removed", outcomes->n_removed);
    bl_json_put_uint(json, "exempted", outcomes->n_exempted);
    bl_json_put_uint(json, "not_listed", outcomes->n_not_listed);
    bl_json_put_uint(json, "refused", outcomes->n_refused);
    bl_json_put_uint(json, "waiting", outcomes->n_waiting);
    bl_json_put_uint(json, "not_enforced", outcomes->n_not_enforced);
    bl_json_end_object(json);
}

static void put_json_person(struct bl_json *json, const char *key, const struct bl_overview_names *names,
                            const char *email)
{
    char who[BL_CLAIM_EMAIL_MAX + 1];

    bl_secret_name_person(names->secret, names->settings->audit, email, who);
    bl_json_put_text(json, key, who);
}

static void put_json_mails(struct bl_json *json, const struct bl_overview_state *state,
                           const struct bl_overview_names *names)
{
    bl_json_begin_object(json, "mails_7_days");
    for (int i = 0; i <= BL_MAIL_WITHHELD; i++)
        bl_json_put_uint(json,
                         i == BL_MAIL_HANDED   ? "handed"
                         : i == BL_MAIL_FAILED ? "failed"
                                               : mail_states[i],
                         state->mails[i]);
    bl_json_end_object(json);
    bl_json_begin_array(json, "outbox");
    for (size_t i = 0; i < state->n_outbox; i++) {
        const struct bl_overview_mail *mail = &state->outbox[i];

        bl_json_begin_object(json, NULL);
        bl_json_put_int(json, "mail", mail->id);
        bl_json_put_text(json, "kind", kind_text(mail->kind));
        put_json_person(json, "to", names, mail->email);
        bl_json_put_int(json, "due_ms", mail->due_ms);
        bl_json_put_uint(json, "attempts", mail->n_attempts);
        bl_json_put_text(json, "cause", mail->cause);
        bl_json_end_object(json);
    }
    bl_json_end_array(json);
}

static void put_json_latest(struct bl_json *json, const struct bl_overview_state *state,
                            const struct bl_overview_names *names)
{
    bl_json_begin_array(json, "latest");
    for (size_t i = 0; i < state->n_latest; i++) {
        const struct bl_overview_request *request = &state->latest[i];

        bl_json_begin_object(json, NULL);
        bl_json_put_int(json, "request", request->id);
        bl_json_put_int(json, "created_ms", request->created_ms);
        put_json_person(json, "who", names, request->email);
        bl_json_put_text(json, "source", request->source);
        bl_json_put_text(json, "address", request->address);
        bl_json_put_text(json, "end", became_text(request));
        bl_json_put_uint(json, "serial", request->serial);
        bl_json_put_uint(json, "took_us", request->took_us);
        bl_json_end_object(json);
    }
    bl_json_end_array(json);
}

char *bl_overview_text_json(const struct bl_overview_state *state, const struct bl_overview_names *names,
                            size_t *length)
{
    struct bl_json json;
    char *text = NULL;
    FILE *out = open_memstream(&text, length);

    if (out == NULL)
        return NULL;
    bl_json_init(&json, out);
    bl_json_begin_object(&json, NULL);
    bl_json_put_int(&json, "now_ms", state->now_ms);
    put_json_slots(&json, "hours", state->hours, BL_OVERVIEW_HOURS);
    put_json_slots(&json, "days", state->days, BL_OVERVIEW_DAYS);
    put_json_outcomes(&json, "outcomes_24_hours", &state->day);
    put_json_outcomes(&json, "outcomes_7_days", &state->week);
    bl_json_put_uint(&json, "enforced_median_us", state->median_us);
    bl_json_put_uint(&json, "enforced_largest_us", state->largest_us);
    bl_json_begin_array(&json, "refused");
    for (size_t i = 0; i < state->n_reasons; i++) {
        bl_json_begin_object(&json, NULL);
        bl_json_put_text(&json, "reason", state->reasons[i].name);
        bl_json_put_uint(&json, "n_24_hours", state->reasons[i].n_day);
        bl_json_put_uint(&json, "n_7_days", state->reasons[i].n_week);
        bl_json_end_object(&json);
    }
    bl_json_end_array(&json);
    put_json_mails(&json, state, names);
    put_json_latest(&json, state, names);
    bl_json_end_object(&json);
    return finish(out, &text);
}
