/* YAML by tables; see config.h.
 *
 * One pass over libyaml's events, led by the schema: what the schema does not foresee at a place is refused at its first
 * event, so nothing is built in memory and nothing can nest deeper than the schema does. */
#include "bounceline/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <yaml.h>

#include "bounceline/config_value.h"

/* section.key.key */
enum { PATH_MAX_NAMES = 3 };

struct reader {
    yaml_parser_t parser;
    yaml_event_t event; /* the current one; its type is YAML_NO_EVENT before the first and after an error */
    const struct bl_config_source *source;
    const char *path[PATH_MAX_NAMES];
    unsigned n_path;
    struct bl_error_detail *detail;
};

/* Where a mapping's keys stood: 0 = not seen. */
struct seen {
    size_t line_of[BL_CONFIG_KEYS_MAX];
};

/* Every refusal of the file's content goes through here, so that all of them look alike: place, key, cause. The line is
 * libyaml's, which counts from 0. */
__attribute__((format(printf, 4, 5))) static int refuse(const struct reader *reader, size_t line, int error,
                                                        const char *format, ...)
{
    char path[160] = "";
    char cause[sizeof(reader->detail->text)];
    va_list arguments;

    for (unsigned i = 0; i < reader->n_path; i++) {
        size_t used = strlen(path);

        (void)snprintf(path + used, sizeof(path) - used, "%s%s", i == 0 ? "" : ".", reader->path[i]);
    }
    va_start(arguments, format);
    (void)vsnprintf(cause, sizeof(cause), format, arguments);
    va_end(arguments);
    return bl_error_set(reader->detail, error, "%s:%zu: %s%s%s", reader->source->name, line, path,
                        path[0] == '\0' ? "" : ": ", cause);
}

static size_t line_of(const yaml_event_t *event)
{
    return event->start_mark.line + 1;
}

/* Bytes of the file on their way into a message: cut, and nothing that a terminal would obey. */
static const char *printable(const char *text, size_t length, char out[64])
{
    size_t n = length < 60 ? length : 60;

    for (size_t i = 0; i < n; i++)
        out[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
    (void)snprintf(out + n, 4, "%s", length > n ? "..." : "");
    return out;
}

/* libyaml knows the line of what it scans; of bytes that are not UTF-8 it knows the offset only. */
static int refuse_yaml(const struct reader *reader)
{
    const yaml_parser_t *parser = &reader->parser;
    size_t line = parser->problem_mark.line + 1;

    if (parser->error == YAML_MEMORY_ERROR)
        return bl_error_set(reader->detail, BL_ENOMEM, "%s: out of memory", reader->source->name);
    if (parser->error == YAML_READER_ERROR) {
        line = 1;
        for (size_t i = 0; i < parser->problem_offset && i < reader->source->length; i++)
            line += reader->source->text[i] == '\n';
    }
    return refuse(reader, line, BL_EINVAL, "not YAML: %s%s%s", parser->problem == NULL ? "malformed" : parser->problem,
                  parser->context == NULL ? "" : ", ", parser->context == NULL ? "" : parser->context);
}

/* libyaml keeps the same two facts in three places. */
static const yaml_char_t *anchor_of(const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return event->data.scalar.anchor;
    case YAML_SEQUENCE_START_EVENT:
        return event->data.sequence_start.anchor;
    case YAML_MAPPING_START_EVENT:
        return event->data.mapping_start.anchor;
    default:
        return NULL;
    }
}

static const yaml_char_t *tag_of(const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return event->data.scalar.tag;
    case YAML_SEQUENCE_START_EVENT:
        return event->data.sequence_start.tag;
    case YAML_MAPPING_START_EVENT:
        return event->data.mapping_start.tag;
    default:
        return NULL;
    }
}

/* Moves to the next event. Aliases could make a short file long, and a line number point elsewhere: there are none. */
static int next(struct reader *reader)
{
    yaml_event_delete(&reader->event);
    if (yaml_parser_parse(&reader->parser, &reader->event) == 0)
        return refuse_yaml(reader);
    if (reader->event.type == YAML_ALIAS_EVENT || anchor_of(&reader->event) != NULL)
        return refuse(reader, line_of(&reader->event), BL_EINVAL,
                      "found an alias or anchor, expected the value itself");
    if (tag_of(&reader->event) != NULL)
        return refuse(reader, line_of(&reader->event), BL_EINVAL, "found a tag, expected a value without one");
    return BL_OK;
}

static const char *scalar(const struct reader *reader)
{
    return (const char *)reader->event.data.scalar.value;
}

static bool is_plain(const struct reader *reader)
{
    return reader->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
}

/* Nothing behind the colon, or one of YAML's words for it. */
static bool is_null(const struct reader *reader)
{
    static const char *const words[] = {"", "~", "null", "Null", "NULL"};

    if (reader->event.type != YAML_SCALAR_EVENT || !is_plain(reader))
        return false;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(scalar(reader), words[i]) == 0)
            return true;
    }
    return false;
}

/* What stands at the current event, for a message. */
static const char *found(const struct reader *reader, char out[80])
{
    char text[64];

    switch (reader->event.type) {
    case YAML_SEQUENCE_START_EVENT:
        return "a list";
    case YAML_MAPPING_START_EVENT:
        return "a mapping";
    case YAML_SCALAR_EVENT:
        if (is_null(reader))
            return "nothing";
        (void)snprintf(out, 80, is_plain(reader) ? "'%s'" : "the quoted text '%s'",
                       printable(scalar(reader), reader->event.data.scalar.length, text));
        return out;
    default:
        return "the end";
    }
}

/* The one form of "this value will not do". */
static int refuse_value(const struct reader *reader, const struct bl_config_key *key, int error)
{
    char was[80];
    char want[BL_CONFIG_VALUE_EXPECTED_MAX];

    return refuse(reader, line_of(&reader->event), error, "found %s, expected %s", found(reader, was),
                  bl_config_value_expected(key, want));
}

/* By length, not to the first NUL: YAML can say "\0", and what stands behind it must not be lost in silence. */
static bool is_printable(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (text[i] < ' ' || text[i] > '~')
            return false;
    }
    return true;
}

/* The current event as a scalar of this key, or as one element of its list. */
static int read_scalar(struct reader *reader, const struct bl_config_key *key, void *to)
{
    struct bl_error_detail cause = {""};
    const yaml_event_t *event = &reader->event;
    int error;

    if (event->type != YAML_SCALAR_EVENT || is_null(reader))
        return refuse_value(reader, key, BL_EINVAL);
    if (!is_printable(scalar(reader), event->data.scalar.length) ||
        (!bl_config_value_may_be_quoted(key) && !is_plain(reader)))
        return refuse_value(reader, key, BL_EINVAL);
    error = bl_config_value_set(key, scalar(reader), to, &cause);
    if (error != BL_OK && cause.text[0] != '\0')
        return refuse(reader, line_of(event), error, "%s", cause.text);
    return error == BL_OK ? BL_OK : refuse_value(reader, key, error);
}

static int read_mapping(struct reader *reader, const struct bl_config_mapping *mapping, void *elements, size_t index);

/* A list is a set: an element that comes twice is a mistake, and mostly a typing error in one of the two. */
static int read_element(struct reader *reader, const struct bl_config_key *key, void *list, size_t index)
{
    uint8_t *element = (uint8_t *)list + index * key->size;
    int error;

    if (key->type == BL_CONFIG_MAPPINGS) {
        if (reader->event.type != YAML_MAPPING_START_EVENT)
            return refuse_value(reader, key, BL_EINVAL);
        return read_mapping(reader, key->element, list, index);
    }
    error = read_scalar(reader, key, element);
    for (size_t i = 0; error == BL_OK && i < index; i++) {
        char was[80];

        if (memcmp((uint8_t *)list + i * key->size, element, key->size) == 0)
            error = refuse(reader, line_of(&reader->event), BL_EINVAL, "found %s twice, expected it once",
                           found(reader, was));
    }
    return error;
}

static int read_list(struct reader *reader, const struct bl_config_key *key, uint8_t *base)
{
    uint32_t count = 0;
    char was[80];
    char want[BL_CONFIG_VALUE_EXPECTED_MAX];
    int error;

    if (reader->event.type != YAML_SEQUENCE_START_EVENT)
        return refuse(reader, line_of(&reader->event), BL_EINVAL, "found %s, expected a list: each element %s",
                      found(reader, was), bl_config_value_expected(key, want));
    for (;;) {
        error = next(reader);
        if (error != BL_OK)
            return error;
        if (reader->event.type == YAML_SEQUENCE_END_EVENT)
            break;
        if (count == key->n_elements_max)
            return refuse(reader, line_of(&reader->event), BL_ERANGE,
                          "found more than %zu elements, expected at most as many", key->n_elements_max);
        error = read_element(reader, key, base + key->offset, count);
        if (error != BL_OK)
            return error;
        count++;
    }
    /* Last, so that a default element is gone as soon as the file has a list, also an empty one. */
    memcpy(base + key->count_offset, &count, sizeof(count));
    return BL_OK;
}

/* The names of a table's rows, for a message. */
static void append_name(char *names, size_t room, const char *name)
{
    size_t used = strlen(names);

    (void)snprintf(names + used, room - used, "%s%s", used == 0 ? "" : ", ", name);
}

static int refuse_name(const struct reader *reader, const char *what, const char *names)
{
    char name[64];

    return refuse(reader, line_of(&reader->event), BL_EINVAL, "found the unknown %s '%s', expected one of %s", what,
                  printable(scalar(reader), reader->event.data.scalar.length, name), names);
}

static int refuse_key(const struct reader *reader, const struct bl_config_mapping *mapping)
{
    char names[sizeof(reader->detail->text)] = "";

    for (size_t i = 0; i < mapping->n_keys; i++)
        append_name(names, sizeof(names), mapping->keys[i].name);
    return refuse_name(reader, "key", names);
}

static int refuse_section(const struct reader *reader, const struct bl_config_section *sections, size_t n)
{
    char names[sizeof(reader->detail->text)] = "";

    for (size_t i = 0; i < n; i++)
        append_name(names, sizeof(names), sections[i].name);
    return refuse_name(reader, "section", names);
}

/* The current event is a key: reads it and its value. */
static int read_key(struct reader *reader, const struct bl_config_mapping *mapping, uint8_t *base, struct seen *seen)
{
    const struct bl_config_key *key = mapping->keys;
    char was[80];
    size_t n = 0;
    int error;

    if (reader->event.type != YAML_SCALAR_EVENT)
        return refuse(reader, line_of(&reader->event), BL_EINVAL, "found %s, expected a key", found(reader, was));
    while (n < mapping->n_keys && strcmp(mapping->keys[n].name, scalar(reader)) != 0)
        n++;
    if (n == mapping->n_keys)
        return refuse_key(reader, mapping);
    key += n;
    reader->path[reader->n_path++] = key->name;
    if (seen->line_of[n] != 0)
        return refuse(reader, line_of(&reader->event), BL_EINVAL, "found again, expected once: it is in line %zu too",
                      seen->line_of[n]);
    error = next(reader);
    if (error != BL_OK)
        return error;
    seen->line_of[n] = line_of(&reader->event);
    error = bl_config_value_is_list(key) ? read_list(reader, key, base) : read_scalar(reader, key, base + key->offset);
    if (error == BL_OK)
        reader->n_path--;
    return error;
}

/* What is missing has no line: the one named is where it would have to be added. */
static int refuse_missing(struct reader *reader, const struct bl_config_key *key, size_t line)
{
    char want[BL_CONFIG_VALUE_EXPECTED_MAX];

    reader->path[reader->n_path++] = key->name;
    return refuse(reader, line, BL_EINVAL, "found nothing, expected %s: it has no default",
                  bl_config_value_expected(key, want));
}

/* The mapping's own check, when all its keys are in. It blames a key, whose line was kept. */
static int check_mapping(struct reader *reader, const struct bl_config_mapping *mapping, const void *elements,
                         size_t index, const struct seen *seen)
{
    struct bl_error_detail cause = {""};
    const char *blamed = "";
    size_t line = line_of(&reader->event);
    int error = mapping->check == NULL ? BL_OK : mapping->check(elements, index, &blamed, &cause);

    if (error == BL_OK)
        return BL_OK;
    for (size_t i = 0; i < mapping->n_keys; i++) {
        if (strcmp(mapping->keys[i].name, blamed) == 0 && seen->line_of[i] != 0)
            line = seen->line_of[i];
    }
    reader->path[reader->n_path++] = blamed;
    return refuse(reader, line, error, "%s", cause.text);
}

static void init_mapping(const struct bl_config_mapping *mapping, uint8_t *base);

/* The current event is the mapping's start; at the end it is the mapping's end. */
static int read_mapping(struct reader *reader, const struct bl_config_mapping *mapping, void *elements, size_t index)
{
    uint8_t *base = (uint8_t *)elements + index * mapping->size;
    size_t line = line_of(&reader->event);
    struct seen seen = {{0}};
    int error;

    init_mapping(mapping, base);
    for (;;) {
        error = next(reader);
        if (error != BL_OK)
            return error;
        if (reader->event.type == YAML_MAPPING_END_EVENT)
            break;
        error = read_key(reader, mapping, base, &seen);
        if (error != BL_OK)
            return error;
    }
    for (size_t i = 0; i < mapping->n_keys; i++) {
        if (mapping->keys[i].required && seen.line_of[i] == 0)
            return refuse_missing(reader, &mapping->keys[i], line);
    }
    return check_mapping(reader, mapping, elements, index, &seen);
}

/* A default that its own key refuses is a mistake in the table: the program must not run on it. */
static void init_key(const struct bl_config_key *key, uint8_t *base)
{
    static const uint32_t one = 1;
    int error;

    if (key->initial == NULL)
        return;
    error = bl_config_value_set(key, key->initial, base + key->offset, NULL);
    if (error != BL_OK)
        abort();
    if (bl_config_value_is_list(key))
        memcpy(base + key->count_offset, &one, sizeof(one));
}

static void init_mapping(const struct bl_config_mapping *mapping, uint8_t *base)
{
    memset(base, 0, mapping->size);
    for (size_t i = 0; i < mapping->n_keys; i++)
        init_key(&mapping->keys[i], base);
}

void bl_config_init(const struct bl_config_section *sections, size_t n_sections, void *out)
{
    for (size_t i = 0; i < n_sections; i++)
        init_mapping(&sections[i].mapping, (uint8_t *)out + sections[i].offset);
}

/* The current event is a scalar where a section's name stands. */
static int read_section(struct reader *reader, const struct bl_config_section *sections, size_t n, void *out,
                        struct seen *seen)
{
    size_t at = 0;
    char was[80];
    int error;

    while (at < n && strcmp(sections[at].name, scalar(reader)) != 0)
        at++;
    if (at == n)
        return refuse_section(reader, sections, n);
    reader->path[reader->n_path++] = sections[at].name;
    if (seen->line_of[at] != 0)
        return refuse(reader, line_of(&reader->event), BL_EINVAL, "found again, expected once: it is in line %zu too",
                      seen->line_of[at]);
    seen->line_of[at] = line_of(&reader->event);
    error = next(reader);
    if (error != BL_OK)
        return error;
    if (reader->event.type == YAML_MAPPING_START_EVENT) {
        error = read_mapping(reader, &sections[at].mapping, (uint8_t *)out + sections[at].offset, 0);
    } else if (is_null(reader)) {
        /* All its keys are commented out: the same as an empty mapping. */
        for (size_t i = 0; error == BL_OK && i < sections[at].mapping.n_keys; i++) {
            if (sections[at].mapping.keys[i].required)
                error = refuse_missing(reader, &sections[at].mapping.keys[i], seen->line_of[at]);
        }
    } else {
        error = refuse(reader, line_of(&reader->event), BL_EINVAL, "found %s, expected the section's keys",
                       found(reader, was));
    }
    if (error == BL_OK)
        reader->n_path--;
    return error;
}

/* A needed section that is not there: its first required key is what is missing. */
static int check_needed(struct reader *reader, const struct bl_config_section *sections, size_t n, unsigned needed,
                        const struct seen *seen)
{
    for (size_t at = 0; at < n; at++) {
        const struct bl_config_mapping *mapping = &sections[at].mapping;

        if (seen->line_of[at] != 0 || (sections[at].bit & needed) == 0)
            continue;
        for (size_t i = 0; i < mapping->n_keys; i++) {
            if (!mapping->keys[i].required)
                continue;
            reader->path[reader->n_path++] = sections[at].name;
            return refuse_missing(reader, &mapping->keys[i], line_of(&reader->event));
        }
    }
    return BL_OK;
}

/* The stream: at most one document, whose root is a mapping or nothing. */
static int read_stream(struct reader *reader, const struct bl_config_section *sections, size_t n, unsigned needed,
                       void *out)
{
    struct seen seen = {{0}};
    char was[80];
    int error = next(reader); /* the stream's start */

    if (error == BL_OK)
        error = next(reader);
    if (error == BL_OK && reader->event.type == YAML_DOCUMENT_START_EVENT) {
        error = next(reader);
        if (error == BL_OK && reader->event.type != YAML_MAPPING_START_EVENT && !is_null(reader))
            return refuse(reader, line_of(&reader->event), BL_EINVAL, "found %s, expected sections: a mapping",
                          found(reader, was));
        while (error == BL_OK && reader->event.type != YAML_DOCUMENT_END_EVENT) {
            error = next(reader);
            if (error == BL_OK && reader->event.type == YAML_SCALAR_EVENT)
                error = read_section(reader, sections, n, out, &seen);
            else if (error == BL_OK && reader->event.type != YAML_MAPPING_END_EVENT &&
                     reader->event.type != YAML_DOCUMENT_END_EVENT)
                error = refuse(reader, line_of(&reader->event), BL_EINVAL, "found %s, expected a section's name",
                               found(reader, was));
        }
        if (error == BL_OK)
            error = next(reader);
    }
    if (error == BL_OK && reader->event.type != YAML_STREAM_END_EVENT)
        error = refuse(reader, line_of(&reader->event), BL_EINVAL, "found a second document, expected one");
    return error == BL_OK ? check_needed(reader, sections, n, needed, &seen) : error;
}

int bl_config_parse(const struct bl_config_section *sections, size_t n_sections, unsigned needed,
                    const struct bl_config_source *source, void *out, struct bl_error_detail *detail)
{
    struct reader reader = {.source = source, .detail = detail};
    int error;

    if (source->length > BL_CONFIG_FILE_BYTES_MAX)
        return bl_error_set(detail, BL_ETOOBIG, "%s: found %zu bytes, expected at most %d", source->name,
                            source->length, BL_CONFIG_FILE_BYTES_MAX);
    if (yaml_parser_initialize(&reader.parser) == 0)
        return bl_error_set(detail, BL_ENOMEM, "%s: out of memory", source->name);
    /* Else a byte order mark would have it read UTF-16. */
    yaml_parser_set_encoding(&reader.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&reader.parser, (const unsigned char *)source->text, source->length);
    bl_config_init(sections, n_sections, out);
    error = read_stream(&reader, sections, n_sections, needed, out);
    yaml_event_delete(&reader.event);
    yaml_parser_delete(&reader.parser);
    return error;
}

/* One byte more than the limit is asked for: so a file of exactly the limit is told from a longer one. */
static int read_all(int descriptor, const char *path, char *text, size_t *length, struct bl_error_detail *detail)
{
    size_t used = 0;

    while (used <= BL_CONFIG_FILE_BYTES_MAX) {
        ssize_t n = read(descriptor, text + used, BL_CONFIG_FILE_BYTES_MAX + 1 - used);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return bl_error_set(detail, BL_EIO, "%s: can't be read: %s", path, strerror(errno));
        if (n == 0) {
            *length = used;
            return BL_OK;
        }
        used += (size_t)n;
    }
    return bl_error_set(detail, BL_ETOOBIG, "%s: found more than %d bytes, expected at most as many", path,
                        BL_CONFIG_FILE_BYTES_MAX);
}

int bl_config_read_file(const char *path, char **text, size_t *length, struct bl_error_detail *detail)
{
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    char *buffer;
    int error;

    if (descriptor < 0)
        return bl_error_set(detail, errno == ENOENT ? BL_ENOENT : BL_EIO, "%s: can't be opened: %s", path,
                            strerror(errno));
    buffer = malloc(BL_CONFIG_FILE_BYTES_MAX + 1);
    error = buffer == NULL ? bl_error_set(detail, BL_ENOMEM, "%s: out of memory", path)
                           : read_all(descriptor, path, buffer, length, detail);
    (void)close(descriptor);
    if (error != BL_OK) {
        free(buffer);
        return error;
    }
    *text = buffer;
    return BL_OK;
}
