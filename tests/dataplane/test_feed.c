/* The feed's account of its samples: what the socket has taken is sent, whatever becomes of the connection afterwards;
 * what was cut off on its way is counted. */
#include <check.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "controlplane/codec_sync.h"
#include "dataplane/feed.h"
#include "dataplane/plane_fixture.h"
#include "proto/wire.h"

static char folder[] = "/tmp/bounceline-feed-XXXXXX";
static char path[sizeof(folder) + 8];
static struct bl_master *master;
static struct bl_feed *feed;
static int listener;
static int peer;
static uint64_t now_ms;
static size_t n_waiting; /* samples in the workers' rings */
static uint64_t n_told;  /* as the last report says: sent, and cut off */
static uint64_t n_unsent;

static void fill_report(void *context, struct bl_sync_report *report)
{
    (void)context;
    report->n_counters = 0;
    while (report->n_counters < BL_REASON_COUNT) {
        report->counters[report->n_counters] =
            (struct bl_sync_counter){bl_verdict_reason_name(report->n_counters), UINT64_MAX};
        report->n_counters++;
    }
}

static size_t take_samples(void *context, struct bl_sync_sample *out, size_t max)
{
    size_t n = n_waiting < max ? n_waiting : max;

    (void)context;
    for (size_t i = 0; i < n; i++)
        out[i] = (struct bl_sync_sample){0, {.weight = 1, .family = BL_FAMILY_IPV4, .class_id = 1}};
    n_waiting -= n;
    return n;
}

static void start(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct bl_feed_options options = {.socket = path,
                                      .name = "test",
                                      .n_workers = PLANE_WORKERS,
                                      .fill_report = fill_report,
                                      .take_samples = take_samples};

    plane_start();
    ck_assert_ptr_nonnull(mkdtemp(folder));
    (void)snprintf(path, sizeof(path), "%s/socket", folder);
    memcpy(address.sun_path, path, strlen(path));
    listener = socket(AF_UNIX, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(listener, (const struct sockaddr *)&address, sizeof(address)), 0);
    ck_assert_int_eq(listen(listener, 1), 0);
    ck_assert_int_eq(bl_master_create(&master, plane_distribute, NULL, NULL), BL_OK);
    options.master = master;
    options.distribute = plane_distribute;
    ck_assert_int_eq(bl_feed_create(&feed, &options, NULL), BL_OK);
    peer = -1;
    now_ms = 1000000;
}

static void end(void)
{
    bl_feed_free(feed);
    bl_master_free(master);
    (void)close(peer);
    (void)close(listener);
    (void)unlink(path);
    (void)rmdir(folder);
    plane_end();
}

/* A turn a second: each has a report. @return true when the socket has not taken all of it. */
static bool turn(void)
{
    short events;

    now_ms += 1000;
    bl_feed_poll(feed, now_ms);
    (void)bl_feed_descriptor(feed, &events);
    return (events & POLLOUT) != 0;
}

/* Connects, with a socket that takes little at once, and says hello. */
static void connect_feed(void)
{
    const struct bl_sync_hello hello = {.name = "control", .epoch = 1, .n_workers = 1};
    struct bl_sync_frame frame;
    int little = 1;
    short events;

    (void)turn();
    ck_assert_int_eq(setsockopt(bl_feed_descriptor(feed, &events), SOL_SOCKET, SO_SNDBUF, &little, sizeof(little)), 0);
    peer = accept(listener, NULL, NULL);
    ck_assert_int_ge(peer, 0);
    ck_assert_int_eq(bl_sync_codec_encode_hello(&hello, &frame), BL_OK);
    ck_assert_int_eq(send(peer, frame.data, frame.length, 0), (ssize_t)frame.length);
    free(frame.data);
}

static void take_report(const uint8_t *body, size_t length)
{
    static struct bl_codec_sync_message message;

    ck_assert_int_eq(bl_codec_sync_decode(body, length, &message, NULL), BL_OK);
    if (message.kind != BL_CODEC_SYNC_REPORT)
        return;
    for (size_t i = 0; i < message.report.n_counters; i++) {
        const struct bl_codec_sync_counter *counter = &message.report.counters[i];

        if (strcmp(counter->name, "reject_samples") == 0)
            n_told = counter->value;
        if (strcmp(counter->name, "reject_samples_unsent") == 0)
            n_unsent = counter->value;
    }
}

/* Reads all that is sent, until there is no more. */
static void read_all(void)
{
    static uint8_t in[1 << 20];
    size_t n = 0;
    size_t at = 0;
    bool more = true;

    while (more) {
        ssize_t got;

        more = turn();
        while ((got = recv(peer, in + n, sizeof(in) - n, MSG_DONTWAIT)) > 0)
            n += (size_t)got;
    }
    while (at < n) {
        size_t length;

        ck_assert_int_eq(bl_wire_frame_parse(in + at, &length), BL_OK);
        at += BL_WIRE_FRAME_HEADER_BYTES;
        ck_assert_uint_le(length, n - at);
        take_report(in + at, length);
        at += length;
    }
}

static void end_connection(void)
{
    short events;

    (void)close(peer);
    peer = -1;
    bl_feed_poll(feed, now_ms);
    ck_assert_int_eq(bl_feed_descriptor(feed, &events), -1);
}

START_TEST(what_is_cut_off_is_counted)
{
    connect_feed();
    n_waiting = BL_SYNC_SAMPLES_MAX;
    ck_assert(turn());
    end_connection();
    connect_feed();
    read_all();
    ck_assert_uint_eq(n_told, BL_SYNC_SAMPLES_MAX);
    ck_assert_uint_eq(n_unsent, BL_SYNC_SAMPLES_MAX);
}
END_TEST

/* The samples go at once, or after a while; then the reader stops, and a report is cut off. */
START_TEST(what_was_taken_is_not)
{
    static const size_t n_samples[] = {2, BL_SYNC_SAMPLES_MAX};
    int n_turns = 0;

    connect_feed();
    read_all();
    n_waiting = n_samples[_i];
    ck_assert_int_eq(turn(), _i == 1);
    read_all();
    while (!turn())
        ck_assert_int_lt(++n_turns, 100);
    end_connection();
    connect_feed();
    read_all();
    ck_assert_uint_eq(n_told, n_samples[_i]);
    ck_assert_uint_eq(n_unsent, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("feed");
    TCase *tests = tcase_create("all");
    SRunner *runner;
    int n_failed;

    tcase_add_checked_fixture(tests, start, end);
    tcase_add_test(tests, what_is_cut_off_is_counted);
    tcase_add_loop_test(tests, what_was_taken_is_not, 0, 2);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
