/* The listings for other programs; see export.h.
 *
 * Layers come in prefix order, IPv4 first. nft wants a set's elements together and takes no prefix twice, so of a prefix
 * that several sources list one element is written: the formats without sources write a prefix once. */
#include "controlplane/cli/export.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "controlplane/cli/changes.h"
#include "controlplane/cli/session.h"
#include "controlplane/cli/text.h"

enum { FORMAT_PLAIN, FORMAT_JSON, FORMAT_NFT, FORMAT_RBLDNSD };

struct exporting {
    FILE *out;
    int format;
    struct bl_prefix last; /* written; family 0: none yet */
    uint64_t n_items;
    bool is_whole;
};

static int format_of(const char *text)
{
    if (text == NULL || strcmp(text, "plain") == 0)
        return FORMAT_PLAIN;
    if (strcmp(text, "json") == 0)
        return FORMAT_JSON;
    return strcmp(text, "nft") == 0 ? FORMAT_NFT : FORMAT_RBLDNSD;
}

/* The rest of the sets, where the listings of a family begin or end. */
static void put_nft_sets(struct exporting *exporting, uint8_t family)
{
    FILE *out = exporting->out;

    if (exporting->last.family == BL_FAMILY_NONE)
        (void)fputs("table inet bounceline {\n\tset bounceline_ipv4 {\n\t\ttype ipv4_addr\n\t\tflags interval\n"
                    "\t\tauto-merge\n",
                    out);
    if (exporting->last.family == BL_FAMILY_IPV4 && family != BL_FAMILY_IPV4)
        (void)fputs(" }\n", out);
    if (exporting->last.family != BL_FAMILY_IPV6 && family != BL_FAMILY_IPV4)
        (void)fputs("\t}\n\tset bounceline_ipv6 {\n\t\ttype ipv6_addr\n\t\tflags interval\n\t\tauto-merge\n", out);
    if (exporting->last.family == BL_FAMILY_IPV6 && family == BL_FAMILY_NONE)
        (void)fputs(" }\n", out);
    if (family == BL_FAMILY_NONE)
        (void)fputs("\t}\n}\n", out);
    else
        (void)fputs(exporting->last.family != family ? "\t\telements = { " : ",\n\t\t\t", out);
}

/* A "combined" zone, a data set a family. rbldnsd takes the rest of the line as the text; a dollar sign in it would be the
 * address. */
static void put_rbldnsd(struct exporting *exporting, const struct bl_prefix *prefix, const char *text,
                        const char *reason)
{
    FILE *out = exporting->out;

    if (exporting->last.family != prefix->family)
        (void)fprintf(out, "$DATASET %s @\n", prefix->family == BL_FAMILY_IPV4 ? "ip4set:ipv4" : "ip6trie:ipv6");
    (void)fprintf(out, "%s :127.0.0.2:", text);
    for (; *reason != '\0'; reason++)
        (void)fputc((unsigned char)*reason < ' ' || *reason == '$' || *reason == 0x7f ? '?' : *reason, out);
    (void)fputc('\n', out);
}

static void put(struct exporting *exporting, const struct bl_stream_message *message,
                const struct bl_stream_group *group, const struct bl_prefix *prefix)
{
    char text[BL_ADDRESS_TEXT_MAX];
    struct bl_json json;

    (void)bl_address_format_prefix(prefix, text);
    if (exporting->format == FORMAT_JSON) {
        bl_json_init(&json, exporting->out);
        bl_cli_changes_put_json(&json, message, group, prefix);
        return;
    }
    if (exporting->last.family != BL_FAMILY_NONE && bl_address_prefix_compare(&exporting->last, prefix) == 0)
        return;
    if (exporting->format == FORMAT_RBLDNSD) {
        put_rbldnsd(exporting, prefix, text, group->reason);
    } else if (exporting->format == FORMAT_NFT) {
        put_nft_sets(exporting, prefix->family);
        (void)fputs(text, exporting->out);
    } else {
        (void)fprintf(exporting->out, "%s\n", text);
    }
    exporting->last = *prefix;
}

static int take(void *context, const struct bl_stream_message *message, struct bl_error_detail *detail)
{
    struct exporting *exporting = context;

    for (size_t i = 0; i < message->n_groups; i++)
        for (size_t at = 0; at < message->groups[i].n_prefixes; at++, exporting->n_items++)
            put(exporting, message, &message->groups[i], &message->groups[i].prefixes[at]);
    exporting->is_whole = message->last && message->n_items == exporting->n_items;
    if (ferror(exporting->out) != 0)
        return bl_error_set(detail, BL_EFULL, "the output can't be written: %s", strerror(errno));
    return BL_OK;
}

static int read_all(struct bl_session *session, struct exporting *exporting, struct bl_error_detail *detail)
{
    struct bl_session_stream stream = {.kind = BL_STREAM_EXPORT, .take = take, .context = exporting};
    int error = bl_client_codec_encode_export(session->options->source, &stream.request, &stream.request_length);

    if (error == BL_OK)
        error = bl_session_stream(session, &stream, detail);
    if (error == BL_OK && !exporting->is_whole)
        error = bl_error_set(detail, BL_EIO, "the export was cut short");
    if (error == BL_OK && exporting->format == FORMAT_NFT)
        put_nft_sets(exporting, BL_FAMILY_NONE);
    if (error == BL_OK && fflush(exporting->out) != 0)
        error = bl_error_set(detail, BL_EFULL, "the output can't be written: %s", strerror(errno));
    return error;
}

/* Beside the file and renamed over it: whoever reads it sees the old one or all of the new one. */
static int write_file(struct bl_session *session, struct exporting *exporting, const char *path,
                      struct bl_error_detail *detail)
{
    char name[4096];
    int fd;
    int error;

    if (snprintf(name, sizeof(name), "%s.XXXXXX", path) >= (int)sizeof(name))
        return bl_error_set(detail, BL_EINVAL, "--output: the path is too long");
    fd = mkstemp(name);
    exporting->out = fd < 0 ? NULL : fdopen(fd, "w");
    if (exporting->out == NULL)
        return bl_error_set(detail, BL_EINVAL, "%s: %s", path, strerror(errno));
    error = read_all(session, exporting, detail);
    if (error == BL_OK && (fchmod(fd, 0644) != 0 || fsync(fd) != 0))
        error = bl_error_set(detail, BL_EFULL, "%s: %s", path, strerror(errno));
    if (fclose(exporting->out) != 0 && error == BL_OK)
        error = bl_error_set(detail, BL_EFULL, "%s: %s", path, strerror(errno));
    if (error == BL_OK && rename(name, path) != 0)
        error = bl_error_set(detail, BL_EINVAL, "%s: %s", path, strerror(errno));
    if (error != BL_OK)
        (void)unlink(name);
    return error;
}

int bl_cli_export_run(const struct bl_options *options)
{
    struct exporting exporting = {
        .out = stdout, .format = options->json && options->format == NULL ? FORMAT_JSON : format_of(options->format)};
    struct bl_error_detail detail = {""};
    struct bl_session session;
    enum bl_exit code = bl_session_open(&session, options);
    int error;

    if (code != BL_EXIT_DONE)
        return code;
    error = options->output == NULL ? read_all(&session, &exporting, &detail)
                                    : write_file(&session, &exporting, options->output, &detail);
    bl_session_close(&session);
    return error == BL_OK ? BL_EXIT_DONE : bl_session_fail(options, bl_session_exit(error), detail.text);
}
