/* lookup: what is enforced, and the layers behind it; see lookup.h.
 *
 * The order of the layers is the control plane's: it decides, so it also says who wins. Nothing is judged again here. */
#include "controlplane/cli/lookup.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "controlplane/cli/session.h"
#include "controlplane/cli/text.h"

/* The first line answers the question; "enforced" is said in numbers, since a person who was just delisted wants to know
 * whether every data plane has it. */
static void show_verdict(const struct bl_lookup *lookup)
{
    bl_text_put(stdout, lookup->prefix);
    if (lookup->listed)
        (void)printf(": listed, code %" PRIu32 ", %s", lookup->code, bl_class_action_text((uint8_t)lookup->action));
    else
        (void)printf(": not listed%s", lookup->class_id == BL_CLASS_EXEMPT ? ", a hole in a wider listing" : "");
    (void)printf("; serial %" PRIu64, lookup->serial);
    if (lookup->n_dataplanes_connected == 0)
        (void)fputs(", no data plane is connected\n", stdout);
    else if (lookup->n_dataplanes_enforced == lookup->n_dataplanes_connected)
        (void)printf(", enforced by %" PRIu32 " of %" PRIu32 " data planes\n", lookup->n_dataplanes_enforced,
                     lookup->n_dataplanes_connected);
    else
        (void)printf(", enforced by %" PRIu32 " of %" PRIu32 " data planes (all of them enforce serial %" PRIu64 ")\n",
                     lookup->n_dataplanes_enforced, lookup->n_dataplanes_connected, lookup->enforced_serial);
}

/* Only listings have code and action; a delist or an exemption would show zeros. */
static bool is_listing(const struct bl_layer *layer)
{
    return layer->kind == BL_LAYER_LISTING || layer->kind == BL_LAYER_OPERATOR_LISTING;
}

/* "  decides     listing 192.0.2.0/24 from ipsum, code 606, reject; serial 40 by root, seen …, ends never: reason" */
static void show_layer(const struct bl_layer *layer)
{
    const char *kind = bl_client_codec_layer_text(layer->kind);

    (void)printf("  %-11s", layer->effective ? "decides" : layer->suppressed ? "suppressed" : "behind");
    for (const char *at = kind; *at != '\0'; at++)
        (void)fputc(*at == '_' ? ' ' : *at, stdout);
    (void)fputc(' ', stdout);
    bl_text_put(stdout, layer->prefix);
    if (layer->source[0] != '\0') {
        (void)fputs(" from ", stdout);
        bl_text_put(stdout, layer->source);
    }
    if (is_listing(layer))
        (void)printf(", code %" PRIu32 ", %s%s", layer->code, bl_class_action_text((uint8_t)layer->action),
                     layer->self_service == BL_SELF_SERVICE_CLOSED ? ", closed to self-service" : "");
    (void)printf("; serial %" PRIu64, layer->serial);
    if (layer->actor[0] != '\0') {
        (void)fputs(" by ", stdout);
        bl_text_put(stdout, layer->actor);
    }
    if (layer->observed_at_ms != 0) {
        (void)fputs(", seen ", stdout);
        bl_text_put_time(stdout, layer->observed_at_ms);
    }
    (void)fputs(", ends ", stdout);
    bl_text_put_time(stdout, layer->expires_at_ms);
    if (layer->last_hit_ms != 0) {
        (void)printf(", %" PRIu64 " hits", layer->n_hits);
        if (layer->hits_error != 0)
            (void)printf(" (at most %" PRIu64 " too many)", layer->hits_error);
        (void)fputs(", last ", stdout);
        bl_text_put_time(stdout, layer->last_hit_ms);
    }
    if (layer->reason[0] != '\0') {
        (void)fputs(": ", stdout);
        bl_text_put(stdout, layer->reason);
    }
    (void)fputc('\n', stdout);
}

static void show_text(const struct bl_lookup *lookup)
{
    show_verdict(lookup);
    for (size_t i = 0; i < lookup->n_layers; i++)
        show_layer(&lookup->layers[i]);
}

static void layer_json(struct bl_json *json, const struct bl_layer *layer)
{
    static const char *const self_service[] = {"default", "open", "closed"};

    bl_json_begin_object(json, NULL);
    bl_json_put_text(json, "kind", bl_client_codec_layer_text(layer->kind));
    bl_json_put_text(json, "prefix", layer->prefix);
    bl_json_put_text(json, "source", layer->source);
    bl_json_put_uint(json, "code", layer->code);
    bl_json_put_text(json, "reason", layer->reason);
    bl_json_put_int(json, "observed_at_ms", layer->observed_at_ms);
    bl_json_put_int(json, "expires_at_ms", layer->expires_at_ms);
    bl_json_put_text(json, "self_service",
                     layer->self_service <= BL_SELF_SERVICE_CLOSED ? self_service[layer->self_service] : "unknown");
    bl_json_put_text(json, "action", bl_class_action_text((uint8_t)layer->action));
    bl_json_put_text(json, "actor", layer->actor);
    bl_json_put_uint(json, "serial", layer->serial);
    bl_json_put_bool(json, "effective", layer->effective);
    bl_json_put_bool(json, "suppressed", layer->suppressed);
    bl_json_put_uint(json, "n_hits", layer->n_hits);
    bl_json_put_uint(json, "hits_error", layer->hits_error);
    bl_json_put_int(json, "last_hit_ms", layer->last_hit_ms);
    bl_json_end_object(json);
}

static void lookup_json(struct bl_json *json, const struct bl_lookup *lookup)
{
    bl_json_begin_object(json, NULL);
    bl_json_put_text(json, "prefix", lookup->prefix);
    bl_json_put_bool(json, "listed", lookup->listed);
    bl_json_put_uint(json, "code", lookup->code);
    bl_json_put_text(json, "action", bl_class_action_text((uint8_t)lookup->action));
    bl_json_put_uint(json, "class_id", lookup->class_id);
    bl_json_put_hex(json, "epoch", lookup->epoch);
    bl_json_put_uint(json, "serial", lookup->serial);
    bl_json_put_uint(json, "enforced_serial", lookup->enforced_serial);
    bl_json_put_uint(json, "dataplanes_enforced", lookup->n_dataplanes_enforced);
    bl_json_put_uint(json, "dataplanes_connected", lookup->n_dataplanes_connected);
    bl_json_begin_array(json, "layers");
    for (size_t i = 0; i < lookup->n_layers; i++)
        layer_json(json, &lookup->layers[i]);
    bl_json_end_array(json);
    bl_json_end_object(json);
}

static enum bl_exit show_all(const struct bl_options *options, const struct bl_lookup *lookups)
{
    enum bl_exit code = BL_EXIT_DONE;
    struct bl_json json;

    for (size_t i = 0; i < options->n_arguments; i++) {
        if (!lookups[i].listed)
            code = BL_EXIT_REFUSED;
        if (!options->json)
            show_text(&lookups[i]);
    }
    if (!options->json)
        return code;
    bl_json_init(&json, stdout);
    bl_json_begin_object(&json, NULL);
    bl_json_begin_array(&json, "lookups");
    for (size_t i = 0; i < options->n_arguments; i++)
        lookup_json(&json, &lookups[i]);
    bl_json_end_array(&json);
    bl_json_put_int(&json, "exit_code", code);
    bl_json_end_object(&json);
    return code;
}

/* All answers are fetched before the first is shown: with --json there is one object, the answers or the failure. */
int bl_lookup_run(const struct bl_options *options)
{
    struct bl_error_detail detail = {""};
    struct bl_lookup *lookups = calloc(options->n_arguments, sizeof(*lookups));
    struct bl_session session;
    enum bl_exit code;
    int error = BL_OK;

    if (lookups == NULL)
        return bl_session_fail(options, BL_EXIT_UNAVAILABLE, "out of memory");
    code = bl_session_open(&session, options);
    if (code == BL_EXIT_DONE) {
        for (size_t i = 0; error == BL_OK && i < options->n_arguments; i++)
            error = bl_session_lookup(&session, options->arguments[i], &lookups[i], &detail);
        bl_session_close(&session);
        if (error == BL_OK)
            code = show_all(options, lookups);
        else
            code = bl_session_fail(options, bl_session_exit(error), detail.text);
    }
    for (size_t i = 0; i < options->n_arguments; i++)
        bl_client_codec_free_lookup(&lookups[i]);
    free(lookups);
    return code;
}
