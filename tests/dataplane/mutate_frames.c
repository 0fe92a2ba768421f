/* Mutated frames through a worker (worker_path.h), the real program's functions in their order; each answer judged.
 *
 *   mutate_frames [--count N] [--long-count N] [--seed N]
 *
 * Every frame starts as a right one in a state of the dialogue, with a cookie that is valid (or, for some, is not), and
 * is then mutated twice: in its description (payload, flags, offsets, tags, options, extension headers), and in its
 * bytes. Checksums and cookie are mostly made right again, or no mutant would get deep. Some meet a limit, one in 16
 * comes from the server's side, and time goes by, so that the ring has something to send again. Runs under ASan: the
 * frame lies in a heap block of exactly its size. With BL_LONG in the environment the long count is the count.
 *
 * Ends with a table of what was seen, and fails when an answer was wrong (answer_judge.h and worker_judge.h say why,
 * independently of the product's code), or when a row of the dialogue's notes was not met often enough: a state of the
 * dialogue count / 1000 times past the cookie, any other row (mutate_rows.h) count / 10000 times. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "dataplane/mutate_rows.h"

enum { PAYLOAD_MAX = 60000, MUTANT_MAX = FRAME_BYTES_MAX + 512, DIFFERENT_RULES = 16 };

struct run {
    struct exchange exchange;
    struct bl_reject_rules rules[DIFFERENT_RULES]; /* one a frame */
    struct bl_class classes[DIFFERENT_RULES];
    uint64_t random;
    uint64_t seed;
    uint64_t n_reasons[BL_REASON_COUNT];
    uint64_t n_past[JUDGE_STATE_COUNT];
    uint64_t n_rows[ROW_COUNT];
    struct worker_path path;
    struct judge_memory memory;
    bool from_server; /* this frame comes from the other side */
    struct {
        uint8_t family;
        uint16_t port;
    } last_syn;
    uint64_t n_answers;
    uint8_t mutant[MUTANT_MAX];
    uint8_t payload[PAYLOAD_MAX];
};

static const char *const state_names[JUDGE_STATE_COUNT] = {
#define X(suffix, text) text,
    JUDGE_STATES(X)
#undef X
};

static const char *const row_names[ROW_COUNT] = {
#define X(suffix, text) text,
    MUTATE_ROWS(X)
#undef X
};

static const char *const lines[] = {
    "EHLO mail.example.com\r\n",
    "HELO mail.example.com\r\n",
    "MAIL FROM:<a@example.com> SIZE=1000\r\n",
    "RCPT TO:<b@example.org>\r\n",
    "DATA\r\n",
    "BDAT 86 LAST\r\n",
    "RSET\r\n",
    "NOOP\r\n",
    "QUIT\r\n",
    "STARTTLS\r\n",
    "VRFY someone\r\n",
    "FROM:<a@example.com>\r\n",
    "\r\n",
    "rcpt to:<c@example.org>\n",
    "ehlo x\n",
};

enum { N_LINES = sizeof(lines) / sizeof(lines[0]) };

/* splitmix64: good enough, and one seed repeats a run. */
static uint64_t random64(struct run *run)
{
    uint64_t z = (run->random += 0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

static uint32_t below(struct run *run, uint32_t limit)
{
    return (uint32_t)((random64(run) >> 32) * limit >> 32);
}

static bool one_in(struct run *run, uint32_t n)
{
    return below(run, n) == 0;
}

/* --- the right frame -------------------------------------------------------------------------------------------- */

static void append_line(struct run *run, struct frame_spec *spec, const char *line)
{
    size_t length = strlen(line);

    if (spec->payload_bytes + length > PAYLOAD_MAX)
        return;
    memcpy(run->payload + spec->payload_bytes, line, length);
    spec->payload_bytes += length;
}

/* Gives the description flags, payload and, in *offset, how far the dialogue is; @p state is what it should be. */
static void describe_state(struct run *run, enum judge_state state, struct frame_spec *spec, uint32_t *offset)
{
    *offset = 1 + below(run, one_in(run, 4) ? 60000 : 2000);
    spec->flags = FRAME_ACK | FRAME_PSH;
    switch (state) {
    case JUDGE_SYN:
        spec->flags = FRAME_SYN;
        spec->tcp_options_bytes = (uint8_t)(4 * below(run, 4));
        break;
    case JUDGE_HANDSHAKE:
        spec->flags = FRAME_ACK;
        *offset = 0;
        break;
    case JUDGE_EARLY:
        *offset = 0;
        append_line(run, spec, lines[below(run, N_LINES)]);
        break;
    case JUDGE_FIN:
        spec->flags = FRAME_ACK | FRAME_FIN;
        break;
    case JUDGE_FIN_DATA:
        spec->flags = FRAME_ACK | FRAME_FIN | FRAME_PSH;
        append_line(run, spec, lines[below(run, N_LINES)]);
        break;
    case JUDGE_RST:
        spec->flags = FRAME_RST | FRAME_ACK;
        break;
    case JUDGE_PURE_ACK:
        spec->flags = FRAME_ACK;
        break;
    case JUDGE_LAST:
        *offset = 60001 + below(run, 6000);
        append_line(run, spec, lines[below(run, N_LINES)]);
        break;
    case JUDGE_PARTIAL:
        append_line(run, spec, lines[below(run, 12)]);
        spec->payload_bytes = 1 + below(run, (uint32_t)spec->payload_bytes - 1);
        while (spec->payload_bytes > 0 && run->payload[spec->payload_bytes - 1] == '\n')
            spec->payload_bytes--;
        break;
    case JUDGE_MULTI:
        for (unsigned n = 2 + below(run, 12); n > 0; n--)
            append_line(run, spec, lines[below(run, N_LINES)]);
        break;
    case JUDGE_UNKNOWN:
        append_line(run, spec, lines[10 + below(run, 3)]);
        break;
    default: /* the single commands stand in `lines` in the order of their states, DATA twice */
        append_line(run, spec, lines[state - JUDGE_EHLO + (state > JUDGE_DATA ? 1 : 0)]);
        break;
    }
}

/* --- mutations of the description -------------------------------------------------------------------------------- */

/* Bytes that mean something to the dialogue, and some that should not. */
static uint8_t telling_byte(struct run *run)
{
    static const uint8_t telling[] = "\r\n\n\n\r :<>\0\xff%{}[]EeQqRr25\t";

    return one_in(run, 3) ? (uint8_t)random64(run) : telling[below(run, sizeof(telling) - 1)];
}

static void mutate_payload(struct run *run, struct frame_spec *spec)
{
    size_t n = spec->payload_bytes;
    size_t at = n == 0 ? 0 : below(run, (uint32_t)n);
    size_t more;

    switch (below(run, 6)) {
    case 0: /* replace */
        if (n != 0)
            run->payload[at] = telling_byte(run);
        break;
    case 1: /* insert */
        if (n < PAYLOAD_MAX) {
            memmove(run->payload + at + 1, run->payload + at, n - at);
            run->payload[at] = telling_byte(run);
            spec->payload_bytes++;
        }
        break;
    case 2: /* cut the end */
        spec->payload_bytes = at;
        break;
    case 3: /* cut the start: the tail of a split command */
        memmove(run->payload, run->payload + at, n - at);
        spec->payload_bytes = n - at;
        break;
    case 4: /* other case */
        if (n != 0 && run->payload[at] >= 'A')
            run->payload[at] ^= 0x20;
        break;
    default: /* grow, sometimes to what only segmentation offload makes */
        more = one_in(run, 200) ? below(run, 50000) : below(run, 1200);
        while (more-- > 0 && spec->payload_bytes < PAYLOAD_MAX)
            run->payload[spec->payload_bytes++] = one_in(run, 30) ? '\n' : telling_byte(run);
        break;
    }
}

static void mutate_description(struct run *run, struct frame_spec *spec, uint32_t *offset)
{
    static const uint16_t types[] = {0x8100, 0x88a8, 0x9100};
    static const uint8_t headers[] = {0, 43, 60, 51, 135, 139, 140, 44, 50, 59, 17};

    switch (below(run, 12)) {
    case 0:
        spec->n_tags = below(run, 6);
        for (unsigned i = 0; i < spec->n_tags; i++)
            spec->tags[i] = types[below(run, 3)];
        break;
    case 1:
        spec->ip_options_bytes = (uint8_t)(4 * below(run, 11));
        spec->n_extensions = below(run, one_in(run, 4) ? 11 : 5);
        spec->extension_bytes = (uint16_t)(8 << (one_in(run, 4) ? below(run, 5) : 0));
        for (unsigned i = 0; i < spec->n_extensions; i++)
            spec->extensions[i] = headers[below(run, one_in(run, 8) ? 11 : 7)];
        break;
    case 2:
        if (one_in(run, 4)) /* a fragment, or a bit that makes none */
            spec->fragment = (uint16_t)(1 << below(run, 16));
        else
            spec->tcp_options_bytes = (uint8_t)(4 * below(run, 11));
        break;
    case 3:
        spec->window = (uint16_t)(one_in(run, 2) ? below(run, 700) : random64(run));
        break;
    case 4:
        spec->flags ^= (uint8_t)(1 << below(run, 8));
        break;
    case 5:
        *offset += one_in(run, 2) ? below(run, 70000) : (uint32_t)random64(run);
        break;
    case 6:
        spec->padding_bytes = below(run, 20);
        break;
    case 7:
        if (one_in(run, 4))
            memcpy(spec->source, spec->destination, sizeof(spec->source));
        else
            spec->source[below(run, one_in(run, 2) ? 1 : spec->family == 4 ? 4 : 16)] = (uint8_t)random64(run);
        break;
    case 8:
        spec->sequence = one_in(run, 2) ? 0 - below(run, 100) : (uint32_t)random64(run);
        break;
    default:
        mutate_payload(run, spec);
        break;
    }
}

/* --- mutations of the bytes -------------------------------------------------------------------------------------- */

static size_t mutate_bytes(struct run *run, uint8_t *frame, size_t length)
{
    size_t header_bytes = length < 100 ? length : 100;
    size_t at = below(run, (uint32_t)(one_in(run, 4) ? length : header_bytes));

    switch (below(run, 6)) {
    case 0:
        frame[at] ^= (uint8_t)(1 << below(run, 8));
        return length;
    case 1:
        frame[at] = (uint8_t)random64(run);
        return length;
    case 2: /* cut: a claimed length is longer than the frame */
        return 1 + below(run, (uint32_t)length);
    case 3: /* a byte more in the middle */
        memmove(frame + at + 1, frame + at, length - at);
        return length + 1;
    case 4: /* lengths: total length, IHL, payload length, data offset, wherever they are */
        at = 14 + below(run, 50);
        if (at < length)
            frame[at] = (uint8_t)(frame[at] + below(run, 9) - 4);
        return length;
    default: /* group addresses, and the like */
        frame[at] = one_in(run, 2) ? 0xff : 0;
        return length;
    }
}

/* Makes the checksums right, and sometimes the cookie, wherever the mutant still is a TCP segment. */
static void mend(struct run *run, uint8_t *frame, size_t length, uint32_t offset)
{
    struct frame_view view;
    uint8_t *ip;
    uint8_t *tcp;

    if (!frame_view_read(frame, length, &view))
        return;
    ip = frame + view.l3;
    tcp = frame + view.tcp;
    if (one_in(run, 2)) {
        struct frame_spec spec = {.family = view.family, .source_port = (uint16_t)view.source_port};

        memcpy(spec.source, view.source, 16);
        memcpy(spec.destination, view.destination, 16);
        spec.destination_port = (uint16_t)view.destination_port;
        frame_store32(tcp + 8, exchange_isn(&run->exchange, &spec, run->exchange.now_s) + 1 + offset);
    }
    if (view.family == 4) {
        frame_store16(ip + 10, 0);
        frame_store16(ip + 10, ~frame_sum(0, ip, view.tcp - view.l3) & 0xffff);
    }
    frame_store16(tcp + 16, 0);
    frame_store16(tcp + 16, ~frame_tcp_sum(ip, view.family, tcp, view.l3 + view.ip_bytes - view.tcp) & 0xffff);
}

/* As the server's, of the same connection. */
static void turn(struct frame_spec *spec)
{
    struct frame_spec from = *spec;

    memcpy(spec->source, from.destination, sizeof(spec->source));
    memcpy(spec->destination, from.source, sizeof(spec->destination));
    memcpy(spec->source_mac, from.destination_mac, sizeof(spec->source_mac));
    memcpy(spec->destination_mac, from.source_mac, sizeof(spec->destination_mac));
    spec->source_port = from.destination_port;
    spec->destination_port = from.source_port;
}

/* Writes the next mutant. @return its length. */
static size_t make_mutant(struct run *run)
{
    enum judge_state state = JUDGE_SYN + below(run, JUDGE_STATE_COUNT - JUDGE_SYN);
    /* Half of the handshakes are of the last SYN: what the ring remembers has a life of its own. */
    bool known = state == JUDGE_HANDSHAKE && run->last_syn.port != 0 && one_in(run, 2);
    struct frame_spec spec = frame_spec_init(known ? run->last_syn.family : one_in(run, 2) ? 6 : 4);
    uint32_t offset;
    uint64_t age_s = one_in(run, 8) ? below(run, 3000) : 0;
    size_t length;

    spec.payload = run->payload;
    spec.source_port = known ? run->last_syn.port : (uint16_t)(1024 + below(run, 60000));
    spec.sequence = (uint32_t)random64(run);
    describe_state(run, state, &spec, &offset);
    if (state == JUDGE_SYN) {
        run->last_syn.family = spec.family;
        run->last_syn.port = spec.source_port;
    }
    for (unsigned n = below(run, 4); n > 0; n--)
        mutate_description(run, &spec, &offset);
    /* The cookie of now, or of some time ago: up to two epochs too old. */
    spec.acknowledgement = exchange_isn(&run->exchange, &spec, run->exchange.now_s - age_s) + 1 + offset;
    if ((spec.flags & FRAME_SYN) != 0 && one_in(run, 2))
        spec.acknowledgement = 0;
    if (run->from_server)
        turn(&spec);
    length = frame_build(&spec, run->mutant);
    if (one_in(run, 2)) {
        for (unsigned n = 1 + below(run, 4); n > 0; n--)
            length = mutate_bytes(run, run->mutant, length);
        if (!one_in(run, 4))
            mend(run, run->mutant, length, offset);
    }
    return length;
}

/* --- the run ------------------------------------------------------------------------------------------------------ */

/* Every mix of stage and STARTTLS, URLs with and without {address}, short and as long as they may be. */
static void init_rules(struct run *run)
{
    static const char *const urls[4] = {"https://delist.example.net/?ip={address}", "http://d.example/?t={ticket}",
                                        "https://{address}.example.net/{ticket}/{address}", "https://"};

    for (unsigned i = 0; i < DIFFERENT_RULES; i++) {
        struct bl_class *class = &run->classes[i];

        run->rules[i] = run->exchange.rules;
        run->rules[i].stage = i & 1 ? BL_STAGE_MAIL : BL_STAGE_RCPT;
        run->rules[i].established = (uint8_t)(i % 3);
        run->rules[i].ipv6_unit = i % 5 == 0 ? 56 : 64;
        run->rules[i].ticket_key = (struct bl_siphash_key){i % 7 == 0 ? 0 : i, 0};
        run->rules[i].starttls = i & 2 ? BL_STARTTLS_REFUSE : BL_STARTTLS_HIDE;
        *class = (struct bl_class){.code = (uint16_t)(606 + i), .action = BL_ACTION_REJECT};
        (void)snprintf(class->url, sizeof(class->url), "%s", urls[i / 4]);
        if (i / 4 == 3)
            memset(class->url + 8, 'u', BL_CLASS_URL_MAX - 8);
        if (bl_class_validate(class, NULL) != BL_OK || bl_reject_rules_validate(&run->rules[i], NULL) != BL_OK) {
            (void)fprintf(stderr, "mutate_frames: rules %u are not valid\n", i);
            exit(2);
        }
    }
}

static void choose_rules(struct run *run)
{
    static const uint8_t others[] = {BL_ACTION_RESET, BL_ACTION_DROP, BL_ACTION_MONITOR};
    unsigned i = below(run, DIFFERENT_RULES);
    struct exchange *exchange = &run->exchange;

    exchange->rules = run->rules[i];
    exchange->classes[EXCHANGE_CLASS] = run->classes[i];
    exchange->class_id = EXCHANGE_CLASS;
    if (one_in(run, 16))
        exchange->classes[EXCHANGE_CLASS].action = others[below(run, 3)];
    else if (one_in(run, 32))
        exchange->class_id = one_in(run, 2) ? BL_CLASS_EXEMPT : BL_CLASS_NONE;
}

static void show_failure(const struct run *run, uint64_t n, const uint8_t *frame, size_t length, const char *wrong)
{
    (void)fprintf(stderr, "mutate_frames: frame %llu of seed %llu (%s, reason %s): %s\nin: ", (unsigned long long)n,
                  (unsigned long long)run->seed, state_names[run->exchange.judgement.state],
                  bl_verdict_reason_name(run->exchange.reason), wrong);
    for (size_t i = 0; i < length && i < 2000; i++)
        (void)fprintf(stderr, "%02x", frame[i]);
    (void)fprintf(stderr, "\nout: ");
    for (size_t i = 0; i < run->exchange.out_bytes; i++)
        (void)fprintf(stderr, "%02x", run->exchange.out[i]);
    (void)fprintf(stderr, "\n");
}

/* A class that rejects, on port 25: what the duties of the judge are about. */
static bool is_class(const struct exchange *exchange, uint8_t action)
{
    return exchange->class_id == EXCHANGE_CLASS && exchange->classes[EXCHANGE_CLASS].action == action;
}

/* A frame from the WAN side that did not meet a limit. @return what is wrong, or NULL. */
static const char *judge_wan(struct run *run, const uint8_t *frame, size_t length)
{
    struct exchange *exchange = &run->exchange;
    struct judge judge = {&exchange->rules, &exchange->classes[EXCHANGE_CLASS], exchange->now_s};
    struct judge_case c = {.judge = &judge, .in = frame, .in_bytes = length};
    struct judgement *judgement = &exchange->judgement;

    c.out = exchange->out;
    c.out_bytes = exchange->out_bytes;
    if (!is_class(exchange, BL_ACTION_REJECT) && !is_class(exchange, BL_ACTION_RESET))
        return exchange->out_bytes != 0 ? "answer to a source that is not rejected" : NULL;
    *judgement = judge_answer(&judge, frame, length, exchange->out, exchange->out_bytes);
    if (!is_class(exchange, BL_ACTION_REJECT))
        return judgement->wrong;
    if (frame_view_read(frame, length, &c.seen) && judge_is_foreign(&c, judgement)) {
        run->n_rows[ROW_NO_COOKIE]++;
        if (c.out_bytes != 0 && !frame_view_read(c.out, c.out_bytes, &c.said))
            return "answer is not a TCP segment";
        return judge_foreign(&c, &run->path, exchange->reason);
    }
    if (judgement->wrong != NULL)
        return judgement->wrong;
    run->n_past[judgement->state]++;
    if (c.out_bytes == 0)
        return NULL;
    (void)frame_view_read(c.out, c.out_bytes, &c.said);
    rows_of_answer(&c, judgement, run->n_rows);
    if (judgement->state == JUDGE_SYN || judgement->state == JUDGE_HANDSHAKE || judgement->state == JUDGE_EARLY)
        judge_remember(&run->memory, c.out, c.out_bytes);
    return NULL;
}

static const char *run_wan(struct run *run, const uint8_t *frame, size_t length, bool limited)
{
    struct exchange *exchange = &run->exchange;
    const char *wrong;

    exchange->reason = worker_path_receive(&run->path, frame, length);
    exchange->out_bytes = run->path.n_wan != 0 ? run->path.wan[0].length : 0;
    if (exchange->out_bytes != 0)
        memcpy(exchange->out, run->path.wan[0].bytes, exchange->out_bytes);
    wrong = judge_ways(&run->path, exchange->reason);
    if (wrong != NULL)
        return wrong;
    run->n_reasons[exchange->reason]++;
    run->n_answers += exchange->out_bytes != 0 ? 1 : 0;
    if (row_of_reason(exchange->reason) >= 0)
        run->n_rows[row_of_reason(exchange->reason)]++;
    if (exchange->reason == BL_REASON_DROP_LIMIT_ANSWER || exchange->reason == BL_REASON_DROP_LIMIT_RESET ||
        exchange->reason == BL_REASON_DROP_LIMIT_ESTABLISHED)
        return limited ? NULL : "above a limit that is not there";
    return judge_wan(run, frame, length);
}

static const char *run_lan(struct run *run, const uint8_t *frame, size_t length, bool limited)
{
    bool rejected = is_class(&run->exchange, BL_ACTION_REJECT);

    run->exchange.reason = BL_REASON_PASS_FROM_LAN;
    run->exchange.rules.established = BL_ESTABLISHED_RESET; /* worker.c asks with this setting alone */
    worker_path_set(&run->path, &run->exchange);
    worker_path_receive_lan(&run->path, frame, length);
    run->n_rows[ROW_CHALLENGE] += run->path.n_lan;
    return judge_lan(&run->path, frame, length, rejected, limited);
}

/* A tenth of a second or less goes by; what the ring then sends again is what was sent before. */
static const char *run_time(struct run *run)
{
    const char *wrong = NULL;

    worker_path_wait(&run->path, below(run, WORKER_PATH_TICKS_A_SECOND / 10));
    for (unsigned i = 0; i < run->path.n_wan && wrong == NULL; i++) {
        struct frame_view view;

        wrong = judge_again(&run->memory, &run->path.wan[i]);
        if (frame_view_read(run->path.wan[i].bytes, run->path.wan[i].length, &view))
            run->n_rows[(view.flags & FRAME_SYN) != 0 ? ROW_AGAIN_SYN_ACK : ROW_AGAIN_GREETING]++;
    }
    return run->path.n_lan != 0 ? "the ring sends to the server" : wrong;
}

/* @return false when something about the frame was wrong. */
static bool run_mutant(struct run *run, uint64_t n)
{
    bool limited = one_in(run, 64);
    const char *wrong;
    size_t length;

    choose_rules(run);
    run->from_server = one_in(run, 16);
    length = make_mutant(run);
    memset(&run->exchange.judgement, 0, sizeof(run->exchange.judgement));
    worker_path_set(&run->path, &run->exchange);
    worker_path_limit(&run->path, limited);
    wrong = run->from_server ? run_lan(run, run->mutant, length, limited) : run_wan(run, run->mutant, length, limited);
    if (wrong == NULL)
        wrong = run_time(run);
    if (wrong != NULL)
        show_failure(run, n, run->mutant, length, wrong);
    return wrong == NULL;
}

/* @return false when there were fewer than the least. */
static bool show_row(const char *name, uint64_t n, uint64_t least)
{
    (void)printf("  %-48s %10llu%s\n", name, (unsigned long long)n, n < least ? "  TOO FEW" : "");
    return n >= least;
}

/* @return false when a row was not met often enough. */
static bool show_table(const struct run *run, uint64_t count)
{
    uint64_t least = count / 1000;
    uint64_t least_of_row = count / 10000;
    bool enough = true;

    (void)printf("%llu frames, %llu answers, seed %llu\n\nthe dialogue's rows, past the cookie (at least %llu each):\n",
                 (unsigned long long)count, (unsigned long long)run->n_answers, (unsigned long long)run->seed,
                 (unsigned long long)least);
    for (unsigned i = JUDGE_SYN; i < JUDGE_STATE_COUNT; i++)
        enough &= show_row(state_names[i], run->n_past[i], least);
    (void)printf("\nthe other rows (at least %llu each):\n", (unsigned long long)least_of_row);
    for (unsigned i = 0; i < ROW_COUNT; i++)
        enough &= show_row(row_names[i], run->n_rows[i], least_of_row);
    (void)printf("\nby reason:\n");
    for (unsigned i = 0; i < BL_REASON_COUNT; i++)
        if (run->n_reasons[i] != 0)
            (void)show_row(bl_verdict_reason_name(i), run->n_reasons[i], 0);
    return enough;
}

static uint64_t read_number(const char *text)
{
    char *end;
    unsigned long long value = strtoull(text, &end, 10);

    if (*text < '0' || *text > '9' || *end != '\0') {
        (void)fprintf(stderr, "mutate_frames: '%s': expected a number\n", text);
        exit(2);
    }
    return value;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"count", required_argument, NULL, 'c'},
        {"long-count", required_argument, NULL, 'l'},
        {"seed", required_argument, NULL, 's'},
        {NULL, 0, NULL, 0},
    };
    static struct run run;
    uint64_t count = 1000000;
    uint64_t long_count = 0;
    uint64_t n_wrong = 0;
    int option;

    run.seed = 1;
    while ((option = getopt_long(argc, argv, "c:l:s:", options, NULL)) != -1) {
        if (option == 'c')
            count = read_number(optarg);
        else if (option == 'l')
            long_count = read_number(optarg);
        else if (option == 's')
            run.seed = read_number(optarg);
        else
            return 2;
    }
    if (getenv("BL_LONG") != NULL && long_count != 0)
        count = long_count;
    exchange_init(&run.exchange);
    worker_path_init(&run.path, &run.exchange.policy);
    init_rules(&run);
    run.random = run.seed;
    for (uint64_t n = 0; n < count && n_wrong < 3; n++)
        n_wrong += run_mutant(&run, n) ? 0 : 1;
    if (!show_table(&run, count) || n_wrong != 0)
        return 1;
    return 0;
}
