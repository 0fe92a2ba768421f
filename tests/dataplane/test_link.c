/* link.c: which port is held down for the other one. By hand, and with random cables against what must come of them. */
#include <check.h>
#include <stdlib.h>

#include "dataplane/link.h"

enum { WAN, LAN, NONE = BL_LINK_NONE };

static struct bl_link link_state;
static uint64_t now_ms;

/* Both ports have had their links for long. */
static void set_up(void)
{
    static const bool both[] = {true, true};

    now_ms = 1000000;
    bl_link_init(&link_state, now_ms);
    ck_assert_int_eq(bl_link_step(&link_state, both, now_ms), NONE);
    now_ms += 60000;
}

static int step(bool wan, bool lan, uint64_t after_ms)
{
    const bool has_link[] = {wan, lan};

    now_ms += after_ms;
    return bl_link_step(&link_state, has_link, now_ms);
}

START_TEST(a_loss_and_a_first_return_are_passed_on_at_once)
{
    ck_assert_int_eq(step(true, true, 50), NONE);
    ck_assert_int_eq(step(false, true, 50), LAN);
    ck_assert_int_eq(step(false, false, 50), LAN);
    ck_assert_int_eq(step(false, false, 3600000), LAN);
    ck_assert_int_eq(step(true, false, 50), NONE);
    ck_assert_int_eq(step(true, false, 50), NONE); /* its link may take a moment */
    ck_assert_int_eq(step(true, true, 2000), NONE);
    ck_assert_int_eq(step(true, false, 60000), WAN);
    ck_assert_int_eq(step(false, true, 50), NONE);
    ck_assert_int_eq(step(true, true, 50), NONE);
}
END_TEST

START_TEST(what_we_took_down_does_not_propagate_back)
{
    ck_assert_int_eq(step(false, true, 50), LAN);
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(step(false, i % 3 == 0, 50), LAN); /* whatever a driver says of a port that is down */
    ck_assert_int_eq(step(true, false, 50), NONE);
    ck_assert_int_eq(link_state.ports[WAN].state, BL_LINK_UP);
}
END_TEST

START_TEST(both_cables_pulled)
{
    ck_assert_int_eq(step(false, false, 50), NONE); /* at once: both wait for their cables, none for the other */
    ck_assert_int_eq(step(false, true, 50), LAN);
    ck_assert_int_eq(step(true, false, 50), NONE);
    ck_assert_int_eq(step(true, true, 50), NONE);

    now_ms += 60000;
    ck_assert_int_eq(step(false, true, 50), LAN); /* one behind the other, back in the order they went */
    ck_assert_int_eq(step(true, false, 500), NONE);
    ck_assert_int_eq(step(true, false, BL_LINK_RISE_MS - 1), NONE);
    ck_assert_int_eq(step(true, false, 1), WAN); /* lan's cable was pulled meanwhile: it waits, and wan is held */
    ck_assert_int_eq(step(false, false, 60000), WAN);
    ck_assert_int_eq(step(false, true, 50), NONE);
    ck_assert_int_eq(step(true, true, 50), NONE);
    ck_assert_int_eq(link_state.ports[LAN].state, BL_LINK_UP);
}
END_TEST

/* The one whose cable came back is held for the other that is still without, and released when that is back too. */
START_TEST(a_return_is_not_passed_on_while_the_other_is_lost)
{
    ck_assert_int_eq(step(false, false, 50), NONE);
    ck_assert_int_eq(step(true, false, 50), WAN);
    ck_assert_int_eq(step(false, false, 5000), WAN);
    ck_assert_int_eq(step(false, true, 50), NONE);
    ck_assert_int_eq(link_state.ports[WAN].state, BL_LINK_RISING);
}
END_TEST

START_TEST(a_start_gives_links_their_time)
{
    bl_link_init(&link_state, now_ms);
    ck_assert_int_eq(step(false, false, 0), NONE);
    ck_assert_int_eq(step(false, true, BL_LINK_RISE_MS - 1), NONE);
    ck_assert_int_eq(step(false, true, 1), LAN);
    bl_link_init(&link_state, now_ms);
    ck_assert_int_eq(step(false, false, BL_LINK_RISE_MS), NONE);
    ck_assert_int_eq(step(false, true, 50), LAN);
}
END_TEST

START_TEST(flaps_are_damped_and_forgotten)
{
    static const uint64_t waits_ms[] = {0, 500, 1000, 2000, 4000, 4000, 4000};

    for (size_t i = 0; i < sizeof(waits_ms) / sizeof(waits_ms[0]); i++) {
        ck_assert_int_eq(step(false, true, 100), LAN); /* each loss at once */
        ck_assert_int_eq(step(true, false, 50), waits_ms[i] == 0 ? NONE : LAN);
        if (waits_ms[i] != 0) {
            ck_assert_int_eq(step(true, false, waits_ms[i] - 1), LAN);
            ck_assert_int_eq(step(true, false, 1), NONE);
        }
        ck_assert_int_eq(step(true, true, 50), NONE);
    }
    ck_assert_int_eq(step(false, true, BL_LINK_QUIET_MS), LAN);
    ck_assert_int_eq(step(true, false, 50), NONE);
}
END_TEST

START_TEST(a_link_that_goes_while_it_settles_starts_anew)
{
    ck_assert_int_eq(step(false, true, 50), LAN);
    ck_assert_int_eq(step(true, false, 50), NONE);
    ck_assert_int_eq(step(false, true, 100), LAN);
    ck_assert_int_eq(step(true, false, 50), LAN);
    ck_assert_int_eq(step(false, false, 400), LAN);
    ck_assert_int_eq(step(true, false, 50), LAN);
    ck_assert_int_eq(step(true, false, 999), LAN); /* twice as long */
    ck_assert_int_eq(step(true, false, 1), NONE);
}
END_TEST

/* A world for the random run: a port shows its link when its cable is in, it is not held, and both have been so for as
 * long as its negotiation takes. */
struct world {
    bool cable[2];
    uint64_t since_ms[2];
    uint64_t negotiation_ms;
    int held;
    unsigned n_changes;
};

static uint32_t draw(uint32_t *random, uint32_t below)
{
    *random = *random * 1664525 + 1013904223;
    return (uint32_t)(((uint64_t)*random * below) >> 32);
}

static void plug(struct world *world, int port, bool in)
{
    if (in && !world->cable[port])
        world->since_ms[port] = now_ms;
    world->cable[port] = in;
}

static void look_at(struct world *world)
{
    bool has_link[2];
    int held;

    for (int i = 0; i < 2; i++)
        has_link[i] = world->cable[i] && world->held != i && now_ms - world->since_ms[i] >= world->negotiation_ms;
    held = step(has_link[WAN], has_link[LAN], 50);
    if (held == world->held)
        return;
    world->n_changes++;
    if (world->held != NONE)
        world->since_ms[world->held] = now_ms;
    world->held = held;
}

static void live(struct world *world, uint64_t ms)
{
    for (uint64_t end = now_ms + ms; now_ms < end;)
        look_at(world);
}

/* Links that need longer than a port is given to rise: without more time at each attempt one port would be given up while
 * the other one rises, for ever. */
START_TEST(slow_negotiations_do_not_take_turns_for_ever)
{
    struct world world = {.cable = {true, true}, .negotiation_ms = 12000, .held = NONE};

    live(&world, 60000);
    plug(&world, WAN, false);
    live(&world, 1000);
    ck_assert_int_eq(world.held, LAN);
    plug(&world, WAN, true);
    live(&world, 100000);
    ck_assert_int_eq(world.held, NONE);
    ck_assert_int_eq(link_state.ports[WAN].state, BL_LINK_UP);
    ck_assert_int_eq(link_state.ports[LAN].state, BL_LINK_UP);
}
END_TEST

/* Where things come to rest says all: no port is down but for the other one's missing cable. */
static void assert_at_rest(const struct world *world, unsigned run)
{
    if (world->cable[WAN] && world->cable[LAN])
        ck_assert_msg(world->held == NONE, "run %u: both cables are in, and %d is held", run, world->held);
    else if (world->cable[WAN] != world->cable[LAN])
        ck_assert_msg(world->held == (world->cable[WAN] ? WAN : LAN), "run %u: wan's cable %d, lan's %d, held %d", run,
                      world->cable[WAN], world->cable[LAN], world->held);
}

START_TEST(random_cables_come_to_rest)
{
    uint32_t random = 7;

    for (unsigned run = 0; run < 2000; run++) {
        struct world world = {.cable = {true, true}, .since_ms = {now_ms, now_ms}, .held = NONE};
        unsigned n_events = 1 + draw(&random, 12);
        unsigned n_before;

        world.negotiation_ms = draw(&random, 2) == 0 ? 0 : draw(&random, 4000);
        bl_link_init(&link_state, now_ms);
        live(&world, draw(&random, 10000));
        for (unsigned i = 0; i < n_events; i++) {
            plug(&world, (int)draw(&random, 2), draw(&random, 2) == 0);
            live(&world, draw(&random, 2) == 0 ? draw(&random, 300) : draw(&random, 20000));
        }
        live(&world, 90000);
        assert_at_rest(&world, run);
        n_before = world.n_changes;
        live(&world, 60000);
        ck_assert_msg(world.n_changes == n_before, "run %u: it does not come to rest", run);
        plug(&world, WAN, true);
        plug(&world, LAN, true);
        live(&world, 90000);
        assert_at_rest(&world, run);
    }
}
END_TEST

/* A cable that flaps as fast as we look: the other port is taken down and up some ten times a minute, not 600 times. */
START_TEST(a_flapping_cable_costs_little)
{
    struct world world = {.cable = {true, true}, .held = NONE};

    for (int i = 0; i < 600; i++) {
        plug(&world, WAN, i % 2 == 0);
        live(&world, 100);
    }
    ck_assert_uint_le(world.n_changes, 20);
    plug(&world, WAN, true);
    live(&world, 2 * BL_LINK_SETTLE_MAX_MS);
    assert_at_rest(&world, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("link");
    TCase *tests = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int n_failed;

    tcase_add_checked_fixture(tests, set_up, NULL);
    tcase_add_test(tests, a_loss_and_a_first_return_are_passed_on_at_once);
    tcase_add_test(tests, what_we_took_down_does_not_propagate_back);
    tcase_add_test(tests, both_cables_pulled);
    tcase_add_test(tests, a_return_is_not_passed_on_while_the_other_is_lost);
    tcase_add_test(tests, a_start_gives_links_their_time);
    tcase_add_test(tests, flaps_are_damped_and_forgotten);
    tcase_add_test(tests, a_link_that_goes_while_it_settles_starts_anew);
    tcase_add_test(tests, slow_negotiations_do_not_take_turns_for_ever);
    tcase_add_test(tests, random_cables_come_to_rest);
    tcase_add_test(tests, a_flapping_cable_costs_little);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
