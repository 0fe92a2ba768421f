/* Frames come out whole and in order whatever the socket's pieces are; a length above the limit is refused before there
 * is memory for it; a reader that never reads is noticed. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "dataplane/channel.h"
#include "proto/wire.h"

static char folder[] = "/tmp/bounceline-channel-XXXXXX";
static char path[sizeof(folder) + 8];
static struct bl_channel channel;
static int listener;
static int peer;

static void start(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/socket", folder);
    memcpy(address.sun_path, path, strlen(path));
    listener = socket(AF_UNIX, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(listener, (const struct sockaddr *)&address, sizeof(address)), 0);
    ck_assert_int_eq(listen(listener, 1), 0);
    bl_channel_init(&channel);
    ck_assert_int_eq(bl_channel_connect(&channel, path, NULL), BL_OK);
    peer = accept(listener, NULL, NULL);
    ck_assert_int_ge(peer, 0);
}

static void end(void)
{
    bl_channel_fini(&channel);
    close(peer);
    close(listener);
    unlink(path);
    rmdir(folder);
}

/* Frame number i of a known series: its length and bytes follow from i. */
static size_t make_frame(unsigned i, uint8_t *out)
{
    size_t length = i * 37 % 3000;

    bl_wire_frame_write(out, length);
    memset(out + BL_WIRE_FRAME_HEADER_BYTES, (int)(i & 0xff), length);
    return BL_WIRE_FRAME_HEADER_BYTES + length;
}

static void assert_frame(unsigned i, const uint8_t *body, size_t length)
{
    ck_assert_uint_eq(length, i * 37 % 3000);
    for (size_t at = 0; at < length; at++)
        ck_assert_uint_eq(body[at], i & 0xff);
}

START_TEST(frames_come_out_whole_from_any_pieces)
{
    enum { N_FRAMES = 200 };
    static uint8_t stream[N_FRAMES * 3004];
    size_t bytes = 0, sent = 0, length;
    unsigned n = 0, piece = 1;
    const uint8_t *body;
    int error;

    for (unsigned i = 0; i < N_FRAMES; i++)
        bytes += make_frame(i, stream + bytes);
    while (n < N_FRAMES) {
        if (sent < bytes) {
            size_t now = piece < bytes - sent ? piece : bytes - sent;

            ck_assert_int_eq(send(peer, stream + sent, now, 0), (ssize_t)now);
            sent += now;
            piece = piece * 7 % 4001;
        }
        while ((error = bl_channel_receive(&channel, &body, &length)) == BL_OK)
            assert_frame(n++, body, length);
        ck_assert_int_eq(error, BL_EAGAIN);
    }
    ck_assert(!bl_channel_in_frame(&channel));
}
END_TEST

START_TEST(the_largest_frame_passes_and_a_larger_one_does_not)
{
    static uint8_t chunk[65536];
    uint8_t header[BL_WIRE_FRAME_HEADER_BYTES];
    const uint8_t *body;
    size_t length, left = BL_WIRE_FRAME_BYTES_MAX;
    int error = BL_EAGAIN;

    bl_wire_frame_write(header, left);
    ck_assert_int_eq(send(peer, header, sizeof(header), 0), sizeof(header));
    while (left > 0) {
        ck_assert_int_eq(error, BL_EAGAIN);
        ck_assert_int_eq(send(peer, chunk, sizeof(chunk), 0), sizeof(chunk));
        left -= sizeof(chunk);
        error = bl_channel_receive(&channel, &body, &length);
        ck_assert(error == BL_OK || bl_channel_in_frame(&channel));
    }
    ck_assert_int_eq(error, BL_OK);
    ck_assert_uint_eq(length, BL_WIRE_FRAME_BYTES_MAX);
    header[3]++;
    ck_assert_int_eq(send(peer, header, sizeof(header), 0), sizeof(header));
    ck_assert_int_eq(bl_channel_receive(&channel, &body, &length), BL_ETOOBIG);
}
END_TEST

START_TEST(the_end_is_told_after_the_last_frame)
{
    uint8_t frame[3004];
    const uint8_t *body;
    size_t length = make_frame(5, frame);

    ck_assert_int_eq(send(peer, frame, length, 0), (ssize_t)length);
    shutdown(peer, SHUT_RDWR);
    ck_assert_int_eq(bl_channel_receive(&channel, &body, &length), BL_OK);
    assert_frame(5, body, length);
    ck_assert_int_eq(bl_channel_receive(&channel, &body, &length), BL_ECLOSED);
    bl_channel_close(&channel);
    ck_assert_int_eq(bl_channel_receive(&channel, &body, &length), BL_ECLOSED);
    ck_assert_int_eq(bl_channel_send(&channel, frame, 1), BL_ECLOSED);
}
END_TEST

START_TEST(who_never_reads_is_noticed_and_who_reads_late_loses_nothing)
{
    static uint8_t data[1000];
    static uint8_t got[1 << 20];
    size_t n_sent = 0, n_got = 0;
    int error;

    while ((error = bl_channel_send(&channel, data, sizeof(data))) == BL_OK) {
        memset(data, (int)(++n_sent & 0xff), sizeof(data));
        ck_assert_uint_lt(n_sent, 100000);
    }
    ck_assert_int_eq(error, BL_EFULL);
    while (n_got < n_sent * sizeof(data)) {
        ssize_t now = recv(peer, got, sizeof(got), MSG_DONTWAIT);

        for (ssize_t i = 0; i < now; i++)
            ck_assert_uint_eq(got[i], (n_got + (size_t)i) / sizeof(data) & 0xff);
        n_got += now > 0 ? (size_t)now : 0;
        ck_assert_int_eq(bl_channel_flush(&channel), BL_OK);
    }
    ck_assert_uint_eq(channel.out_bytes, 0);
}
END_TEST

START_TEST(nobody_there)
{
    struct bl_error_detail detail;
    char longer[200];

    close(listener);
    listener = -1;
    ck_assert_int_eq(bl_channel_connect(&channel, path, &detail), BL_ECLOSED);
    ck_assert_ptr_nonnull(strstr(detail.text, path));
    ck_assert_int_eq(channel.fd, -1);
    memset(longer, 'x', sizeof(longer));
    longer[sizeof(longer) - 1] = '\0';
    ck_assert_int_eq(bl_channel_connect(&channel, longer, &detail), BL_ERANGE);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("channel");
    TCase *tests = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int n_failed;

    tcase_add_checked_fixture(tests, start, end);
    tcase_add_test(tests, frames_come_out_whole_from_any_pieces);
    tcase_add_test(tests, the_largest_frame_passes_and_a_larger_one_does_not);
    tcase_add_test(tests, the_end_is_told_after_the_last_frame);
    tcase_add_test(tests, who_never_reads_is_noticed_and_who_reads_late_loses_nothing);
    tcase_add_test(tests, nobody_there);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_ENV);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
