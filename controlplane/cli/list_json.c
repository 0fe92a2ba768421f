/* Formats in JSON: DROP's lines, CrowdSec's decisions, nft's sets; read with jansson; see list_format.h.
 *
 * The parser takes up to 80 times a document's bytes, so what it will take is estimated before it begins, and a document
 * that would take more than BL_LIST_FILE_JSON_BYTES_MAX is refused. Its own limit of depth is 2048. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "controlplane/cli/list_format.h"

/* Measured with jansson 2.14 on glibc's heap, of 100,000 in one array: an empty object takes 224 bytes, an empty array 128,
 * a string 80, its place 10; a member of an object, which has a comma and a colon, 181 with a string, 133 with a number. */
enum { OBJECT_BYTES = 256, ARRAY_BYTES = 128, ITEM_BYTES = 96, STALE_S = 7 * 86400, TEXT_MAX = 200 };

static bool is_too_large(const char *text, size_t length)
{
    size_t n_bytes = length;

    for (size_t i = 0; i < length; i++) {
        if (text[i] == '{')
            n_bytes += OBJECT_BYTES;
        else if (text[i] == '[')
            n_bytes += ARRAY_BYTES;
        else if (text[i] == ',' || text[i] == ':')
            n_bytes += ITEM_BYTES;
    }
    return n_bytes > BL_LIST_FILE_JSON_BYTES_MAX;
}

/* @return NULL with the cause. */
static json_t *load(const char *text, size_t length, struct bl_error_detail *cause)
{
    json_error_t error;
    json_t *json;

    if (length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        text += 3;
        length -= 3;
    }
    if (is_too_large(text, length)) {
        (void)bl_error_set(cause, BL_EINVAL, "would take more than %d MiB of memory to read: split it",
                           BL_LIST_FILE_JSON_BYTES_MAX >> 20);
        return NULL;
    }
    json = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
    if (json == NULL)
        (void)bl_error_set(cause, BL_EINVAL, "no JSON: line %d, column %d: %.100s", error.line, error.column,
                           error.text);
    return json;
}

/* The parsers cut their text; the document's strings are not ours to cut. */
static int add_text(struct bl_list_file *file, const struct bl_list_found *found, const char *text,
                    struct bl_error_detail *cause)
{
    char copy[TEXT_MAX + 1];

    if (text == NULL || strlen(text) > TEXT_MAX)
        return bl_error_set(cause, BL_EINVAL, "expected a string with an address or a prefix");
    memcpy(copy, text, strlen(text) + 1);
    return bl_list_format_add_text(file, found, copy, cause);
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text == NULL ? "" : text;
}

/* The last line of DROP says how many there were, and when. */
static int take_metadata(struct bl_list_file *file, const json_t *line, struct bl_error_detail *cause)
{
    json_t *records = json_object_get(line, "records");
    json_t *timestamp = json_object_get(line, "timestamp");

    if (!json_is_integer(records) || json_integer_value(records) < 0 || !json_is_integer(timestamp))
        return bl_error_set(cause, BL_EINVAL, "metadata: expected the numbers 'records' and 'timestamp'");
    file->facts.has_expected = true;
    file->facts.n_expected = (uint64_t)json_integer_value(records);
    file->facts.valid_until_s = (int64_t)json_integer_value(timestamp) + STALE_S;
    return BL_OK;
}

static int take_drop(struct bl_list_file *file, char *content, struct bl_error_detail *cause)
{
    const struct bl_list_found found = {.excluded = false};
    json_t *line = load(content, strlen(content), cause);
    int error;

    if (line == NULL)
        return BL_EINVAL;
    if (file->facts.has_expected)
        error = bl_error_set(cause, BL_EINVAL, "stands behind the metadata: expected it to be the last line");
    else if (strcmp(text_of(line, "type"), "metadata") == 0)
        error = take_metadata(file, line, cause);
    else
        error = add_text(file, &found, json_string_value(json_object_get(line, "cidr")), cause);
    json_decref(line);
    return error;
}

static int end_drop(struct bl_list_file *file, struct bl_error_detail *cause)
{
    if (!file->facts.has_expected)
        return bl_error_set(cause, BL_EINVAL, "ends without its line of metadata: truncated");
    return bl_list_format_check_whole(file, cause);
}

const struct bl_list_format bl_list_json_drop = {
    .name = "drop-json", .comment = "", .content_max = BL_LIST_FILE_LINE_MAX, .take_line = take_drop, .end = end_drop};

/* Elements are counted as lines: a bad one has a number, like a bad line. */
static int report(struct bl_list_file *file, int error, const struct bl_error_detail *cause)
{
    if (error != BL_EINVAL && error != BL_ERANGE)
        return error;
    if (file->n_bad < BL_LIST_FILE_BAD_SHOWN)
        file->bad[file->n_bad] = (struct bl_list_file_bad){file->n_lines, *cause};
    file->n_bad++;
    return BL_OK;
}

static int take_decision(struct bl_list_file *file, const json_t *decision, struct bl_error_detail *cause)
{
    struct bl_list_found found = {.excluded = false};
    const char *scope = text_of(decision, "scope");
    const char *type = text_of(decision, "type");
    const char *duration = text_of(decision, "duration");
    int error = BL_OK;

    if (duration[0] != '\0')
        error = bl_list_format_expiry(file, duration, &found.expires_at_s, cause);
    if (error == BL_ENOENT || (scope[0] != '\0' && strcasecmp(scope, "ip") != 0 && strcasecmp(scope, "range") != 0) ||
        (type[0] != '\0' && strcasecmp(type, "ban") != 0)) {
        file->n_skipped++;
        return BL_OK;
    }
    if (error != BL_OK)
        return error;
    return add_text(file, &found, json_string_value(json_object_get(decision, "value")), cause);
}

static int take_decisions(struct bl_list_file *file, const json_t *decisions, struct bl_error_detail *cause)
{
    int error = BL_OK;

    for (size_t i = 0; i < json_array_size(decisions) && error == BL_OK; i++) {
        file->n_lines++;
        error = report(file, take_decision(file, json_array_get(decisions, i), cause), cause);
    }
    return error;
}

/* A list of decisions, or the first answer of a stream, which holds all of them. Later ones are changes, and no list. */
static int end_crowdsec(struct bl_list_file *file, struct bl_error_detail *cause)
{
    json_t *root = load(file->document == NULL ? "" : file->document, file->document_length, cause);
    const json_t *decisions = json_is_object(root) ? json_object_get(root, "new") : root;
    int error;

    if (root == NULL)
        return BL_EINVAL;
    if (json_is_object(root) && json_array_size(json_object_get(root, "deleted")) != 0)
        error = bl_error_set(cause, BL_EINVAL, "has 'deleted' decisions: changes, not a list: ask for startup=true");
    else if (json_is_null(decisions) && json_is_object(root))
        error = BL_OK;
    else if (!json_is_array(decisions))
        error = bl_error_set(cause, BL_EINVAL, "expected an array of decisions, or an object with one in 'new'");
    else
        error = take_decisions(file, decisions, cause);
    json_decref(root);
    return error;
}

const struct bl_list_format bl_list_json_crowdsec = {
    .name = "crowdsec-json", .comment = "", .is_document = true, .end = end_crowdsec};

/* IPv6 in a set of nft is an address, not the /64 that somebody means by one. */
static int add_nft_text(struct bl_list_file *file, const struct bl_list_found *found, const char *text,
                        json_int_t length, struct bl_error_detail *cause)
{
    char copy[TEXT_MAX + 24];

    if (text == NULL || strlen(text) > TEXT_MAX || strpbrk(text, "/-") != NULL)
        return bl_error_set(cause, BL_EINVAL, "expected a string with an address");
    if (length < 0)
        length = strchr(text, ':') == NULL ? 32 : 128;
    (void)snprintf(copy, sizeof(copy), "%s/%" JSON_INTEGER_FORMAT, text, length);
    return bl_list_format_add_text(file, found, copy, cause);
}

static int add_nft_range(struct bl_list_file *file, const struct bl_list_found *found, const json_t *range,
                         struct bl_error_detail *cause)
{
    const char *first = json_string_value(json_array_get(range, 0));
    const char *last = json_string_value(json_array_get(range, 1));
    struct bl_address ends[2];
    int error;

    if (json_array_size(range) != 2 || first == NULL || last == NULL)
        return bl_error_set(cause, BL_EINVAL, "range: expected two addresses");
    error = bl_address_parse(first, &ends[0], cause);
    if (error == BL_OK)
        error = bl_address_parse(last, &ends[1], cause);
    return error == BL_OK ? bl_list_format_add_range(file, found, &ends[0], &ends[1], cause) : error;
}

/* "a", {"prefix":{"addr","len"}}, {"range":["a","b"]}, or one of them in {"elem":{"val","timeout","expires"}}. */
static int take_nft_element(struct bl_list_file *file, const json_t *element, struct bl_error_detail *cause)
{
    struct bl_list_found found = {.excluded = false};
    const json_t *inner = json_object_get(element, "elem");
    const json_t *prefix;

    if (inner != NULL) {
        const json_t *left = json_object_get(inner, "expires");

        if (!json_is_integer(left))
            left = json_object_get(inner, "timeout");
        if (json_is_integer(left) && json_integer_value(left) > 0)
            found.expires_at_s = bl_list_format_expiry_s(file, (uint64_t)json_integer_value(left));
        element = json_object_get(inner, "val");
    }
    if (json_is_string(element))
        return add_nft_text(file, &found, json_string_value(element), -1, cause);
    if (json_object_get(element, "range") != NULL)
        return add_nft_range(file, &found, json_object_get(element, "range"), cause);
    prefix = json_object_get(element, "prefix");
    if (!json_is_integer(json_object_get(prefix, "len")) || json_integer_value(json_object_get(prefix, "len")) < 0)
        return bl_error_set(cause, BL_EINVAL, "expected an address, a prefix or a range");
    return add_nft_text(file, &found, json_string_value(json_object_get(prefix, "addr")),
                        json_integer_value(json_object_get(prefix, "len")), cause);
}

static int take_nft_set(struct bl_list_file *file, const json_t *set, struct bl_error_detail *cause)
{
    const char *type = text_of(set, "type");
    const json_t *elements = json_object_get(set, "elem");
    int error = BL_OK;

    if (strcmp(type, "ipv4_addr") != 0 && strcmp(type, "ipv6_addr") != 0)
        return bl_error_set(cause, BL_EINVAL, "set '%.40s' of type '%.40s': expected ipv4_addr or ipv6_addr",
                            text_of(set, "name"), type);
    for (size_t i = 0; i < json_array_size(elements) && error == BL_OK; i++) {
        file->n_lines++;
        error = report(file, take_nft_element(file, json_array_get(elements, i), cause), cause);
    }
    return error;
}

static int end_nft(struct bl_list_file *file, struct bl_error_detail *cause)
{
    json_t *root = load(file->document == NULL ? "" : file->document, file->document_length, cause);
    const json_t *objects = json_object_get(root, "nftables");
    size_t n_sets = 0;
    int error = BL_OK;

    if (root == NULL)
        return BL_EINVAL;
    for (size_t i = 0; i < json_array_size(objects) && error == BL_OK; i++) {
        const json_t *set = json_object_get(json_array_get(objects, i), "set");

        if (set == NULL)
            continue;
        n_sets++;
        error = take_nft_set(file, set, cause);
    }
    if (error == BL_OK && n_sets == 0)
        error = bl_error_set(cause, BL_EINVAL, "holds no set: expected the output of nft -j list set");
    json_decref(root);
    return error;
}

const struct bl_list_format bl_list_json_nft = {.name = "nft-json", .comment = "", .is_document = true, .end = end_nft};
