/* import: read, check, send as one batch; see import.h.
 *
 * The file is read to its end before anything is sent, so that one bad line stops all of it. IPv6 addresses without a
 * length get the control plane's own unit: it is asked by a lookup, never guessed. */
#include "controlplane/cli/import.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "controlplane/cli/gunzip.h"
#include "controlplane/cli/list_file.h"
#include "controlplane/cli/list_format.h"
#include "controlplane/cli/progress.h"
#include "controlplane/cli/result.h"
#include "controlplane/cli/session.h"
#include "controlplane/cli/text.h"
#include "controlplane/clock.h"

enum { READ_BYTES = 64 << 10, DEADLINE_MIN_MS = 60 * 1000 };

/* One import from its file to its answer. */
struct import {
    const struct bl_options *options;
    const char *name; /* of the file, for people */
    struct bl_list_file file;
    struct bl_gunzip gunzip;
    struct bl_progress progress;
    struct bl_error_detail detail;
};

static int take_bytes(void *context, const char *data, size_t length, struct bl_error_detail *detail)
{
    return bl_list_file_feed(context, data, length, detail);
}

static int read_all(struct import *import, int fd, uint64_t total)
{
    char *block = malloc(READ_BYTES);
    uint64_t done = 0;
    ssize_t n = 0;
    int error = BL_OK;

    if (block == NULL)
        return bl_error_set(&import->detail, BL_ENOMEM, "out of memory");
    while (error == BL_OK) {
        n = read(fd, block, READ_BYTES);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        error = bl_gunzip_feed(&import->gunzip, block, (size_t)n, &import->detail);
        done += (uint64_t)n;
        bl_progress_update(&import->progress, done, total, import->file.n_lines, "lines");
    }
    if (n < 0)
        error = bl_error_set(&import->detail, BL_ENOENT, "%s", strerror(errno));
    else if (error == BL_OK)
        error = bl_gunzip_end(&import->gunzip, &import->detail);
    if (error == BL_OK)
        error = bl_list_file_end(&import->file, &import->detail);
    free(block);
    return error;
}

static int read_file(struct import *import)
{
    bool standard_input = strcmp(import->options->arguments[0], "-") == 0;
    struct stat facts;
    int fd = standard_input ? STDIN_FILENO : open(import->options->arguments[0], O_RDONLY | O_CLOEXEC);
    int error;

    if (fd < 0)
        return bl_error_set(&import->detail, BL_ENOENT, "%s", strerror(errno));
    bl_progress_step(&import->progress, "reading");
    error = read_all(import, fd, fstat(fd, &facts) == 0 && S_ISREG(facts.st_mode) ? (uint64_t)facts.st_size : 0);
    if (!standard_input)
        (void)close(fd);
    return error;
}

/* "bounceline: FILE: cause" */
static int fail(struct import *import, enum bl_exit code)
{
    char text[2 * sizeof(import->detail.text)];

    bl_progress_fini(&import->progress);
    (void)snprintf(text, sizeof(text), "%.300s: %s", import->name, import->detail.text);
    return bl_session_fail(import->options, code, text);
}

static void show_bad_lines_json(const struct import *import, size_t n_shown)
{
    struct bl_json json;

    bl_json_init(&json, stdout);
    bl_json_begin_object(&json, NULL);
    bl_json_put_text(&json, "error", "bad lines: nothing was sent");
    bl_json_put_uint(&json, "n_bad_lines", import->file.n_bad);
    bl_json_begin_array(&json, "bad_lines");
    for (size_t i = 0; i < n_shown; i++) {
        bl_json_begin_object(&json, NULL);
        bl_json_put_uint(&json, "line", import->file.bad[i].line);
        bl_json_put_text(&json, "cause", import->file.bad[i].cause.text);
        bl_json_end_object(&json);
    }
    bl_json_end_array(&json);
    bl_json_put_int(&json, "exit_code", BL_EXIT_REFUSED);
    bl_json_end_object(&json);
}

static int fail_bad_lines(struct import *import)
{
    const struct bl_list_file *file = &import->file;
    size_t n_shown = file->n_bad < BL_LIST_FILE_BAD_SHOWN ? (size_t)file->n_bad : BL_LIST_FILE_BAD_SHOWN;

    bl_progress_fini(&import->progress);
    for (size_t i = 0; i < n_shown; i++) {
        (void)fputs("bounceline: ", stderr);
        bl_text_put(stderr, import->name);
        (void)fprintf(stderr, ": line %" PRIu32 ": ", file->bad[i].line);
        bl_text_put(stderr, file->bad[i].cause.text);
        (void)fputc('\n', stderr);
    }
    if (file->n_bad > n_shown)
        (void)fprintf(stderr, "bounceline: and %" PRIu64 " more bad lines\n", file->n_bad - n_shown);
    (void)fputs("bounceline: ", stderr);
    bl_text_put(stderr, import->name);
    (void)fprintf(stderr, ": %" PRIu64 " of %" PRIu32 " lines are bad: nothing was sent\n", file->n_bad, file->n_lines);
    if (import->options->json)
        show_bad_lines_json(import, n_shown);
    return BL_EXIT_REFUSED;
}

/* The length that the control plane gives an IPv6 address without one. */
static int ask_ipv6_unit(struct bl_session *session, uint8_t *unit, struct bl_error_detail *detail)
{
    struct bl_lookup lookup;
    struct bl_prefix prefix;
    int error = bl_session_lookup(session, "2001:db8::1", &lookup, detail);

    if (error != BL_OK)
        return error;
    error = bl_address_parse_prefix(lookup.prefix, 0, &prefix, detail);
    if (error == BL_OK && prefix.family == BL_FAMILY_IPV6 && prefix.length != 0)
        *unit = prefix.length;
    else
        error =
            bl_error_set(detail, BL_EIO, "the control plane does not say which length an IPv6 address has: write it");
    bl_client_codec_free_lookup(&lookup);
    return error;
}

/* The columns of a bulk, in one block each. */
struct columns {
    uint8_t *ipv4_addresses;
    uint8_t *ipv4_lengths;
    uint8_t *ipv6_addresses;
    uint8_t *ipv6_lengths;
    uint8_t *expires_at_s; /* NULL: the file says none */
};

static void columns_free(struct columns *columns)
{
    free(columns->ipv4_addresses);
    free(columns->ipv4_lengths);
    free(columns->ipv6_addresses);
    free(columns->ipv6_lengths);
    free(columns->expires_at_s);
}

static int fill_expiries(struct columns *columns, struct bl_bulk *bulk, const struct bl_list_file *file)
{
    if (!file->has_expiries)
        return BL_OK;
    columns->expires_at_s = malloc(file->n_entries * 4 + 1);
    if (columns->expires_at_s == NULL)
        return BL_ENOMEM;
    for (size_t i = 0; i < file->n_entries; i++)
        bl_address_from_ip4(file->entries[i].expires_at_s, columns->expires_at_s + 4 * i);
    bulk->expires_at_s = columns->expires_at_s;
    return BL_OK;
}

/* Entries are sorted, IPv4 first: entry i is item i of the bulk. */
static int columns_fill(struct columns *columns, struct bl_bulk *bulk, const struct bl_list_file *file)
{
    bool all_hosts = true;

    while (bulk->n_ipv4 < file->n_entries && file->entries[bulk->n_ipv4].prefix.family == BL_FAMILY_IPV4)
        all_hosts = file->entries[bulk->n_ipv4++].prefix.length == 32 && all_hosts;
    bulk->n_ipv6 = file->n_entries - bulk->n_ipv4;
    columns->ipv4_addresses = malloc(bulk->n_ipv4 * 4 + 1);
    columns->ipv4_lengths = malloc(bulk->n_ipv4 + 1);
    columns->ipv6_addresses = malloc(bulk->n_ipv6 * 16 + 1);
    columns->ipv6_lengths = malloc(bulk->n_ipv6 + 1);
    if (columns->ipv4_addresses == NULL || columns->ipv4_lengths == NULL || columns->ipv6_addresses == NULL ||
        columns->ipv6_lengths == NULL)
        return BL_ENOMEM;
    for (size_t i = 0; i < bulk->n_ipv4; i++) {
        memcpy(columns->ipv4_addresses + 4 * i, file->entries[i].prefix.bytes, 4);
        columns->ipv4_lengths[i] = file->entries[i].prefix.length;
    }
    for (size_t i = 0; i < bulk->n_ipv6; i++) {
        memcpy(columns->ipv6_addresses + 16 * i, file->entries[bulk->n_ipv4 + i].prefix.bytes, 16);
        columns->ipv6_lengths[i] = file->entries[bulk->n_ipv4 + i].prefix.length;
    }
    bulk->ipv4_addresses = columns->ipv4_addresses;
    bulk->ipv4_lengths = all_hosts ? NULL : columns->ipv4_lengths; /* /32 goes without saying */
    bulk->ipv6_addresses = columns->ipv6_addresses;
    bulk->ipv6_lengths = columns->ipv6_lengths;
    return fill_expiries(columns, bulk, file);
}

static void tick(void *context)
{
    struct import *import = context;

    bl_progress_update(&import->progress, 0, 0, import->file.n_entries, "prefixes");
}

static int send_all(struct import *import, struct bl_session *session, struct bl_result *result)
{
    const struct bl_options *options = import->options;
    struct bl_bulk bulk = {
        .update = {.kind = BL_UPDATE_LIST,
                   .source = options->source,
                   .reason = options->reason,
                   .code = options->code,
                   .action = options->action,
                   .expires_at_ms = options->for_ms == 0 ? 0 : bl_clock_wall_ms() + options->for_ms},
    };
    struct bl_batch batch = {.atomic = true,
                             .force = options->force,
                             .replace = options->replace,
                             .dry_run = options->dry_run,
                             .bulk = &bulk};
    struct columns columns = {0};
    uint8_t unit = 128;
    int error = BL_OK;

    if (import->file.has_bare_ipv6)
        error = ask_ipv6_unit(session, &unit, &import->detail);
    if (error != BL_OK)
        return error;
    error = bl_list_file_finish(&import->file, unit);
    if (error != BL_OK)
        return bl_error_set(&import->detail, error,
                            error == BL_ETOOBIG ? "its exclusions make more prefixes than one import takes: split it"
                                                : "out of memory");
    bl_progress_step(&import->progress, "sending");
    tick(import);
    if (columns_fill(&columns, &bulk, &import->file) == BL_OK)
        error = bl_session_apply(session, &batch, result, &import->detail);
    else
        error = bl_error_set(&import->detail, BL_ENOMEM, "out of memory");
    columns_free(&columns);
    return error;
}

static const struct bl_list_file_entry *find_entry(const struct import *import, const struct bl_result_item *item)
{
    return item->index < import->file.n_entries ? &import->file.entries[item->index] : NULL;
}

/* The control plane names the first hundred at most, and counts the rest with those that were refused only because
 * the batch was: that number would say nothing. */
static void show_refusals(const struct import *import, const struct bl_result *result)
{
    char text[BL_ADDRESS_TEXT_MAX];

    size_t n_refused = 0;

    for (size_t i = 0; i < result->n_items; i++) {
        const struct bl_list_file_entry *entry = find_entry(import, &result->items[i]);

        if (result->items[i].outcome != BL_OUTCOME_REFUSED || ++n_refused > BL_LIST_FILE_BAD_SHOWN)
            continue;
        (void)fputs("bounceline: ", stderr);
        bl_text_put(stderr, import->name);
        if (entry != NULL)
            (void)fprintf(stderr, ": line %" PRIu32, entry->line);
        (void)fputs(": ", stderr);
        bl_result_put_refusal(
            stderr, entry == NULL ? "what the file leaves out" : bl_address_format_prefix(&entry->prefix, text),
            &result->items[i]);
    }
    if (n_refused > BL_LIST_FILE_BAD_SHOWN)
        (void)fprintf(stderr, "bounceline: and at least %zu more\n", n_refused - BL_LIST_FILE_BAD_SHOWN);
    (void)fputs("bounceline: ", stderr);
    bl_text_put(stderr, import->name);
    (void)fputs(": refused: nothing was imported\n", stderr);
}

/* A dry run's first changes, as diff shows them: what is removed has its prefix in the detail. */
static void show_changes(const struct import *import, const struct bl_result *result)
{
    char text[BL_ADDRESS_TEXT_MAX];

    for (size_t i = 0; i < result->n_items; i++) {
        const struct bl_result_item *item = &result->items[i];
        const struct bl_list_file_entry *entry = find_entry(import, item);

        if (item->outcome == BL_OUTCOME_REMOVED) {
            (void)fputs("-", stdout);
            bl_text_put(stdout, item->detail);
            (void)fputc('\n', stdout);
        } else if (item->outcome == BL_OUTCOME_APPLIED && entry != NULL) {
            (void)printf("+%s\n", bl_address_format_prefix(&entry->prefix, text));
        }
    }
}

/* What is not there need not be read. */
static void put_count(uint64_t n, const char *what)
{
    if (n != 0)
        (void)printf(", %" PRIu64 " %s", n, what);
}

static void show_text(const struct import *import, const struct bl_session *session, const struct bl_result *result)
{
    if (import->options->dry_run)
        show_changes(import, result);
    if (result->n_outcomes[BL_OUTCOME_REFUSED] != 0) {
        show_refusals(import, result);
        return;
    }
    (void)fputs(import->options->dry_run ? "would import " : "imported ", stdout);
    bl_text_put(stdout, import->name);
    (void)printf(": %zu prefixes in %" PRIu32 " lines, %" PRIu64 " duplicates", import->file.n_entries,
                 import->file.n_lines, import->file.n_duplicates);
    put_count(import->file.n_overlaps, "overlaps");
    put_count(import->file.n_excluded, "exclusions");
    put_count(import->file.n_masked, "masked");
    put_count(import->file.n_skipped, "skipped");
    (void)printf("; %" PRIu64 " applied, %" PRIu64 " unchanged; ", result->n_outcomes[BL_OUTCOME_APPLIED],
                 result->n_outcomes[BL_OUTCOME_UNCHANGED]);
    bl_result_put_reached(stdout, result, session);
}

static void show_json(const struct import *import, const struct bl_session *session, const struct bl_result *result,
                      enum bl_exit code)
{
    char text[BL_ADDRESS_TEXT_MAX];
    struct bl_json json;

    bl_json_init(&json, stdout);
    bl_json_begin_object(&json, NULL);
    bl_result_put_json(&json, result, session);
    bl_json_put_text(&json, "file", import->name);
    bl_json_put_uint(&json, "n_lines", import->file.n_lines);
    bl_json_put_uint(&json, "n_prefixes", import->file.n_entries);
    bl_json_put_uint(&json, "n_duplicates", import->file.n_duplicates);
    bl_json_put_bool(&json, "dry_run", import->options->dry_run);
    bl_json_put_text(&json, "format", import->file.format->name);
    bl_json_put_uint(&json, "n_overlaps", import->file.n_overlaps);
    bl_json_put_uint(&json, "n_excluded", import->file.n_excluded);
    bl_json_put_uint(&json, "n_masked", import->file.n_masked);
    bl_json_put_uint(&json, "n_skipped", import->file.n_skipped);
    bl_json_begin_array(&json, "items");
    for (size_t i = 0; i < result->n_items; i++) {
        const struct bl_list_file_entry *entry = find_entry(import, &result->items[i]);

        bl_json_begin_object(&json, NULL);
        bl_json_put_uint(&json, "line", entry == NULL ? 0 : entry->line);
        bl_json_put_text(&json, "prefix",
                         entry == NULL ? result->items[i].detail : bl_address_format_prefix(&entry->prefix, text));
        bl_result_put_item_json(&json, &result->items[i]);
        bl_json_end_object(&json);
    }
    bl_json_end_array(&json);
    bl_json_put_int(&json, "exit_code", code);
    bl_json_end_object(&json);
}

/* Everything behind the reading: connect, send, show. */
static int deliver(struct import *import)
{
    struct bl_result result;
    struct bl_session session;
    enum bl_exit code;
    int error;

    bl_progress_fini(&import->progress);
    code = bl_session_open(&session, import->options);
    if (code != BL_EXIT_DONE)
        return code;
    /* A million prefixes take seconds to judge and to write. */
    if (import->options->deadline_ms == 0 && session.deadline_ms < DEADLINE_MIN_MS)
        session.deadline_ms = DEADLINE_MIN_MS;
    session.tick = tick;
    session.tick_context = import;
    error = send_all(import, &session, &result);
    bl_session_close(&session);
    if (error != BL_OK)
        return fail(import, bl_session_exit(error));
    bl_progress_fini(&import->progress);
    /* Nothing of a dry run is written: what would be refused is all that a script can ask. */
    if (import->options->dry_run)
        code = result.n_outcomes[BL_OUTCOME_REFUSED] != 0 ? BL_EXIT_REFUSED : BL_EXIT_DONE;
    else
        code = bl_result_exit(&result, import->options->wait);
    if (import->options->json)
        show_json(import, &session, &result, code);
    else
        show_text(import, &session, &result);
    bl_client_codec_free_result(&result);
    return code;
}

int bl_import_run(const struct bl_options *options)
{
    struct import import = {.options = options};
    int error;
    int code;

    import.name = strcmp(options->arguments[0], "-") == 0 ? "standard input" : options->arguments[0];
    bl_list_file_init(&import.file);
    import.file.format = options->import_format;
    import.file.now_s = bl_clock_wall_ms() / 1000;
    import.file.mask_host_bits = options->mask_host_bits;
    import.file.allow_stale = options->allow_stale;
    bl_gunzip_init(&import.gunzip, take_bytes, &import.file);
    bl_progress_init(&import.progress, stderr);
    error = read_file(&import);
    if (error != BL_OK) {
        code = fail(&import, bl_session_exit(error));
    } else if (import.file.n_bad != 0) {
        code = fail_bad_lines(&import);
    } else if (import.file.n_entries == 0) {
        bl_error_set(&import.detail, BL_ENOENT, "holds no prefix: nothing was sent");
        code = fail(&import, BL_EXIT_REFUSED);
    } else {
        code = deliver(&import);
    }
    bl_gunzip_fini(&import.gunzip);
    bl_list_file_fini(&import.file);
    return code;
}
