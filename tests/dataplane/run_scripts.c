/* Plays the scripts in tests/scripts against the pure library: each frame goes through parse, classify, checksums, reject or
 * reset, and segment, as in a worker; what comes out is held against what the script says, and against the judge.
 *
 *   run_scripts FOLDER        every script for IPv4 and IPv6; FOLDER/ROWS names the rows that must have one
 *   run_scripts FILE...       these alone
 *
 * Prints FILE:LINE with expected and got, in the script's own words, and one line at the end; exit 0 all right, 1 not,
 * 2 a script that can't be read. test_scripts.py plays the same files against the real program. */
#include <arpa/inet.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "bounceline/ticket.h"
#include "dataplane/exchange.h"
#include "dataplane/script.h"

enum { ROWS_MAX = 200, FILES_MAX = 500, ROW_BYTES_MAX = 120, PATH_BYTES_MAX = 400, SHOWN_MAX = 16384 };

/* The client's first number: soon it wraps around. */
static const uint32_t CLIENT_ISN = 0xfffffff0;

struct player {
    struct script script;
    struct exchange exchange;
    uint8_t family;
    bool judged; /* the judge knows reject and reset on port 25 of every destination, and nothing else */
    bool own_policy;
    /* The frame in: of which line (0: none that waits for its end), and which numbers it was built with. */
    unsigned line_in;
    struct script_frame in;
    struct script_frame said;
    uint32_t server_isn;
    int64_t client_next; /* behind the last frame of each side */
    int64_t server_next;
    int64_t server_was; /* server_next before the last answer: where it should begin */
    bool compared;      /* the answer has met its line */
    uint64_t n_in;
    uint64_t n_out;
};

struct rows {
    char names[ROWS_MAX][ROW_BYTES_MAX];
    unsigned n;
};

static struct player player;
static struct rows wanted;
static struct rows had;

/* --- what the script sets ------------------------------------------------------------------------------------------ */

static const char *const actions[] = {"", "reject", "reset", "drop", "monitor"};

/* 0: no such action. */
static uint8_t action_of(const char *word)
{
    for (unsigned i = BL_ACTION_REJECT; i <= BL_ACTION_MONITOR; i++)
        if (strcmp(actions[i], word) == 0)
            return (uint8_t)i;
    return 0;
}

static bool set_class(const char *at)
{
    struct exchange *exchange = &player.exchange;
    struct bl_class *class = &exchange->classes[EXCHANGE_CLASS];
    char word[SCRIPT_WORD_MAX];

    if (!script_word(&at, word))
        return false;
    exchange->class_id = EXCHANGE_CLASS;
    if (strcmp(word, "none") == 0 || strcmp(word, "exempt") == 0) {
        exchange->class_id = word[0] == 'n' ? BL_CLASS_NONE : BL_CLASS_EXEMPT;
        return true;
    }
    class->action = action_of(word);
    if (!script_word(&at, word))
        return false;
    class->code = (uint16_t)atoi(word);
    if (script_word(&at, word) && snprintf(class->url, sizeof(class->url), "%s", word) >= (int)sizeof(class->url))
        return false;
    return class->action != 0 && bl_class_validate(class, NULL) == BL_OK;
}

/* PORT, or PORT:ACTION. */
static bool set_ports(const char *at)
{
    char word[SCRIPT_WORD_MAX];

    bl_classify_policy_init(&player.exchange.policy);
    while (script_word(&at, word)) {
        const char *colon = strchr(word, ':');
        uint8_t action = colon == NULL ? BL_ACTION_REJECT : action_of(colon + 1);

        if (action == 0)
            return false;
        bl_classify_policy_protect(&player.exchange.policy, (uint16_t)atoi(word), action);
    }
    return true;
}

static bool set_prefixes(const char *at)
{
    char word[SCRIPT_WORD_MAX];

    player.own_policy = true;
    while (script_word(&at, word)) {
        struct bl_prefix prefix;

        if (bl_address_parse_prefix(word, 128, &prefix, NULL) != BL_OK)
            return false;
        bl_classify_policy_protect_prefix(&player.exchange.policy, &prefix);
    }
    return true;
}

/* A setting, "name: value". @return 1 done, 0 no such setting, -1 wrong, 2 not for this family: leave the script. */
static int set(const char *text)
{
    struct bl_reject_rules *rules = &player.exchange.rules;
    size_t length = strcspn(text, ":");
    const char *value = text + length + 1 + strspn(text + length + 1, " ");

    if (text[length] == '\0')
        return 0;
    if (strncmp(text, "row:", 4) == 0)
        return 1;
    if (strncmp(text, "only:", 5) == 0) {
        if (strcmp(value, "v4") != 0 && strcmp(value, "v6") != 0 && strcmp(value, "wire") != 0)
            return -1;
        return value[0] == 'w' || value[1] - '0' != player.family ? 2 : 1;
    }
    if (strncmp(text, "text:", 5) == 0)
        return script_add_text(&player.script, value) ? 1 : -1;
    if (strncmp(text, "class:", 6) == 0)
        return set_class(value) ? 1 : -1;
    if (strncmp(text, "ports:", 6) == 0)
        return set_ports(value) ? 1 : -1;
    if (strncmp(text, "prefixes:", 9) == 0)
        return set_prefixes(value) ? 1 : -1;
    if (strncmp(text, "stage:", 6) == 0) {
        rules->stage = strcmp(value, "mail") == 0 ? BL_STAGE_MAIL : BL_STAGE_RCPT;
        return strcmp(value, "mail") == 0 || strcmp(value, "rcpt") == 0 ? 1 : -1;
    }
    if (strncmp(text, "starttls:", 9) == 0) {
        rules->starttls = strcmp(value, "refuse") == 0 ? BL_STARTTLS_REFUSE : BL_STARTTLS_HIDE;
        return strcmp(value, "refuse") == 0 || strcmp(value, "hide") == 0 ? 1 : -1;
    }
    return 0;
}

/* --- frames in ----------------------------------------------------------------------------------------------------- */

static bool put_address(const char *text, uint8_t *out)
{
    return text[0] == '\0' || inet_pton(player.family == 4 ? AF_INET : AF_INET6, text, out) == 1;
}

static bool put_mac(const char *text, uint8_t *out)
{
    unsigned byte[6];

    if (text[0] == '\0')
        return true;
    if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x", &byte[0], &byte[1], &byte[2], &byte[3], &byte[4], &byte[5]) != 6)
        return false;
    for (unsigned i = 0; i < 6; i++)
        out[i] = (uint8_t)byte[i];
    return true;
}

static uint32_t resolve(const struct script_number *number, uint32_t isn, int64_t next)
{
    if (number->raw)
        return (uint32_t)number->value;
    return isn + (uint32_t)(number->next ? next + number->value : number->value);
}

/* @return false when an address can't be read. */
static bool describe(struct frame_spec *spec)
{
    const struct script_frame *in = &player.in;

    *spec = frame_spec_init(player.family);
    if (!put_address(in->from, spec->source) || !put_address(in->to, spec->destination) ||
        !put_mac(in->source_mac, spec->source_mac) || !put_mac(in->destination_mac, spec->destination_mac))
        return false;
    if (in->source_port >= 0)
        spec->source_port = (uint16_t)in->source_port;
    if (in->destination_port >= 0)
        spec->destination_port = (uint16_t)in->destination_port;
    spec->n_tags = in->n_tags;
    memcpy(spec->tags, in->tag_types, sizeof(spec->tags));
    spec->ip_options_bytes = (uint8_t)in->ip_options_bytes;
    spec->n_extensions = in->n_extensions;
    memcpy(spec->extensions, in->extensions, sizeof(spec->extensions));
    if (in->extension_bytes != 0)
        spec->extension_bytes = (uint16_t)in->extension_bytes;
    spec->fragment = (uint16_t)((uint16_t[]){0x4000, 0x2000, 0x2010, 0x0010}[in->fragment]);
    if (in->fragment != SCRIPT_WHOLE && player.family == 6)
        spec->extensions[spec->n_extensions++] = 44;
    spec->flags = in->flags;
    spec->window = (uint16_t)(in->window < 0 ? 64240 : in->window);
    spec->tcp_options = in->options;
    spec->tcp_options_bytes = (uint8_t)((in->options_bytes + 3) / 4 * 4); /* what is left is zero: end of options */
    spec->payload = in->payload;
    spec->payload_bytes = in->payload_bytes;
    spec->padding_bytes = in->pad_bytes;
    player.server_isn = exchange_isn(&player.exchange, spec, (uint64_t)(EXCHANGE_NOW_S + in->epoch * 1024));
    spec->sequence = resolve(&in->sequence, CLIENT_ISN, player.client_next);
    if (in->acknowledgement.said)
        spec->acknowledgement = resolve(&in->acknowledgement, player.server_isn, player.server_next);
    return true;
}

/* What a right frame can't have. */
static size_t spoil(const struct frame_spec *spec, uint8_t *frame, size_t length)
{
    const struct script_frame *in = &player.in;
    uint8_t *ip = frame + 14 + 4 * spec->n_tags;
    uint8_t *last = ip + 6; /* IPv6: the next header field that leads to TCP */
    uint8_t *tcp = ip + 20 + spec->ip_options_bytes;

    for (unsigned i = 0; i < spec->n_tags; i++)
        frame_store16(frame + 14 + 4 * i, in->tag_numbers[i]);
    if (spec->family == 6) {
        tcp = ip + 40 + spec->n_extensions * spec->extension_bytes;
        if (spec->n_extensions > 0)
            last = tcp - spec->extension_bytes;
        if (in->fragment != SCRIPT_WHOLE) {
            memset(last + 1, 0, spec->extension_bytes - 1u);
            frame_store16(last + 2, (unsigned[]){0, 1, 0x81, 0x80}[in->fragment]);
        }
    }
    if (in->protocol >= 0 && spec->family == 6)
        *last = (uint8_t)in->protocol;
    if (in->protocol >= 0 && spec->family == 4) {
        ip[9] = (uint8_t)in->protocol;
        frame_store16(ip + 10, 0);
        frame_store16(ip + 10, ~frame_sum(0, ip, 20u + spec->ip_options_bytes) & 0xffff);
    }
    if (in->ethertype >= 0)
        frame_store16(ip - 2, (unsigned)in->ethertype);
    if (in->bad_ip_sum)
        ip[10] ^= 0x10;
    if (in->bad_tcp_sum)
        tcp[16] ^= 0x10;
    return length > in->cut_bytes ? length - in->cut_bytes : 0;
}

/* The answer, as the language says it. */
static void read_answer(struct script_frame *said)
{
    const struct exchange *exchange = &player.exchange;
    struct frame_view view;

    memset(said, 0, offsetof(struct script_frame, payload));
    if (!frame_view_read(exchange->out, exchange->out_bytes, &view))
        return;
    said->flags = view.flags;
    said->sequence.value = (int32_t)(view.sequence - player.server_isn);
    said->acknowledgement.value = (int32_t)(view.acknowledgement - CLIENT_ISN);
    said->window = (int)view.window;
    if (view.payload - view.tcp == 24)
        said->mss = (int)frame_load16(exchange->out + view.tcp + 22);
    for (size_t at = 12; at + 2 < view.l3 && said->n_tags < FRAME_TAGS_MAX; at += 4) {
        said->tag_types[said->n_tags] = (uint16_t)frame_load16(exchange->out + at);
        said->tag_numbers[said->n_tags++] = (uint16_t)frame_load16(exchange->out + at + 2);
    }
    said->payload_bytes = view.payload_bytes;
    memcpy(said->payload, exchange->out + view.payload, view.payload_bytes);
    player.server_next =
        said->sequence.value + (int64_t)view.payload_bytes + ((view.flags & (FRAME_SYN | FRAME_FIN)) != 0 ? 1 : 0);
}

/* Where the answer goes and what it is made of is the same for all: the judge's envelope, or the whole judge. */
static const char *judge(const uint8_t *frame, size_t length)
{
    struct exchange *exchange = &player.exchange;
    uint8_t action = exchange->classes[EXCHANGE_CLASS].action;
    struct judge_case c = {.in = frame, .in_bytes = length};

    if (player.judged && exchange->class_id == EXCHANGE_CLASS &&
        (action == BL_ACTION_REJECT || action == BL_ACTION_RESET))
        return exchange_run(exchange, frame, length);
    exchange->reason = exchange_receive(exchange, frame, length);
    if (exchange->out_bytes == 0)
        return NULL;
    c.out = exchange->out;
    c.out_bytes = exchange->out_bytes;
    if (!frame_view_read(frame, length, &c.seen) || !frame_view_read(c.out, c.out_bytes, &c.said))
        return "not a TCP segment";
    return judge_envelope(&c);
}

/* @return what is wrong, or NULL. */
static const char *play_in(const char *at)
{
    struct exchange *exchange = &player.exchange;
    struct script_frame *in = &player.in;
    struct frame_spec spec;
    const char *wrong = script_read_frame(&player.script, at, in);
    uint8_t *exact;
    size_t length;

    if (wrong != NULL)
        return wrong;
    if (!in->sequence.said || ((in->flags & FRAME_ACK) != 0 && !in->acknowledgement.said))
        return "a frame in says its seq, and its ack when it has ACK";
    if (!describe(&spec))
        return "an address is not of this family";
    player.judged = spec.destination_port == 25 && !player.own_policy;
    length = spoil(&spec, exchange->frame, frame_build(&spec, exchange->frame));
    /* In a block of exactly its size: AddressSanitizer sees a byte too far. */
    exact = malloc(length + 1);
    if (exact == NULL)
        return "out of memory";
    memcpy(exact, exchange->frame, length);
    wrong = judge(exact, length);
    free(exact);
    player.client_next = (int32_t)(spec.sequence - CLIENT_ISN) + (int64_t)spec.payload_bytes +
                         ((spec.flags & (FRAME_SYN | FRAME_FIN)) != 0 ? 1 : 0);
    player.server_was = player.server_next;
    if (exchange->out_bytes != 0)
        read_answer(&player.said);
    player.compared = false;
    player.n_in++;
    player.n_out += exchange->out_bytes != 0 ? 1 : 0;
    return wrong;
}

/* --- frames out ---------------------------------------------------------------------------------------------------- */

static const char *play_out(const char *at)
{
    static struct script_frame expected;
    static char shown[2 * SHOWN_MAX + 100];
    static char want[SHOWN_MAX];
    static char got[SHOWN_MAX];
    const char *wrong = script_read_frame(&player.script, at, &expected);

    if (wrong != NULL)
        return wrong;
    expected.sequence.value =
        (int32_t)(resolve(&expected.sequence, player.server_isn, player.server_was) - player.server_isn);
    expected.acknowledgement.value =
        (int32_t)(resolve(&expected.acknowledgement, CLIENT_ISN, player.client_next) - CLIENT_ISN);
    if (expected.window < 0)
        expected.window = 8192;
    if (expected.n_tags == 0) {
        expected.n_tags = player.in.n_tags;
        memcpy(expected.tag_types, player.in.tag_types, sizeof(expected.tag_types));
        memcpy(expected.tag_numbers, player.in.tag_numbers, sizeof(expected.tag_numbers));
    }
    script_write_frame(&expected, want, sizeof(want));
    if (player.exchange.out_bytes == 0 || player.compared)
        (void)snprintf(got, sizeof(got), "nothing more (%s)", bl_verdict_reason_name(player.exchange.reason));
    else
        script_write_frame(&player.said, got, sizeof(got));
    player.compared = true;
    if (strcmp(want, got) == 0)
        return NULL;
    (void)snprintf(shown, sizeof(shown), "\n  expected: < %s\n  got:      < %s", want, got);
    return shown;
}

static const char *play_end(const char *what, const char *reason)
{
    static char shown[300];
    const struct exchange *exchange = &player.exchange;
    const char *got = exchange->out_bytes != 0                             ? "answered"
                      : bl_verdict_of(exchange->reason) == BL_VERDICT_PASS ? "passed"
                                                                           : "dropped";

    player.line_in = 0;
    if (exchange->out_bytes != 0 && !player.compared)
        return "the answer is not in the script: a line that begins with < says it";
    if (strcmp(what, got) == 0 && strcmp(reason, bl_verdict_reason_name(exchange->reason)) == 0)
        return NULL;
    (void)snprintf(shown, sizeof(shown), "\n  expected: %.20s %.80s\n  got:      %s %s", what, reason, got,
                   bl_verdict_reason_name(exchange->reason));
    return shown;
}

/* --- scripts ------------------------------------------------------------------------------------------------------- */

/* @return what is wrong with the line, or NULL; *leave is set when the script is not for this family. */
static const char *play_line(const struct script_line *line, bool *leave)
{
    const char *at = line->text;
    char word[SCRIPT_WORD_MAX];
    char reason[SCRIPT_WORD_MAX];
    int done;

    (void)script_word(&at, word);
    if (strcmp(word, ">") == 0) {
        if (player.line_in != 0)
            return "the frame before has no end: answered, passed or dropped, and the counter's name";
        player.line_in = line->number;
        return play_in(at);
    }
    if (strcmp(word, "<") == 0 || strcmp(word, "answered") == 0 || strcmp(word, "passed") == 0 ||
        strcmp(word, "dropped") == 0) {
        if (player.line_in == 0)
            return "there is no frame in before it";
        if (word[0] == '<')
            return play_out(at);
        return script_word(&at, reason) ? play_end(word, reason) : "expected the counter's name";
    }
    done = set(line->text);
    *leave = done == 2;
    if (done == 0)
        return "expected a setting, >, <, answered, passed or dropped";
    return done < 0 ? "the setting's value" : NULL;
}

/* As ticket.c makes it, which has test vectors of its own: of the address, or its /64. */
static const char *ticket_of(uint8_t family)
{
    static char text[BL_TICKET_TEXT_MAX];
    struct bl_prefix unit;

    (void)bl_address_parse_prefix(family == 4 ? "192.0.2.7/32" : "2001:db8::/64", 128, &unit, NULL);
    return bl_ticket_make(&player.exchange.rules.ticket_key, &unit, EXCHANGE_NOW_S / BL_TICKET_DAY_S, text);
}

static bool play_script(const char *path, uint8_t family)
{
    const char *wrong = NULL;
    bool leave = false;
    uint64_t n_in = player.n_in;

    exchange_init(&player.exchange);
    player.family = family;
    player.own_policy = false;
    player.line_in = 0;
    player.client_next = player.server_next = player.server_was = 0;
    script_open(&player.script, path);
    player.exchange.rules.ticket_key = (struct bl_siphash_key){0x1716151413121110, 0x1f1e1d1c1b1a1918};
    player.exchange.rules.ipv6_unit = 64;
    player.script.ticket = ticket_of(family);
    player.script.address = family == 4 ? "192.0.2.7" : "2001:db8::7";
    for (unsigned i = 0; i < player.script.n_lines && wrong == NULL && !leave; i++) {
        wrong = play_line(&player.script.lines[i], &leave);
        if (wrong != NULL)
            (void)printf("%s:%u: IPv%u: %s\n", path, player.script.lines[i].number, family, wrong);
    }
    if (wrong == NULL && !leave && (player.line_in != 0 || player.n_in == n_in)) {
        wrong = "the script ends without a frame, or without its last frame's end";
        (void)printf("%s:%u: IPv%u: %s\n", path, player.line_in, family, wrong);
    }
    script_close(&player.script);
    return wrong == NULL;
}

/* --- rows ---------------------------------------------------------------------------------------------------------- */

static bool has_row(const struct rows *rows, const char *name)
{
    for (unsigned i = 0; i < rows->n; i++)
        if (strcmp(rows->names[i], name) == 0)
            return true;
    return false;
}

static void add_row(struct rows *rows, const char *name)
{
    if (rows->n < ROWS_MAX && !has_row(rows, name))
        (void)snprintf(rows->names[rows->n++], ROW_BYTES_MAX, "%s", name);
}

/* Each row of ROWS has a script, and no script is of a row that is not there. */
static unsigned check_rows(const char *folder)
{
    static struct script list;
    static char path[PATH_BYTES_MAX];
    unsigned n_wrong = 0;

    (void)snprintf(path, sizeof(path), "%s/ROWS", folder);
    script_open(&list, path);
    for (unsigned i = 0; i < list.n_lines; i++)
        add_row(&wanted, list.lines[i].text);
    script_close(&list);
    for (unsigned i = 0; i < wanted.n; i++)
        if (!has_row(&had, wanted.names[i])) {
            (void)printf("%s: row '%s' has no script\n", path, wanted.names[i]);
            n_wrong++;
        }
    for (unsigned i = 0; i < had.n; i++)
        if (!has_row(&wanted, had.names[i])) {
            (void)printf("%s: has no row '%s', which a script says it is of\n", path, had.names[i]);
            n_wrong++;
        }
    return n_wrong;
}

/* @return false when the script says no row. */
static bool note_rows(const char *path)
{
    unsigned n = 0;

    script_open(&player.script, path);
    for (unsigned i = 0; i < player.script.n_lines; i++)
        if (strncmp(player.script.lines[i].text, "row: ", 5) == 0) {
            add_row(&had, player.script.lines[i].text + 5);
            n++;
        }
    script_close(&player.script);
    if (n == 0)
        (void)printf("%s: says no row\n", path);
    return n != 0;
}

static int is_script(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);

    return length > 4 && strcmp(entry->d_name + length - 4, ".txt") == 0;
}

/* Replaces a folder by its scripts. @return how many. */
static int list_scripts(const char *folder, char (*paths)[PATH_BYTES_MAX])
{
    struct dirent **entries;
    int n = scandir(folder, &entries, is_script, alphasort);

    if (n < 0 || n > FILES_MAX)
        return 0;
    for (int i = 0; i < n; i++) {
        (void)snprintf(paths[i], PATH_BYTES_MAX, "%s/%s", folder, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    return n;
}

int main(int argc, char **argv)
{
    static char paths[FILES_MAX][PATH_BYTES_MAX];
    struct stat status;
    bool folder = argc == 2 && stat(argv[1], &status) == 0 && S_ISDIR(status.st_mode);
    int n = folder ? list_scripts(argv[1], paths) : 0;
    unsigned n_wrong = 0;

    for (int i = 1; !folder && i < argc && n < FILES_MAX; i++)
        (void)snprintf(paths[n++], PATH_BYTES_MAX, "%s", argv[i]);
    if (n == 0) {
        (void)fprintf(stderr, "usage: run_scripts FOLDER | run_scripts FILE...: no scripts\n");
        return 2;
    }
    for (int i = 0; i < n; i++) {
        n_wrong += note_rows(paths[i]) ? 0 : 1;
        n_wrong += play_script(paths[i], 4) ? 0 : 1;
        n_wrong += play_script(paths[i], 6) ? 0 : 1;
    }
    if (folder)
        n_wrong += check_rows(argv[1]);
    (void)printf("%d scripts of %u rows: %llu frames in, %llu answers, %u wrong\n", n, had.n,
                 (unsigned long long)player.n_in, (unsigned long long)player.n_out, n_wrong);
    return n_wrong == 0 ? 0 : 1;
}
