/* perf/loadgen_check.c: the product's own answers are right to the last; none of them is with anything in it changed. */
#include <string.h>

#include "loadgen_fixture.h"
#include "dataplane/checksum.h"
#include "dataplane/reject.h"
#include "dataplane/segment.h"
#include "perf/list.h"
#include "perf/loadgen_check.h"

enum { DIALOGUES = 300, NOW_S = 1800000000, LISTS = 2 };

static const char url[] = "https://delist.example.net/?ip={address}&t={ticket}";

static struct loadgen_fixture fixture;
static struct loadgen_check check;
static struct bl_reject_rules rules = {
    .cookie_key = {0x0706050403020100, 0x0f0e0d0c0b0a0908},
    .ticket_key = {0x1716151413121110, 0x1f1e1d1c1b1a1918},
    .ipv6_unit = 64,
    .stage = BL_STAGE_RCPT,
    .hostname = "mx.example.org",
};
static struct bl_class classes[LISTS];

static void set_up(void)
{
    loadgen_fixture_init(&fixture, "1", "dialogue=1");
    fixture.options.url = url;
    fixture.options.has_cookie_key = true;
    fixture.options.cookie_key = rules.cookie_key;
    fixture.options.has_ticket_key = true;
    fixture.options.ticket_key = rules.ticket_key;
    for (unsigned i = 0; i < LISTS; i++) {
        classes[i] = (struct bl_class){.code = fixture.options.lists[i].code, .action = BL_ACTION_REJECT};
        memcpy(classes[i].url, url, sizeof(url));
    }
    ck_assert_int_eq(loadgen_check_init(&check, &fixture.options, &fixture.schedule), BL_OK);
    check.time_s = NOW_S;
    loadgen_check_start(&check, 0, 1000);
}

static void tear_down(void)
{
    loadgen_check_fini(&check);
    loadgen_fixture_fini(&fixture);
}

/* What the product says to a frame. @return the answer's length, 0 when there is none. */
static size_t answer(unsigned list, const uint8_t *frame, size_t length, uint8_t *out)
{
    struct bl_packet packet;
    struct bl_reject_proof proof;
    struct bl_reject_segment segment;
    struct bl_reply reply;

    bl_parse_frame(frame, length, &packet);
    ck_assert_uint_eq(packet.status, BL_PARSE_TCP);
    ck_assert(bl_parse_verify_checksums(frame, &packet));
    segment = (struct bl_reject_segment){&packet, frame + packet.payload_offset, &classes[list], &proof};
    bl_reject_prove(&rules, &packet, NOW_S, &proof);
    bl_reject_answer(&rules, &segment, NOW_S, &reply);
    return reply.flags == 0 ? 0 : bl_segment_build(frame, &packet, &reply, out);
}

/* Begins the next dialogue. @return the SYN-ACK's length. */
static size_t begin(struct loadgen_event *event, uint8_t *out)
{
    uint8_t frame[LOADGEN_FRAME_MAX];

    loadgen_schedule_event(&fixture.schedule, check.n_begun, event);
    loadgen_check_begin(&check, event, 0);
    return answer(event->list, frame, loadgen_schedule_frame(&fixture.schedule, event, frame), out);
}

/* Says what the client says to @p heard. @return the length of the answer to the last of it. */
static size_t go_on(const struct loadgen_event *event, enum loadgen_step step, const struct loadgen_heard *heard,
                    uint8_t *out)
{
    struct loadgen_segment segments[2];
    unsigned n = loadgen_client_next(step, heard, segments);
    size_t length = 0;

    for (unsigned i = 0; i < n; i++) {
        uint8_t frame[LOADGEN_FRAME_MAX];

        ck_assert_uint_eq(length, 0); /* of two, the first gets no answer */
        length = answer(event->list, frame,
                        loadgen_frame_tcp(&fixture.options.link, &heard->ends, true, &segments[i], frame), out);
    }
    return length;
}

static enum loadgen_found judge(const uint8_t *frame, size_t length, struct loadgen_heard *heard,
                                enum loadgen_step *step, enum loadgen_wrong *wrong)
{
    *wrong = LOADGEN_RIGHT;
    return loadgen_check_wan(&check, frame, length, 1000000, heard, step, wrong);
}

START_TEST(products_answers_are_right)
{
    unsigned n_ipv6 = 0;

    for (unsigned i = 0; i < DIALOGUES; i++) {
        uint8_t out[BL_SEGMENT_FRAME_MAX], kept[BL_SEGMENT_FRAME_MAX];
        struct loadgen_event event;
        size_t length = begin(&event, out);
        enum loadgen_step step;

        n_ipv6 += event.ends.family == BL_FAMILY_IPV6;
        for (unsigned expected = 0; expected < LOADGEN_N_STEPS; expected++) {
            struct loadgen_heard heard;
            enum loadgen_wrong wrong;
            enum loadgen_found found = judge(out, length, &heard, &step, &wrong);

            ck_assert_msg(found != LOADGEN_FOUND_WRONG, "step %u: %s, expected %s", expected,
                          loadgen_check_wrong_text(wrong), check.expected);
            ck_assert_uint_eq(step, expected);
            ck_assert_uint_eq(found, expected + 1 < LOADGEN_N_STEPS ? LOADGEN_FOUND_STEP : LOADGEN_FOUND_ANSWER);
            /* The appliance repeats itself where it hears nothing. */
            memcpy(kept, out, length);
            ck_assert_uint_ne(judge(kept, length, &heard, &step, &wrong), LOADGEN_FOUND_WRONG);
            length = go_on(&event, step, &heard, out);
        }
        ck_assert_uint_eq(length, 0);
    }
    ck_assert_uint_eq(check.tally.completed[LOADGEN_KIND_DIALOGUE], DIALOGUES);
    ck_assert_uint_eq(check.tally.n_wrong, 0);
    ck_assert_uint_eq(check.tally.n_repeated, DIALOGUES * LOADGEN_N_STEPS);
    ck_assert_uint_eq(check.tally.dialogue_ns.n, DIALOGUES);
    ck_assert_uint_gt(n_ipv6, DIALOGUES / 4);
    ck_assert_uint_lt(n_ipv6, DIALOGUES * 3 / 4);
}
END_TEST

/* Both checksums right again: what is left to be found is the change itself. */
static void repair(uint8_t *frame)
{
    bool ipv4 = frame[12] == 8;
    uint8_t *ip = frame + 14;
    size_t head = ipv4 ? (size_t)(ip[0] & 15) * 4 : 40;
    size_t whole = ((size_t)ip[ipv4 ? 2 : 4] << 8 | ip[ipv4 ? 3 : 5]) + (ipv4 ? 0 : 40);
    uint16_t checksum;
    uint64_t sum;

    if (head < 20 || whole < head + 20 || whole > BL_SEGMENT_FRAME_MAX - 14)
        return;
    if (ipv4) {
        memset(ip + 10, 0, 2);
        checksum = (uint16_t)~bl_checksum_fold(bl_checksum_add(0, ip, head));
        memcpy(ip + 10, &checksum, 2);
    }
    memset(ip + head + 16, 0, 2);
    sum = bl_checksum_add(0, ip + (ipv4 ? 12 : 8), ipv4 ? 8 : 32);
    sum = bl_checksum_add(bl_checksum_add_pseudo(sum, 6, (uint16_t)(whole - head)), ip + head, whole - head);
    checksum = (uint16_t)~bl_checksum_fold(sum);
    memcpy(ip + head + 16, &checksum, 2);
}

/* What a router may change, or nobody looks at: the traffic class, flow label, identification and hop limit; and the
 * checksums, which repair() puts right again. */
static bool is_free(const uint8_t *frame, size_t at, unsigned bit)
{
    if (frame[12] == 8)
        return at == 15 || (at >= 18 && at < 20) || at == 22 || at == 24 || at == 25 || at == 50 || at == 51;
    return (at == 14 && bit < 4) || at == 15 || at == 16 || at == 17 || at == 21 || at == 70 || at == 71;
}

/* Every bit of every answer, one after another, with right checksums and without. */
START_TEST(nothing_may_be_changed)
{
    uint8_t out[BL_SEGMENT_FRAME_MAX], changed[BL_SEGMENT_FRAME_MAX + 16];
    unsigned n_changed = 0, n_foreign = 0;

    for (unsigned i = 0; i < 4; i++) {
        struct loadgen_event event;
        struct loadgen_heard heard, ignored;
        enum loadgen_step step, none;
        enum loadgen_wrong wrong;
        size_t length = begin(&event, out);

        while (length != 0) {
            for (size_t bit = 0; bit < length * 16; bit++) {
                size_t at = bit / 16;
                bool repaired = (bit & 8) != 0;
                enum loadgen_found found;

                if (is_free(out, at, bit & 7))
                    continue;
                memcpy(changed, out, length);
                changed[at] ^= (uint8_t)(1U << (bit & 7));
                if (repaired)
                    repair(changed);
                found = judge(changed, length, &ignored, &none, &wrong);
                n_changed++;
                n_foreign += found == LOADGEN_FOUND_FOREIGN;
                /* What is no whole TCP over plain IP any more is counted as nobody's: the dialogue is not completed then. */
                ck_assert_msg(found == LOADGEN_FOUND_WRONG || (found == LOADGEN_FOUND_FOREIGN && at <= 66),
                              "IPv%u step %u byte %zu bit %zu: found %u", event.ends.family, step, at, bit & 7, found);
            }
            ck_assert_uint_ne(judge(out, length, &heard, &step, &wrong), LOADGEN_FOUND_WRONG);
            length = go_on(&event, step, &heard, out);
        }
    }
    ck_assert_uint_gt(n_changed, 4 * 7 * 60 * 12);
    ck_assert_uint_lt(n_foreign, n_changed / 10);
    ck_assert_uint_eq(check.tally.n_wrong, n_changed - n_foreign);
    ck_assert_uint_gt(check.tally.wrong[LOADGEN_WRONG_SEQUENCE], 0);
    ck_assert_uint_gt(check.tally.wrong[LOADGEN_WRONG_COOKIE], 0);
    ck_assert_uint_gt(check.tally.wrong[LOADGEN_WRONG_UNKNOWN] + check.tally.wrong[LOADGEN_WRONG_ACKNOWLEDGEMENT], 0);
    ck_assert_uint_gt(check.tally.wrong[LOADGEN_WRONG_CODE], 0);
    ck_assert_uint_gt(check.tally.wrong[LOADGEN_WRONG_TICKET], 0);
}
END_TEST

/* Another ticket of the right form, of another day, or for another source. */
START_TEST(tickets_are_verified)
{
    static const uint64_t days[] = {NOW_S, NOW_S + 86400, NOW_S - 86400, NOW_S + 2 * 86400};
    static const bool right[] = {true, true, false, false};
    struct loadgen_event event;
    uint8_t out[BL_SEGMENT_FRAME_MAX];
    size_t length = begin(&event, out);
    enum loadgen_step step = LOADGEN_STEP_SYN_ACK;
    struct loadgen_heard heard;
    struct loadgen_note note;
    enum loadgen_wrong wrong;

    for (; step != LOADGEN_STEP_MAIL; length = go_on(&event, step, &heard, out))
        ck_assert_uint_eq(judge(out, length, &heard, &step, &wrong), LOADGEN_FOUND_STEP);
    note = check.notes[event.index];
    for (unsigned i = 0; i < 4; i++) {
        enum loadgen_found found;

        check.time_s = days[i];
        check.notes[event.index] = note;
        found = judge(out, length, &heard, &step, &wrong);
        ck_assert_int_eq(found == LOADGEN_FOUND_STEP, right[i]);
        ck_assert_uint_eq(wrong, right[i] ? LOADGEN_RIGHT : LOADGEN_WRONG_TICKET);
    }
}
END_TEST

/* On the servers' side: what passes does so once and unchanged; nothing of a dialogue does. */
START_TEST(what_passes)
{
    unsigned n_lan = 0;

    for (unsigned kind = 0; kind < sizeof(fixture.schedule.kinds); kind++)
        fixture.schedule.kinds[kind] = (uint8_t)(kind % 7);
    for (unsigned i = 0; i < 2000; i++) {
        uint8_t frame[LOADGEN_FRAME_MAX];
        struct loadgen_event event;
        struct loadgen_heard heard;
        enum loadgen_step step;
        enum loadgen_wrong wrong;
        bool to_wan;
        size_t length;

        loadgen_schedule_event(&fixture.schedule, check.n_begun, &event);
        length = loadgen_schedule_frame(&fixture.schedule, &event, frame);
        loadgen_check_begin(&check, &event, 0);
        to_wan = event.kind == LOADGEN_KIND_LAN;
        n_lan += to_wan;
        if (event.kind == LOADGEN_KIND_DIALOGUE || event.kind == LOADGEN_KIND_SYN) {
            ck_assert_uint_eq(loadgen_check_lan(&check, frame, length, 9, &wrong), LOADGEN_FOUND_WRONG);
            ck_assert_uint_eq(wrong, LOADGEN_WRONG_SIDE);
            continue;
        }
        for (unsigned form = 0; form < 4; form++) {
            static const enum loadgen_wrong expected[] = {LOADGEN_WRONG_SIDE, LOADGEN_WRONG_CHANGED, LOADGEN_RIGHT,
                                                          LOADGEN_WRONG_TWICE};
            bool on_wan = form == 0 ? !to_wan : to_wan;
            size_t at = (size_t)i % (length - 24);

            wrong = LOADGEN_RIGHT;
            frame[at] ^= form == 1 ? 0x10 : 0;
            if (on_wan)
                (void)loadgen_check_wan(&check, frame, length, 9, &heard, &step, &wrong);
            else
                (void)loadgen_check_lan(&check, frame, length, 9, &wrong);
            frame[at] ^= form == 1 ? 0x10 : 0;
            ck_assert_uint_eq(wrong, expected[form]);
        }
    }
    ck_assert_uint_gt(n_lan, 200);
    ck_assert_uint_eq(check.tally.completed[LOADGEN_KIND_LAN], n_lan);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("loadgen_check");
    TCase *all = tcase_create("all");
    SRunner *runner;
    int n_failed;

    tcase_add_checked_fixture(all, set_up, tear_down);
    tcase_add_test(all, products_answers_are_right);
    tcase_add_test(all, nothing_may_be_changed);
    tcase_add_test(all, tickets_are_verified);
    tcase_add_test(all, what_passes);
    suite_add_tcase(suite, all);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
