/* perf/loadgen_schedule.c, loadgen_sources.c, pcap_file.c: the same seed sends the same, and who is listed is. */
#include <string.h>

#include "loadgen_fixture.h"
#include "dataplane/parse.h"
#include "perf/list.h"
#include "perf/loadgen_client.h"

enum { EVENTS = 20000 };

#define EVERYTHING "dialogue=4,syn=1,forged=1,allowed=3,other=3,lan=2,mutated=2"

static struct loadgen_fixture fixture;

/* Of all frames in the order that @p step goes through them. */
static uint64_t sum_up(uint64_t first, uint64_t n, bool backward)
{
    static const struct bl_siphash_key key = {1, 2};
    uint64_t sum = 0;

    for (uint64_t i = 0; i < n; i++) {
        uint64_t index = first + (backward ? n - 1 - i : i);
        uint8_t frame[LOADGEN_FRAME_MAX];
        struct loadgen_event event;
        size_t length;

        loadgen_schedule_event(&fixture.schedule, index, &event);
        length = loadgen_schedule_frame(&fixture.schedule, &event, frame);
        ck_assert_uint_ge(length, 60);
        ck_assert_uint_le(length, LOADGEN_FRAME_MAX);
        sum += bl_siphash(&key, frame, length) * (2 * index + 1);
    }
    return sum;
}

/* Also when it is asked again, and in another order; another seed sends something else. */
START_TEST(same_seed_same_frames)
{
    uint64_t first;

    loadgen_fixture_init(&fixture, "7", EVERYTHING);
    first = sum_up(0, EVENTS, false);
    ck_assert_uint_eq(sum_up(0, EVENTS, true), first);
    ck_assert_uint_ne(sum_up(1, EVENTS, false), first);
    loadgen_fixture_fini(&fixture);
    loadgen_fixture_init(&fixture, "7", EVERYTHING);
    ck_assert_uint_eq(sum_up(0, EVENTS, false), first);
    loadgen_fixture_fini(&fixture);
    loadgen_fixture_init(&fixture, "8", EVERYTHING);
    ck_assert_uint_ne(sum_up(0, EVENTS, false), first);
    loadgen_fixture_fini(&fixture);
}
END_TEST

static bool is_in(const struct loadgen_ends *ends, const char *text)
{
    struct bl_address address = {.family = ends->family};
    struct bl_prefix prefix, host;

    memcpy(address.bytes, ends->client, sizeof(address.bytes));
    host = bl_address_host_prefix(&address);
    ck_assert_int_eq(bl_address_parse_prefix(text, 64, &prefix, NULL), BL_OK);
    return bl_address_prefix_covers(&prefix, &host);
}

static bool is_in_list(const struct loadgen_ends *ends, unsigned list)
{
    if (list == 0)
        return is_in(ends, "45.0.0.0/16") || is_in(ends, "46.1.2.3") || is_in(ends, "2a00:45::/32");
    return is_in(ends, "47.9.0.0/24") || is_in(ends, "2a00:47:1:2::/64");
}

/* Each kind as often as was asked for, of the sources that it should be of; the product's parser reads what is whole. */
START_TEST(kinds_and_sources)
{
    static const unsigned weights[LOADGEN_N_KINDS] = {4, 1, 1, 3, 3, 2, 2, 0};
    unsigned n[LOADGEN_N_KINDS] = {0};
    unsigned n_ipv6 = 0, n_listed = 0;

    loadgen_fixture_init(&fixture, "1", EVERYTHING);
    ck_assert_uint_eq(fixture.schedule.sources.n_reserved, 1);
    ck_assert_uint_eq(fixture.schedule.sources.listed[LOADGEN_IPV4].n, 3); /* one was in another */
    for (uint64_t index = 0; index < EVENTS; index++) {
        uint8_t frame[LOADGEN_FRAME_MAX];
        struct loadgen_event event;
        struct bl_packet packet;
        uint64_t found;
        size_t length;

        loadgen_schedule_event(&fixture.schedule, index, &event);
        n[event.kind]++;
        n_ipv6 += event.ends.family == BL_FAMILY_IPV6;
        n_listed += event.listed;
        ck_assert_int_eq(event.listed, is_in_list(&event.ends, 0) || is_in_list(&event.ends, 1));
        if (event.listed)
            ck_assert(is_in_list(&event.ends, event.list));
        length = loadgen_schedule_frame(&fixture.schedule, &event, frame);
        if (event.kind == LOADGEN_KIND_DIALOGUE || event.kind == LOADGEN_KIND_SYN) {
            ck_assert(!loadgen_schedule_find(&fixture.schedule, frame, length, &found));
        } else {
            ck_assert(loadgen_schedule_find(&fixture.schedule, frame, length, &found));
            ck_assert_uint_eq(found, index);
        }
        if (event.kind == LOADGEN_KIND_MUTATED)
            continue;
        bl_parse_frame(frame, length, &packet);
        ck_assert_uint_eq(packet.family, event.ends.family);
        ck_assert_uint_ge(packet.status, BL_PARSE_OTHER);
        if (packet.status == BL_PARSE_TCP)
            ck_assert(bl_parse_verify_checksums(frame, &packet));
        if (event.kind == LOADGEN_KIND_OTHER && packet.status == BL_PARSE_TCP)
            ck_assert_uint_ne(packet.destination_port, 25);
        if (event.kind == LOADGEN_KIND_ALLOWED)
            ck_assert_uint_eq(packet.destination_port, 25);
    }
    for (unsigned kind = 0; kind < LOADGEN_N_KINDS; kind++) {
        double share = (double)n[kind] / EVENTS - weights[kind] / 16.0;

        ck_assert_double_lt(share < 0 ? -share : share, 0.02);
    }
    ck_assert_uint_gt(n_ipv6, EVENTS * 4 / 10);
    ck_assert_uint_lt(n_ipv6, EVENTS * 6 / 10);
    ck_assert_uint_gt(n_listed, EVENTS * 3 / 10);
    loadgen_fixture_fini(&fixture);
}
END_TEST

/* Any of the latest 2^24 dialogues is found again by its ends and an acknowledgement; no other number finds it. */
START_TEST(numbers_name_their_dialogue)
{
    const uint64_t bases[] = {0, 1, 255, LOADGEN_WINDOW - 2, LOADGEN_WINDOW * 300 + 77};
    uint64_t random = 5;

    for (unsigned i = 0; i < sizeof(bases) / sizeof(bases[0]); i++) {
        for (unsigned n = 0; n < 2000; n++) {
            uint64_t hash = list_random(&random), index = bases[i] + list_below(&random, LOADGEN_WINDOW), found;
            uint64_t n_begun = index + 1 + list_below(&random, LOADGEN_WINDOW);
            uint32_t offset = list_below(&random, 256), got;

            ck_assert(loadgen_client_find(hash, loadgen_client_isn(hash, index) + offset, n_begun, &found, &got));
            ck_assert_uint_eq(found, index);
            ck_assert_uint_eq(got, offset);
            if (loadgen_client_find(hash + 1, loadgen_client_isn(hash, index) + offset, n_begun, &found, &got))
                ck_assert_uint_ne(found, index);
        }
    }
}
END_TEST

START_TEST(captures_are_read_as_written)
{
    const char *path = fixture.paths[0];
    struct bl_error_detail detail = {""};
    struct pcap_file file;
    uint8_t frame[3] = {1, 2, 3};
    FILE *out;

    snprintf(fixture.paths[0], sizeof(fixture.paths[0]), "/tmp/test_loadgen.%d.pcap", (int)getpid());
    out = pcap_file_create(path);
    ck_assert_ptr_nonnull(out);
    for (size_t length = 1; length <= 3; length++)
        ck_assert(pcap_file_write(out, length * 1500000000, frame, length));
    fclose(out);
    ck_assert_int_eq(pcap_file_read(&file, path, 3, &detail), BL_OK);
    ck_assert_uint_eq(file.n, 3);
    ck_assert_uint_eq(file.offsets[3], 6);
    ck_assert_int_eq(memcmp(file.bytes, "\1\1\2\1\2\3", 6), 0);
    pcap_file_fini(&file);
    ck_assert_int_eq(pcap_file_read(&file, path, 2, &detail), BL_EINVAL);
    ck_assert_ptr_nonnull(strstr(detail.text, "frame 3: 3 bytes: expected"));
    ck_assert_int_eq(truncate(path, 24 + 16), 0);
    ck_assert_int_eq(pcap_file_read(&file, path, 3, &detail), BL_EINVAL);
    ck_assert_int_eq(truncate(path, 23), 0);
    ck_assert_int_eq(pcap_file_read(&file, path, 3, &detail), BL_EINVAL);
    (void)unlink(path);
    ck_assert_int_eq(pcap_file_read(&file, path, 3, &detail), BL_EIO);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("loadgen_schedule");
    TCase *all = tcase_create("all");
    SRunner *runner;
    int n_failed;

    tcase_add_test(all, same_seed_same_frames);
    tcase_add_test(all, kinds_and_sources);
    tcase_add_test(all, numbers_name_their_dialogue);
    tcase_add_test(all, captures_are_read_as_written);
    suite_add_tcase(suite, all);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
