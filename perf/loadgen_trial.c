/* See loadgen_trial.h. */
#include "perf/loadgen_trial.h"

#include <stdio.h>
#include <string.h>

#include <rte_cycles.h>

enum {
    BEGIN_AT_ONCE = 32,
    RECEIVE_AT_ONCE = 8, /* bursts, before anything is begun */
    LIVE_MS = 250,
};

/* So much longer than planned means that the generator, or the machine below it, was the limit. */
static const double behind_share = 1.02;
static const double behind_s = 0.05;
static const double settle_ns = 10e6; /* after the last answer: for one too many */

volatile int loadgen_trial_stop;

static uint64_t now_ns(struct loadgen *loadgen)
{
    uint64_t ns = (uint64_t)((double)(rte_rdtsc() - loadgen->tsc_base) * loadgen->ns_per_tick);

    loadgen->check.time_s = loadgen->base_s + ns / 1000000000;
    return ns;
}

static void begin(struct loadgen *loadgen, uint64_t now)
{
    struct loadgen_event event;
    struct loadgen_port *port;
    uint8_t *room;

    loadgen_schedule_event(&loadgen->schedule, loadgen->check.n_begun, &event);
    loadgen_check_begin(&loadgen->check, &event, now);
    port = event.kind == LOADGEN_KIND_LAN ? &loadgen->lan : &loadgen->wan;
    room = loadgen_port_room(port);
    if (room != NULL)
        loadgen_port_push(port, loadgen_schedule_frame(&loadgen->schedule, &event, room));
}

static void say(struct loadgen *loadgen, const struct loadgen_heard *heard, enum loadgen_step step)
{
    struct loadgen_segment segments[2];
    unsigned n = loadgen_client_next(step, heard, segments);

    for (unsigned i = 0; i < n; i++) {
        uint8_t *room = loadgen_port_room(&loadgen->wan);

        if (room != NULL)
            loadgen_port_push(&loadgen->wan,
                              loadgen_frame_tcp(&loadgen->options.link, &heard->ends, true, &segments[i], room));
    }
}

static void keep(struct loadgen *loadgen, enum loadgen_wrong wrong, bool on_wan, const uint8_t *frame, size_t length)
{
    struct loadgen_exhibit *exhibit;

    if (loadgen->n_exhibits == loadgen->options.wrong_shown)
        return;
    exhibit = &loadgen->exhibits[loadgen->n_exhibits++];
    exhibit->wrong = wrong;
    exhibit->on_wan = on_wan;
    exhibit->length = (uint16_t)(length < sizeof(exhibit->frame) ? length : sizeof(exhibit->frame));
    memcpy(exhibit->frame, frame, exhibit->length);
    snprintf(exhibit->expected, sizeof(exhibit->expected), "%s", loadgen->check.expected);
}

/* @return how many frames came in. */
static unsigned receive(struct loadgen *loadgen, struct loadgen_port *port, uint64_t now)
{
    bool on_wan = port == &loadgen->wan;
    struct rte_mbuf *frames[LOADGEN_BURST];
    unsigned n = loadgen_port_receive(port, frames);

    for (unsigned i = 0; i < n; i++) {
        const uint8_t *frame = rte_pktmbuf_mtod(frames[i], const uint8_t *);
        size_t length = frames[i]->data_len;
        enum loadgen_wrong wrong = LOADGEN_RIGHT;
        enum loadgen_step step = LOADGEN_STEP_LAST;
        struct loadgen_heard heard;
        enum loadgen_found found = on_wan
                                       ? loadgen_check_wan(&loadgen->check, frame, length, now, &heard, &step, &wrong)
                                       : loadgen_check_lan(&loadgen->check, frame, length, now, &wrong);

        if (found == LOADGEN_FOUND_STEP)
            say(loadgen, &heard, step);
        else if (found == LOADGEN_FOUND_WRONG)
            keep(loadgen, wrong, on_wan, frame, length);
    }
    rte_pktmbuf_free_bulk(frames, n);
    return n;
}

/* Everything that has come in, within reason. @return the time. */
static uint64_t poll(struct loadgen *loadgen)
{
    uint64_t now = now_ns(loadgen);
    unsigned n;

    for (unsigned turn = 0; turn < RECEIVE_AT_ONCE; turn++) {
        n = receive(loadgen, &loadgen->wan, now);
        if (loadgen->lan.pool != NULL)
            n += receive(loadgen, &loadgen->lan, now);
        loadgen_port_flush(&loadgen->wan);
        now = now_ns(loadgen);
        if (n < LOADGEN_BURST)
            break;
    }
    return now;
}

static uint64_t sum(const uint64_t counts[LOADGEN_N_KINDS])
{
    uint64_t all = 0;

    for (unsigned kind = 0; kind < LOADGEN_N_KINDS; kind++)
        all += counts[kind];
    return all;
}

static void show_live(struct loadgen *loadgen, const struct loadgen_result *result, uint64_t now, uint64_t *next)
{
    const struct loadgen_tally *tally = &loadgen->check.tally;

    if (!loadgen->live || now < *next)
        return;
    *next = now + (uint64_t)LIVE_MS * 1000000;
    fprintf(stderr, "\r\033[K%.1f s, %.0f a second: %lu begun, %lu to the end, %lu wrong, %lu refused by the port",
            ((double)now - loadgen->check.start_ns) / 1e9, result->rate, loadgen->check.n_begun - loadgen->check.first,
            sum(tally->completed), tally->n_wrong, loadgen->wan.n_refused + loadgen->lan.n_refused);
    fflush(stderr);
}

/* Begins all that was planned, each when it is due. */
static uint64_t run(struct loadgen *loadgen, struct loadgen_result *result, uint64_t *next)
{
    struct loadgen_check *check = &loadgen->check;
    uint64_t now = now_ns(loadgen);
    double limit = check->start_ns + 1.5 * (double)result->n_planned * check->interval_ns + 1e9;
    uint64_t n_begun = 0;

    while (n_begun < result->n_planned && loadgen_trial_stop == 0 && (double)now < limit) {
        double late = (double)now - check->start_ns - (double)n_begun * check->interval_ns;

        if (late > result->behind_max_ns)
            result->behind_max_ns = late;
        for (unsigned i = 0; i < BEGIN_AT_ONCE && late >= 0 && n_begun < result->n_planned; i++) {
            begin(loadgen, now);
            n_begun++;
            late -= check->interval_ns;
        }
        loadgen_port_flush(&loadgen->wan);
        if (loadgen->lan.pool != NULL)
            loadgen_port_flush(&loadgen->lan);
        now = poll(loadgen);
        show_live(loadgen, result, now, next);
    }
    result->n_begun = n_begun;
    return now;
}

/* Waits for the last answers: for so long, or until all are there. */
static void drain(struct loadgen *loadgen, struct loadgen_result *result, uint64_t now, uint64_t *next)
{
    double end = (double)now + loadgen->options.drain_s * 1e9;
    bool all = false;

    while ((double)now < end && loadgen_trial_stop < 2) {
        now = poll(loadgen);
        if (!all && sum(loadgen->check.tally.completed) >= sum(loadgen->check.tally.expected)) {
            all = true;
            end = (double)now + settle_ns;
        }
        show_live(loadgen, result, now, next);
    }
}

static uint64_t frames_sent(const struct loadgen *loadgen)
{
    return loadgen->wan.n_sent + loadgen->lan.n_sent;
}

static uint64_t frames_received(const struct loadgen *loadgen)
{
    return loadgen->wan.n_received + loadgen->lan.n_received;
}

/* Frames that no buffer or no room was there for. */
static uint64_t frames_refused(const struct loadgen *loadgen)
{
    return loadgen->wan.n_refused + loadgen->lan.n_refused + loadgen->wan.n_no_buffer + loadgen->lan.n_no_buffer;
}

/* Without the other port nobody sees what passes: nothing of it can be waited for. */
static void expect_seen_only(struct loadgen *loadgen)
{
    struct loadgen_tally *tally = &loadgen->check.tally;

    if (loadgen->lan.pool != NULL)
        return;
    for (unsigned kind = 0; kind < LOADGEN_N_KINDS; kind++)
        if (kind != LOADGEN_KIND_DIALOGUE && kind != LOADGEN_KIND_SYN)
            tally->expected[kind] = 0;
}

void loadgen_trial_run(struct loadgen *loadgen, double rate, uint64_t count, struct loadgen_result *result)
{
    struct loadgen_check *check = &loadgen->check;
    uint64_t sent = frames_sent(loadgen), received = frames_received(loadgen), refused = frames_refused(loadgen);
    uint64_t next = 0;
    uint64_t now;

    *result = (struct loadgen_result){.rate = rate};
    result->n_planned = count != 0 ? count : (uint64_t)(rate * loadgen->options.seconds + 0.5);
    loadgen_check_start(check, (double)now_ns(loadgen) + 1e6, 1e9 / rate);
    now = run(loadgen, result, &next);
    result->seconds = ((double)now - check->start_ns) / 1e9;
    expect_seen_only(loadgen);
    drain(loadgen, result, now, &next);
    if (loadgen->live)
        fputs("\r\033[K", stderr);
    result->n_expected = sum(check->tally.expected);
    result->n_completed = sum(check->tally.completed);
    result->n_sent = frames_sent(loadgen) - sent;
    result->n_received = frames_received(loadgen) - received;
    result->n_refused = frames_refused(loadgen) - refused;
    if (result->n_expected != 0)
        result->loss_percent = 100.0 * (double)(result->n_expected - result->n_completed) / (double)result->n_expected;
    result->behind = result->n_begun < result->n_planned ||
                     result->seconds > (double)result->n_planned / rate * behind_share + behind_s;
}
