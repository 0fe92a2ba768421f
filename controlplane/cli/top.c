/* top: who was rejected most; see top.h. */
#include "controlplane/cli/top.h"

#include <inttypes.h>
#include <stdio.h>

#include "controlplane/cli/session.h"
#include "controlplane/cli/text.h"

static void show_entry(const struct bl_top_entry *entry)
{
    (void)printf("  %12" PRIu64 " ", entry->n_events);
    bl_text_put(stdout, entry->prefix);
    if (entry->source[0] != '\0') {
        (void)fputs(" from ", stdout);
        bl_text_put(stdout, entry->source);
    }
    (void)fputs(", last ", stdout);
    bl_text_put_time(stdout, entry->last_ms);
    if (entry->error != 0)
        (void)printf(", at most %" PRIu64 " too many", entry->error);
    (void)fputc('\n', stdout);
}

static void show_text(const struct bl_top *top, bool listings)
{
    (void)printf("%" PRIu64 " rejects since ", top->n_events);
    bl_text_put_time(stdout, top->since_ms);
    (void)printf("; %s with most, of up to %" PRIu32 " that are counted\n", listings ? "listings" : "sources",
                 top->n_counted);
    for (size_t i = 0; i < top->n_entries; i++)
        show_entry(&top->entries[i]);
}

static void show_json(const struct bl_top *top, bool listings)
{
    struct bl_json json;

    bl_json_init(&json, stdout);
    bl_json_begin_object(&json, NULL);
    bl_json_put_text(&json, "kind", listings ? "listings" : "sources");
    bl_json_put_uint(&json, "n_events", top->n_events);
    bl_json_put_uint(&json, "n_counted", top->n_counted);
    bl_json_put_int(&json, "since_ms", top->since_ms);
    bl_json_begin_array(&json, "entries");
    for (size_t i = 0; i < top->n_entries; i++) {
        bl_json_begin_object(&json, NULL);
        bl_json_put_text(&json, "prefix", top->entries[i].prefix);
        bl_json_put_text(&json, "source", top->entries[i].source);
        bl_json_put_uint(&json, "n_events", top->entries[i].n_events);
        bl_json_put_uint(&json, "error", top->entries[i].error);
        bl_json_put_int(&json, "last_ms", top->entries[i].last_ms);
        bl_json_end_object(&json);
    }
    bl_json_end_array(&json);
    bl_json_put_int(&json, "exit_code", BL_EXIT_DONE);
    bl_json_end_object(&json);
}

int bl_cli_top_run(const struct bl_options *options)
{
    struct bl_error_detail detail = {""};
    struct bl_session session;
    struct bl_top top;
    enum bl_exit code = bl_session_open(&session, options);
    int error;

    if (code != BL_EXIT_DONE)
        return code;
    error = bl_session_top(&session, options->listings, options->limit, &top, &detail);
    bl_session_close(&session);
    if (error != BL_OK)
        return bl_session_fail(options, bl_session_exit(error), detail.text);
    if (options->json)
        show_json(&top, options->listings);
    else
        show_text(&top, options->listings);
    bl_client_codec_free_top(&top);
    return BL_EXIT_DONE;
}
