/* Reads the language of tests/scripts; see script.h. A table of words, a function a kind of argument. */
#include "dataplane/script.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    uint8_t flag;
} flag_names[] = {{"SYN", FRAME_SYN}, {"FIN", FRAME_FIN}, {"RST", FRAME_RST}, {"PSH", FRAME_PSH},
                  {"ACK", FRAME_ACK}, {"URG", FRAME_URG}, {"ECE", 0x40},      {"CWR", 0x80}};

enum { N_FLAGS = sizeof(flag_names) / sizeof(flag_names[0]) };

static void die(const char *path, unsigned line, const char *why)
{
    (void)fprintf(stderr, "%s:%u: %s\n", path, line, why);
    exit(2);
}

/* --- the file ------------------------------------------------------------------------------------------------------ */

static char *read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    char *bytes = calloc(1, 1 << 17);
    size_t n;

    if (file == NULL || bytes == NULL)
        die(path, 0, "can't be read");
    n = fread(bytes, 1, (1 << 17) - 1, file);
    if (n == (1 << 17) - 1 || memchr(bytes, '\0', n) != NULL)
        die(path, 0, "too long, or not text");
    (void)fclose(file);
    return bytes;
}

/* Cuts the comment and the spaces before it. A # in a string is none. */
static void cut_comment(char *line)
{
    bool in_string = false;
    size_t length;

    for (char *at = line; *at != '\0'; at++) {
        if (*at == '"' && (at == line || at[-1] != '\\'))
            in_string = !in_string;
        if (*at == '#' && !in_string) {
            *at = '\0';
            break;
        }
    }
    for (length = strlen(line); length > 0 && isspace((unsigned char)line[length - 1]); length--)
        line[length - 1] = '\0';
}

/* What is behind a line's end becomes part of it: the bytes between, which were an end or a comment, become spaces. */
static void join(struct script_line *line, const char *next)
{
    for (char *at = line->text + strlen(line->text); at < next; at++)
        *at = ' ';
}

void script_open(struct script *script, const char *path)
{
    unsigned number = 0;
    char *at;

    memset(script, 0, sizeof(*script));
    script->path = path;
    script->bytes = read_file(path);
    for (at = script->bytes; *at != '\0';) {
        char *line = at;
        char *end = strchr(at, '\n');

        number++;
        if (end == NULL)
            die(path, number, "the last line does not end");
        *end = '\0';
        at = end + 1;
        cut_comment(line);
        if (*line == '\0')
            continue;
        if (isspace((unsigned char)*line)) {
            if (script->n_lines == 0)
                die(path, number, "goes on with nothing");
            join(&script->lines[script->n_lines - 1], line);
            continue;
        }
        if (script->n_lines == SCRIPT_LINES_MAX)
            die(path, number, "too many lines");
        script->lines[script->n_lines++] = (struct script_line){number, line};
    }
}

void script_close(struct script *script)
{
    free(script->bytes);
}

/* --- words --------------------------------------------------------------------------------------------------------- */

bool script_word(const char **at, char out[SCRIPT_WORD_MAX])
{
    const char *from = *at;
    size_t n = 0;
    bool string;

    while (isspace((unsigned char)*from))
        from++;
    string = *from == '"';
    for (; *from != '\0' && n < SCRIPT_WORD_MAX - 1 && (string || !isspace((unsigned char)*from)); from++) {
        out[n++] = *from;
        if (string && n > 1 && *from == '"' && from[-1] != '\\') {
            from++;
            break;
        }
    }
    out[n] = '\0';
    *at = from;
    return n > 0;
}

static int unescape(const char **at)
{
    static const char escapes[] = "r\rn\nt\t\\\\\"\"";
    char code = *++*at;
    unsigned value;

    ++*at;
    if (code == '0')
        return 0;
    if (code == 'x' && sscanf(*at, "%2x", &value) == 1) {
        *at += 2;
        return (int)value;
    }
    for (const char *escape = escapes; *escape != '\0'; escape += 2)
        if (*escape == code)
            return (unsigned char)escape[1];
    return -1;
}

/* The bytes of a "string" with its quotes. @return how many, or -1. */
static int read_string(const struct script *script, const char *word, char *out, size_t room)
{
    const char *at = word + 1;
    size_t n = 0;

    while (*at != '"' || at[1] != '\0') {
        const char *fill = strncmp(at, "{address}", 9) == 0 ? script->address : script->ticket;
        size_t more = 1;
        int byte;

        if (*at == '\0' || n + 64 > room)
            return -1;
        if (strncmp(at, "{address}", 9) == 0 || strncmp(at, "{ticket}", 8) == 0) {
            more = strlen(fill);
            memcpy(out + n, fill, more);
            at = strchr(at, '}') + 1;
        } else {
            byte = *at == '\\' ? unescape(&at) : (unsigned char)*at++;
            if (byte < 0)
                return -1;
            out[n] = (char)byte;
        }
        n += more;
    }
    return (int)n;
}

bool script_add_text(struct script *script, const char *at)
{
    struct script_text *text = &script->texts[script->n_texts];
    char word[SCRIPT_WORD_MAX];
    size_t n = 0;

    if (script->n_texts == SCRIPT_TEXTS_MAX || !script_word(&at, word) || strlen(word) >= sizeof(text->name))
        return false;
    memcpy(text->name, word, strlen(word) + 1);
    while (script_word(&at, word)) {
        int more = word[0] == '"' ? read_string(script, word, text->value + n, sizeof(text->value) - 1 - n) : -1;

        if (more < 0)
            return false;
        n += (size_t)more;
    }
    text->value[n] = '\0';
    script->n_texts++;
    return true;
}

/* --- a frame ------------------------------------------------------------------------------------------------------- */

static bool read_flags(const char *word, uint8_t *flags)
{
    *flags = 0;
    if (strcmp(word, "-") == 0)
        return true;
    for (const char *at = word; *at != '\0';) {
        unsigned i = 0;

        while (i < N_FLAGS && strncmp(at, flag_names[i].name, 3) != 0)
            i++;
        if (i == N_FLAGS || (at[3] != '\0' && at[3] != ','))
            return false;
        *flags |= flag_names[i].flag;
        at += at[3] == ',' ? 4 : 3;
    }
    return true;
}

static bool read_integer(const char *word, int64_t *value)
{
    char *end;

    *value = strtoll(word, &end, 0);
    return *word != '\0' && *end == '\0';
}

static bool read_number(const char *word, struct script_number *number)
{
    *number = (struct script_number){.said = true};
    if (word[0] == '=') {
        number->raw = true;
        return read_integer(word + 1, &number->value);
    }
    if (strncmp(word, "next", 4) == 0) {
        number->next = true;
        return word[4] == '\0' || ((word[4] == '+' || word[4] == '-') && read_integer(word + 4, &number->value));
    }
    return read_integer(word, &number->value);
}

/* One TCP option by its name; what it takes is its argument, or nothing. */
static bool add_option(struct script_frame *frame, const char *name, int64_t value)
{
    static const struct {
        const char *name;
        uint8_t kind;
        uint8_t bytes;
    } options[] = {{"mss", 2, 4}, {"wscale", 3, 3}, {"sackok", 4, 2}, {"timestamp", 8, 10}, {"fastopen", 34, 10}};
    unsigned i = 0;
    uint8_t *at = frame->options + frame->options_bytes;

    while (strcmp(options[i].name, name) != 0)
        i++;
    if (frame->options_bytes + options[i].bytes > sizeof(frame->options))
        return false;
    memset(at, 0x5a, options[i].bytes);
    at[0] = options[i].kind;
    at[1] = options[i].bytes;
    if (options[i].kind == 2)
        frame_store16(at + 2, (unsigned)value);
    if (options[i].kind == 3)
        at[2] = (uint8_t)value;
    frame->options_bytes += options[i].bytes;
    return true;
}

/* IPv6 extension headers by name; "NAME*N" is N of them. */
static bool add_extensions(struct script_frame *frame, const char *word)
{
    static const struct {
        const char *name;
        uint8_t number;
    } headers[] = {{"hopbyhop", 0}, {"routing", 43}, {"destination", 60}, {"auth", 51}, {"mobility", 135}, {"esp", 50}};
    size_t length = strcspn(word, "*");
    int64_t n = 1;

    if (word[length] == '*' && !read_integer(word + length + 1, &n))
        return false;
    for (unsigned i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        if (strlen(headers[i].name) != length || memcmp(headers[i].name, word, length) != 0)
            continue;
        for (; n > 0 && frame->n_extensions < FRAME_EXTENSIONS_MAX; n--)
            frame->extensions[frame->n_extensions++] = headers[i].number;
        return n == 0;
    }
    return false;
}

static bool add_tag(struct script_frame *frame, const char *word)
{
    unsigned type;
    unsigned number;

    if (frame->n_tags == FRAME_TAGS_MAX || sscanf(word, "%4x/%u", &type, &number) != 2)
        return false;
    frame->tag_types[frame->n_tags] = (uint16_t)type;
    frame->tag_numbers[frame->n_tags++] = (uint16_t)number;
    return true;
}

static bool read_fragment(const char *word, enum script_fragment *fragment)
{
    static const char *const names[] = {"", "first", "middle", "last"};

    for (unsigned i = SCRIPT_FIRST; i <= SCRIPT_LAST; i++)
        if (strcmp(word, names[i]) == 0) {
            *fragment = (enum script_fragment)i;
            return true;
        }
    return false;
}

static bool read_bad(const char *word, struct script_frame *frame)
{
    frame->bad_ip_sum |= strcmp(word, "ipsum") == 0;
    frame->bad_tcp_sum |= strcmp(word, "tcpsum") == 0;
    return strcmp(word, "ipsum") == 0 || strcmp(word, "tcpsum") == 0;
}

static bool copy_word(const char *word, char *out, size_t room)
{
    return (size_t)snprintf(out, room, "%s", word) < room;
}

/* A word and its argument that are not numbers. @return 1 read, 0 not such a word, -1 wrong. */
static int read_worded(struct script_frame *frame, const char *name, const char *word)
{
    static const char *const names[] = {"seq", "ack", "tag", "ext", "fragment", "bad", "from", "to", "smac", "dmac"};
    unsigned i = 0;
    bool good = false;

    while (i < sizeof(names) / sizeof(names[0]) && strcmp(names[i], name) != 0)
        i++;
    switch (i) {
    case 0:
        good = read_number(word, &frame->sequence);
        break;
    case 1:
        good = read_number(word, &frame->acknowledgement);
        break;
    case 2:
        good = add_tag(frame, word);
        break;
    case 3:
        good = add_extensions(frame, word);
        break;
    case 4:
        good = read_fragment(word, &frame->fragment);
        break;
    case 5:
        good = read_bad(word, frame);
        break;
    case 6:
        good = copy_word(word, frame->from, sizeof(frame->from));
        break;
    case 7:
        good = copy_word(word, frame->to, sizeof(frame->to));
        break;
    case 8:
        good = copy_word(word, frame->source_mac, sizeof(frame->source_mac));
        break;
    case 9:
        good = copy_word(word, frame->destination_mac, sizeof(frame->destination_mac));
        break;
    default:
        return 0;
    }
    return good ? 1 : -1;
}

/* A word and a number. */
static int read_numbered(struct script_frame *frame, const char *name, const char *word)
{
    const struct {
        const char *name;
        int *to;
    } numbers[] = {
        {"win", &frame->window},
        {"epoch", &frame->epoch},
        {"ipopt", (int *)&frame->ip_options_bytes},
        {"extbytes", (int *)&frame->extension_bytes},
        {"pad", (int *)&frame->pad_bytes},
        {"cut", (int *)&frame->cut_bytes},
        {"proto", &frame->protocol},
        {"ethertype", &frame->ethertype},
        {"sport", &frame->source_port},
        {"dport", &frame->destination_port},
    };
    int64_t value;

    for (unsigned i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        if (strcmp(numbers[i].name, name) != 0)
            continue;
        if (!read_integer(word, &value) || value < -1000 || value > 65535)
            return -1;
        *numbers[i].to = (int)value;
        return 1;
    }
    if (strcmp(name, "mss") != 0 && strcmp(name, "wscale") != 0)
        return 0;
    if (!read_integer(word, &value) || !add_option(frame, name, value))
        return -1;
    if (name[0] == 'm')
        frame->mss = (int)value;
    return 1;
}

/* A string or a text's name, and what may follow: * N. */
static bool add_payload(const struct script *script, const char *word, const char **at, struct script_frame *frame)
{
    char text[SCRIPT_TEXT_MAX];
    char more[SCRIPT_WORD_MAX];
    const char *rest = *at;
    int64_t times = 1;
    int n = -1;

    if (word[0] == '"')
        n = read_string(script, word, text, sizeof(text));
    for (unsigned i = 0; i < script->n_texts && n < 0; i++)
        if (strcmp(script->texts[i].name, word) == 0)
            n = snprintf(text, sizeof(text), "%s", script->texts[i].value);
    if (n < 0)
        return false;
    if (script_word(&rest, more) && strcmp(more, "*") == 0) {
        if (!script_word(&rest, more) || !read_integer(more, &times))
            return false;
        *at = rest;
    }
    for (; times > 0; times--) {
        if (frame->payload_bytes + (size_t)n > sizeof(frame->payload))
            return false;
        memcpy(frame->payload + frame->payload_bytes, text, (size_t)n);
        frame->payload_bytes += (size_t)n;
    }
    return true;
}

const char *script_read_frame(const struct script *script, const char *at, struct script_frame *frame)
{
    static char why[SCRIPT_WORD_MAX + 64];
    char word[SCRIPT_WORD_MAX];
    char argument[SCRIPT_WORD_MAX];

    memset(frame, 0, offsetof(struct script_frame, payload));
    frame->window = frame->protocol = frame->ethertype = frame->source_port = frame->destination_port = -1;
    if (!script_word(&at, word) || !read_flags(word, &frame->flags))
        return "expected flags, as in SYN,ACK, or - for none";
    while (script_word(&at, word)) {
        const char *rest = at;
        int got = 0;

        if (strcmp(word, "sackok") == 0 || strcmp(word, "timestamp") == 0 || strcmp(word, "fastopen") == 0)
            got = add_option(frame, word, 0) ? 1 : -1;
        else if (word[0] != '"' && script_word(&rest, argument)) {
            got = read_worded(frame, word, argument);
            if (got == 0)
                got = read_numbered(frame, word, argument);
            if (got == 1)
                at = rest;
        }
        if (got == 0 && add_payload(script, word, &at, frame))
            got = 1;
        if (got == 1)
            continue;
        (void)snprintf(why, sizeof(why), "'%s' is no word of a frame, or what follows it is wrong", word);
        return why;
    }
    return NULL;
}

/* --- the other way ------------------------------------------------------------------------------------------------- */

static size_t write_payload(const struct script_frame *frame, char *out, size_t room)
{
    size_t n = 0;

    for (size_t i = 0; i < frame->payload_bytes && n + 8 < room; i++) {
        uint8_t byte = frame->payload[i];

        if (i == 0)
            n += (size_t)snprintf(out + n, room - n, "\n      \"");
        if (byte == '\r' || byte == '\n')
            n += (size_t)snprintf(out + n, room - n, byte == '\r' ? "\\r" : "\\n");
        else if (byte >= ' ' && byte < 0x7f)
            out[n++] = (char)byte;
        else
            n += (size_t)snprintf(out + n, room - n, "\\x%02x", byte);
        if (i + 1 == frame->payload_bytes || byte == '\n')
            n += (size_t)snprintf(out + n, room - n, i + 1 == frame->payload_bytes ? "\"" : "\"\n      \"");
    }
    return n;
}

void script_write_frame(const struct script_frame *frame, char *out, size_t room)
{
    size_t n = 0;

    for (unsigned i = 0; i < N_FLAGS; i++)
        if ((frame->flags & flag_names[i].flag) != 0)
            n += (size_t)snprintf(out + n, room - n, "%s%s", n == 0 ? "" : ",", flag_names[i].name);
    n += (size_t)snprintf(out + n, room - n, " seq %lld ack %lld win %d", (long long)frame->sequence.value,
                          (long long)frame->acknowledgement.value, frame->window);
    if (frame->mss != 0)
        n += (size_t)snprintf(out + n, room - n, " mss %d", frame->mss);
    for (unsigned i = 0; i < frame->n_tags; i++)
        n += (size_t)snprintf(out + n, room - n, " tag %04x/%u", frame->tag_types[i], frame->tag_numbers[i]);
    n += write_payload(frame, out + n, room - n);
    out[n < room ? n : room - 1] = '\0';
}
