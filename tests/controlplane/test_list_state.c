/* The list state, rule by rule: who wins, what changes, what undo restores, what is due. The model test does the rest. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/list_label.h"
#include "controlplane/list_state.h"
#include "controlplane/list_trie.h"

enum { EPOCH = 5 };

static const char *const order[] = {"zeta", "alpha"};
static struct bl_list_state *state;
static struct bl_list_changes changes;

static void setup(void)
{
    ck_assert_int_eq(bl_list_state_create(&state, EPOCH, order, 2), BL_OK);
}

static void teardown(void)
{
    bl_list_state_free(state);
}

static struct bl_prefix prefix_of(const char *text)
{
    struct bl_prefix prefix;

    ck_assert_int_eq(bl_address_parse_prefix(text, 64, &prefix, NULL), BL_OK);
    return prefix;
}

static int apply(enum bl_effect_kind kind, const char *text, struct bl_effect_attributes attributes)
{
    struct bl_prefix prefix = prefix_of(text);
    const struct bl_effect_group group = {kind, attributes, &prefix, 1};

    return bl_list_state_apply(state, &group, 1, "tester", NULL);
}

static struct bl_effect_attributes listing(const char *source, uint16_t code, int64_t observed_at_ms)
{
    return (struct bl_effect_attributes){
        .source = source, .code = code, .action = BL_ACTION_REJECT, .observed_at_ms = observed_at_ms};
}

static void list(const char *text, const char *source, uint16_t code, int64_t observed_at_ms)
{
    ck_assert_int_eq(apply(BL_EFFECT_LIST, text, listing(source, code, observed_at_ms)), BL_OK);
}

static void delist(const char *text, int64_t suppress_until_ms)
{
    ck_assert_int_eq(
        apply(BL_EFFECT_DELIST, text, (struct bl_effect_attributes){.suppress_until_ms = suppress_until_ms}), BL_OK);
}

static void apply_plain(enum bl_effect_kind kind, const char *text, const char *source)
{
    ck_assert_int_eq(apply(kind, text, (struct bl_effect_attributes){.source = source}), BL_OK);
}

/* The code that is enforced at @text; 0: not listed. */
static unsigned code_at(const char *text)
{
    struct bl_prefix prefix = prefix_of(text);
    struct bl_list_layer layers[8];
    uint8_t class_id;

    (void)bl_list_state_lookup(state, &prefix, layers, 8, &class_id);
    return bl_list_state_classes(state)[class_id].code;
}

static uint8_t class_at(const char *text)
{
    struct bl_prefix prefix = prefix_of(text);
    struct bl_list_layer layers[8];
    uint8_t class_id;

    (void)bl_list_state_lookup(state, &prefix, layers, 8, &class_id);
    return class_id;
}

/* "prefix=class " of every entry. */
static const char *entries(void)
{
    static char out[1024];
    struct bl_list_cursor cursor = {.ended = false};
    struct bl_list_change entry;
    char text[BL_ADDRESS_TEXT_MAX];

    out[0] = '\0';
    while (!cursor.ended)
        if (bl_list_state_read_entries(state, &cursor, &entry, 1) == 1)
            (void)snprintf(out + strlen(out), sizeof(out) - strlen(out), "%s=%u ",
                           bl_address_format_prefix(&entry.prefix, text), entry.class_id);
    return out;
}

START_TEST(longest_prefix_wins)
{
    list("192.0.2.0/24", "zeta", 606, 1);
    list("192.0.2.128/25", "alpha", 607, 1);
    ck_assert_uint_eq(code_at("192.0.2.1"), 606);
    ck_assert_uint_eq(code_at("192.0.2.129"), 607);
    ck_assert_uint_eq(code_at("192.0.3.1"), 0);
    ck_assert_str_eq(entries(), "192.0.2.0/24=1 192.0.2.128/25=2 ");
}
END_TEST

START_TEST(sources_in_the_configured_order_then_by_code_and_name)
{
    list("192.0.2.1", "beta", 610, 1);
    list("192.0.2.1", "aaa", 609, 1);
    ck_assert_uint_eq(code_at("192.0.2.1"), 609);
    /* Of those that are not configured the lowest code, whatever the name, also after a renewal. */
    list("192.0.2.1", "ccc", 608, 1);
    ck_assert_uint_eq(code_at("192.0.2.1"), 608);
    list("192.0.2.1", "ccc", 611, 1);
    ck_assert_uint_eq(code_at("192.0.2.1"), 609);
    list("192.0.2.1", "aab", 609, 1);
    apply_plain(BL_EFFECT_UNLIST, "192.0.2.1", "aaa");
    ck_assert_uint_eq(code_at("192.0.2.1"), 609);
    apply_plain(BL_EFFECT_UNLIST, "192.0.2.1", "aab");
    ck_assert_uint_eq(code_at("192.0.2.1"), 610);
    list("192.0.2.1", "alpha", 608, 1);
    ck_assert_uint_eq(code_at("192.0.2.1"), 608);
    list("192.0.2.1", "zeta", 607, 1);
    ck_assert_uint_eq(code_at("192.0.2.1"), 607);
    list("192.0.2.1", "operator", 606, 1);
    ck_assert_uint_eq(code_at("192.0.2.1"), 606);
    apply_plain(BL_EFFECT_UNLIST, "192.0.2.1", "operator");
    apply_plain(BL_EFFECT_UNLIST, "192.0.2.1", "zeta");
    ck_assert_uint_eq(code_at("192.0.2.1"), 608);
}
END_TEST

START_TEST(operator_wins_over_longer_feeds)
{
    list("192.0.2.1", "zeta", 607, 1);
    list("192.0.2.0/24", "operator", 606, 1);
    ck_assert_uint_eq(code_at("192.0.2.1"), 606);
    ck_assert_str_eq(entries(), "192.0.2.0/24=2 ");
    delist("192.0.2.0/24", 100);
    ck_assert_uint_eq(code_at("192.0.2.1"), 606);
}
END_TEST

START_TEST(exemption_wins_over_all_inside)
{
    list("192.0.0.0/16", "operator", 606, 1);
    list("192.0.2.7", "operator", 607, 1);
    apply_plain(BL_EFFECT_EXEMPT, "192.0.2.0/24", NULL);
    ck_assert_uint_eq(class_at("192.0.2.7"), BL_CLASS_EXEMPT);
    ck_assert_str_eq(entries(), "192.0.0.0/16=1 192.0.2.0/24=63 ");
    apply_plain(BL_EFFECT_UNEXEMPT, "192.0.2.0/24", NULL);
    ck_assert_uint_eq(code_at("192.0.2.7"), 607);
    ck_assert_str_eq(entries(), "192.0.0.0/16=1 192.0.2.7/32=2 ");
}
END_TEST

START_TEST(exemption_of_what_nothing_lists_is_no_entry)
{
    apply_plain(BL_EFFECT_EXEMPT, "192.0.2.0/24", NULL);
    ck_assert_uint_eq(class_at("192.0.2.7"), BL_CLASS_NONE);
    ck_assert_str_eq(entries(), "");
}
END_TEST

START_TEST(delist_holds_until_newer_evidence)
{
    list("192.0.2.0/24", "zeta", 606, 10);
    list("192.0.2.7", "alpha", 607, 10);
    delist("192.0.2.7", 10);
    ck_assert_uint_eq(class_at("192.0.2.7"), BL_CLASS_EXEMPT);
    ck_assert_str_eq(entries(), "192.0.2.0/24=1 192.0.2.7/32=63 ");
    list("192.0.2.7", "alpha", 608, 10); /* a repeat, with another code */
    ck_assert_uint_eq(class_at("192.0.2.7"), BL_CLASS_EXEMPT);
    list("192.0.2.7", "alpha", 608, 11);
    ck_assert_uint_eq(code_at("192.0.2.7"), 608);
    apply_plain(BL_EFFECT_UNDELIST, "192.0.2.7", NULL);
    apply_plain(BL_EFFECT_UNLIST, "192.0.2.7", "alpha");
    ck_assert_uint_eq(code_at("192.0.2.7"), 606);
}
END_TEST

START_TEST(wide_delist_suppresses_longer_listings_and_the_later_one_counts)
{
    list("2001:db8::1/128", "zeta", 606, 10);
    delist("2001:db8::/32", 20);
    delist("2001:db8::/64", 5);
    ck_assert_uint_eq(class_at("2001:db8::1/128"), BL_CLASS_EXEMPT);
    ck_assert_str_eq(entries(), "");
    apply_plain(BL_EFFECT_UNDELIST, "2001:db8::/32", NULL);
    ck_assert_uint_eq(code_at("2001:db8::1/128"), 606);
}
END_TEST

/* Longer, but suppressed: the wider and newer listing counts. */
START_TEST(newer_wider_listing_shows_through)
{
    list("192.0.2.0/24", "zeta", 606, 30);
    list("192.0.2.7", "alpha", 607, 10);
    delist("192.0.2.7", 20);
    ck_assert_uint_eq(code_at("192.0.2.7"), 606);
    ck_assert_str_eq(entries(), "192.0.2.0/24=1 ");
}
END_TEST

START_TEST(classes_take_the_lowest_free_number)
{
    list("192.0.2.1", "zeta", 606, 1);
    list("192.0.2.2", "zeta", 607, 1);
    list("192.0.2.3", "zeta", 608, 1);
    list("192.0.2.4", "zeta", 606, 1);
    bl_list_state_commit(state, 1, &changes);
    ck_assert_uint_eq(changes.classes_changed, 0xe);
    apply_plain(BL_EFFECT_UNLIST, "192.0.2.2", "zeta");
    ck_assert_uint_eq(bl_list_state_classes(state)[2].code, 0);
    list("192.0.2.5", "zeta", 620, 1);
    ck_assert_uint_eq(bl_list_state_classes(state)[2].code, 620);
    bl_list_state_commit(state, 2, &changes);
    ck_assert_uint_eq(changes.classes_changed, 0x4);
}
END_TEST

START_TEST(the_63rd_class_is_refused_and_leaves_nothing)
{
    struct bl_effect_attributes attributes = listing("zeta", 606, 1);
    struct bl_digest before;
    struct bl_digest after;
    char text[32];

    for (unsigned i = 0; i < BL_CLASS_LAST; i++) {
        (void)snprintf(text, sizeof(text), "192.0.2.%u", i);
        attributes.code = (uint16_t)(606 + i % 31);
        attributes.action = i < 31 ? BL_ACTION_REJECT : BL_ACTION_DROP;
        ck_assert_int_eq(apply(BL_EFFECT_LIST, text, attributes), BL_OK);
    }
    before = bl_list_state_digest(state);
    attributes.action = BL_ACTION_RESET;
    ck_assert_int_eq(apply(BL_EFFECT_LIST, "192.0.2.200", attributes), BL_EFULL);
    after = bl_list_state_digest(state);
    ck_assert(bl_digest_equal(&before, &after));
    ck_assert_uint_eq(class_at("192.0.2.200"), BL_CLASS_NONE);
    apply_plain(BL_EFFECT_UNLIST, "192.0.2.61", "zeta");
    ck_assert_int_eq(apply(BL_EFFECT_LIST, "192.0.2.200", attributes), BL_OK);
    ck_assert_uint_eq(class_at("192.0.2.200"), BL_CLASS_LAST);
}
END_TEST

START_TEST(rollback_restores_everything)
{
    struct bl_list_counts before;
    struct bl_list_counts after;
    struct bl_digest digest_before;
    struct bl_digest digest_after;
    struct bl_list_coverage coverage;
    char shown[1024];
    size_t mark;

    list("192.0.2.0/24", "zeta", 606, 1);
    list("192.0.2.1", "alpha", 607, 1);
    bl_list_state_commit(state, 1, &changes);
    bl_list_state_count(state, &before);
    digest_before = bl_list_state_digest(state);
    (void)snprintf(shown, sizeof(shown), "%s", entries());
    mark = bl_list_state_mark(state);
    apply_plain(BL_EFFECT_UNLIST, "192.0.2.1", "alpha");
    list("192.0.2.2", "alpha", 640, 1); /* takes the number that got free */
    list("192.0.2.0/24", "zeta", 641, 2);
    apply_plain(BL_EFFECT_EXEMPT, "192.0.2.0/25", NULL);
    bl_list_state_rollback(state, mark);
    bl_list_state_count(state, &after);
    digest_after = bl_list_state_digest(state);
    ck_assert(bl_digest_equal(&digest_before, &digest_after));
    ck_assert_uint_eq(before.n_listings, after.n_listings);
    ck_assert_uint_eq(after.n_exemptions, 0);
    ck_assert_uint_eq(bl_list_state_classes(state)[2].code, 607);
    ck_assert_str_eq(entries(), shown);
    bl_list_state_cover(state, "alpha", &coverage);
    ck_assert_uint_eq(coverage.n_ipv4, 1);
    bl_list_state_commit(state, 2, &changes);
    ck_assert_uint_eq(changes.n_changes, 0);
    ck_assert_uint_eq(changes.classes_changed, 0);
}
END_TEST

START_TEST(coverage_counts_addresses_and_64s)
{
    struct bl_list_coverage coverage;

    list("192.0.2.0/24", "zeta", 606, 1);
    list("192.0.2.1", "zeta", 606, 1);
    list("2001:db8::/48", "zeta", 606, 1);
    list("2001:db8::1/128", "zeta", 606, 1);
    list("192.0.2.1", "alpha", 606, 1);
    list("192.0.2.1", "zeta", 607, 1); /* a renewal covers nothing more */
    bl_list_state_cover(state, "zeta", &coverage);
    ck_assert_uint_eq(coverage.n_ipv4, 257);
    ck_assert_uint_eq(coverage.n_ipv6, 65537);
    ck_assert_uint_eq(coverage.n_listings, 4);
    bl_list_state_cover(state, "nobody", &coverage);
    ck_assert_uint_eq(coverage.n_listings, 0);
}
END_TEST

START_TEST(due_comes_soonest_first_and_stays_until_applied)
{
    static const char *const texts[] = {"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"};
    static const int64_t times[] = {300, 100, 400, 200};
    const struct bl_effect_group *groups;
    struct bl_effect_group copy;
    struct bl_prefix prefix;

    for (int i = 0; i < 4; i++) {
        struct bl_effect_attributes attributes = listing("zeta", 606, 1);

        attributes.expires_at_ms = times[i];
        ck_assert_int_eq(apply(BL_EFFECT_LIST, texts[i], attributes), BL_OK);
    }
    ck_assert_uint_eq(bl_list_state_due(state, 99, 10, &groups), 0);
    for (int round = 0; round < 2; round++) {
        ck_assert_uint_eq(bl_list_state_due(state, 350, 2, &groups), 2);
        ck_assert_int_eq(groups[0].kind, BL_EFFECT_UNLIST);
        ck_assert_uint_eq(groups[0].prefixes[0].bytes[3], 2);
        ck_assert_str_eq(groups[0].attributes.source, "zeta");
        ck_assert_uint_eq(groups[1].prefixes[0].bytes[3], 4);
    }
    copy = groups[0];
    prefix = groups[0].prefixes[0];
    copy.prefixes = &prefix;
    ck_assert_int_eq(bl_list_state_apply(state, &copy, 2, "expiry", NULL), BL_OK);
    ck_assert_uint_eq(code_at("192.0.2.2"), 0);
    ck_assert_uint_eq(bl_list_state_due(state, 350, 10, &groups), 2);
    ck_assert_uint_eq(bl_list_state_due(state, 400, 10, &groups), 3);
}
END_TEST

START_TEST(lookup_tells_every_layer_strongest_first)
{
    struct bl_prefix prefix = prefix_of("192.0.2.7");
    struct bl_list_layer layers[8];
    uint8_t class_id;

    list("192.0.0.0/16", "alpha", 606, 30);
    list("192.0.2.7", "alpha", 607, 10);
    list("192.0.2.7", "zeta", 608, 10);
    delist("192.0.2.0/24", 20);
    ck_assert_uint_eq(bl_list_state_lookup(state, &prefix, layers, 8, &class_id), 4);
    ck_assert_uint_eq(bl_list_state_classes(state)[class_id].code, 606);
    ck_assert_uint_eq(layers[0].attributes.code, 606);
    ck_assert(layers[0].effective && !layers[0].suppressed);
    ck_assert_int_eq(layers[1].kind, BL_EFFECT_DELIST);
    ck_assert(!layers[1].effective);
    ck_assert_uint_eq(layers[2].attributes.code, 608);
    ck_assert(layers[2].suppressed && layers[3].suppressed);
    apply_plain(BL_EFFECT_UNLIST, "192.0.0.0/16", "alpha");
    ck_assert_uint_eq(bl_list_state_lookup(state, &prefix, layers, 8, &class_id), 3);
    ck_assert_uint_eq(class_id, BL_CLASS_EXEMPT);
    ck_assert(layers[0].kind == BL_EFFECT_DELIST && layers[0].effective);
    ck_assert_uint_eq(bl_list_state_lookup(state, &prefix, layers, 1, &class_id), 1);
}
END_TEST

START_TEST(find_gives_what_was_applied)
{
    struct bl_prefix prefix = prefix_of("192.0.2.7");
    struct bl_effect_attributes attributes = listing("zeta", 606, 10);
    struct bl_effect_attributes found;

    attributes.reason = "caught";
    attributes.url = "https://x.example/";
    attributes.expires_at_ms = 99;
    ck_assert_int_eq(apply(BL_EFFECT_LIST, "192.0.2.7", attributes), BL_OK);
    ck_assert_int_eq(bl_list_state_find(state, &prefix, "zeta", &found), BL_OK);
    ck_assert_str_eq(found.reason, "caught");
    ck_assert_str_eq(found.url, "https://x.example/");
    ck_assert_str_eq(found.actor, "tester");
    ck_assert_uint_eq(found.serial, 1);
    ck_assert_int_eq(found.expires_at_ms, 99);
    ck_assert_int_eq(bl_list_state_find(state, &prefix, "alpha", &found), BL_ENOENT);
    ck_assert_int_eq(bl_list_state_find_other(state, BL_EFFECT_DELIST, &prefix, &found), BL_ENOENT);
    delist("192.0.2.7", 55);
    ck_assert_int_eq(bl_list_state_find_other(state, BL_EFFECT_DELIST, &prefix, &found), BL_OK);
    ck_assert_int_eq(found.suppress_until_ms, 55);
}
END_TEST

START_TEST(what_is_no_effect_is_refused)
{
    struct bl_effect_attributes attributes = listing("zeta", 605, 1);
    struct bl_prefix host_bits = {{192, 0, 2, 1}, 24, BL_FAMILY_IPV4};
    const struct bl_effect_group group = {BL_EFFECT_LIST, listing("zeta", 606, 1), &host_bits, 1};

    ck_assert_int_eq(apply(BL_EFFECT_LIST, "192.0.2.1", attributes), BL_EINVAL);
    attributes = listing("", 606, 1);
    ck_assert_int_eq(apply(BL_EFFECT_LIST, "192.0.2.1", attributes), BL_EINVAL);
    attributes = listing("zeta", 606, 1);
    attributes.action = 9;
    ck_assert_int_eq(apply(BL_EFFECT_LIST, "192.0.2.1", attributes), BL_EINVAL);
    ck_assert_int_eq(bl_list_state_apply(state, &group, 1, "tester", NULL), BL_EINVAL);
    ck_assert_str_eq(entries(), "");
}
END_TEST

START_TEST(restored_classes_keep_their_numbers)
{
    struct bl_class classes[BL_CLASS_COUNT] = {0};

    classes[7] = (struct bl_class){.code = 610, .action = BL_ACTION_REJECT};
    ck_assert_int_eq(bl_list_state_restore_classes(state, classes), BL_OK);
    list("192.0.2.1", "zeta", 610, 1);
    list("192.0.2.2", "zeta", 611, 1);
    ck_assert_uint_eq(class_at("192.0.2.1"), 7);
    ck_assert_uint_eq(class_at("192.0.2.2"), 1);
    ck_assert_int_eq(bl_list_state_restore_classes(state, classes), BL_EINVAL);
}
END_TEST

START_TEST(restored_classes_must_be_a_table)
{
    struct bl_class classes[BL_CLASS_COUNT] = {0};

    classes[BL_CLASS_EXEMPT] = (struct bl_class){.code = 610, .action = BL_ACTION_REJECT};
    ck_assert_int_eq(bl_list_state_restore_classes(state, classes), BL_EINVAL);
    classes[BL_CLASS_EXEMPT].code = 0;
    classes[1] = classes[2] = (struct bl_class){.code = 610, .action = BL_ACTION_REJECT};
    ck_assert_int_eq(bl_list_state_restore_classes(state, classes), BL_EINVAL);
    classes[2].code = 605;
    ck_assert_int_eq(bl_list_state_restore_classes(state, classes), BL_EINVAL);
    ck_assert_uint_eq(bl_list_state_classes(state)[1].code, 0);
}
END_TEST

/* A group as large as an import: applied, taken back, applied again, and the same both times. */
START_TEST(large_groups_can_be_taken_back)
{
    enum { N = 200000 };
    struct bl_prefix *prefixes = calloc(N, sizeof(*prefixes));
    struct bl_effect_group group = {BL_EFFECT_LIST, listing("zeta", 606, 1), prefixes, N};
    const struct bl_digest zero = {0, 0};
    struct bl_digest digest;

    ck_assert_ptr_nonnull(prefixes);
    for (uint32_t i = 0; i < N; i++) {
        prefixes[i] = (struct bl_prefix){.family = BL_FAMILY_IPV4, .length = 32};
        bl_address_from_ip4(0x0a000000U + i * 2654435761U % 0x01000000U, prefixes[i].bytes);
    }
    ck_assert_int_eq(bl_list_state_apply(state, &group, 1, "tester", NULL), BL_OK);
    digest = bl_list_state_digest(state);
    ck_assert(!bl_digest_equal(&digest, &zero));
    bl_list_state_rollback(state, 0);
    digest = bl_list_state_digest(state);
    ck_assert(bl_digest_equal(&digest, &zero));
    ck_assert_str_eq(entries(), "");
    ck_assert_int_eq(bl_list_state_apply(state, &group, 1, "tester", NULL), BL_OK);
    bl_list_state_commit(state, 1, &changes);
    ck_assert_uint_eq(changes.n_changes, N);
    group.kind = BL_EFFECT_UNLIST;
    ck_assert_int_eq(bl_list_state_apply(state, &group, 2, "tester", NULL), BL_OK);
    bl_list_state_commit(state, 2, &changes);
    ck_assert_uint_eq(changes.n_changes, N);
    ck_assert_str_eq(entries(), "");
    free(prefixes);
}
END_TEST

START_TEST(trie_gives_back_every_node)
{
    static const char *const texts[] = {"192.0.2.1",       "192.0.2.0/24",       "192.0.2.128/25",  "10.0.0.0/8",
                                        "192.0.2.3",       "2001:db8::/64",      "2001:db8::/65",   "2001:db8:0:1::/64",
                                        "2001:db8::1/128", "2001:db8::/63",      "2001:db8::2/128", "2001:db8:1::1/128",
                                        "2001:db8:1::/64", "2001:db8:1:1::1/128"};
    enum { N = sizeof(texts) / sizeof(texts[0]) };
    struct bl_list_path path = {.n = 0};
    struct bl_list_trie trie;
    uint32_t nodes[N];

    ck_assert_int_eq(bl_list_trie_init(&trie), BL_OK);
    for (int i = 0; i < N; i++) {
        struct bl_prefix prefix = prefix_of(texts[i]);

        /* On from the path of the one before, which must come to the same. */
        ck_assert_int_eq(bl_list_trie_insert(&trie, &prefix, &path), BL_OK);
        nodes[i] = path.nodes[path.n - 1];
        bl_list_trie_at(&trie, nodes[i])->first_cell = 1; /* in use */
        ck_assert_int_eq((nodes[i] & BL_LIST_TRIE_WIDE) != 0, prefix.length > 64);
    }
    for (int i = 0; i < N; i++) {
        struct bl_prefix prefix = prefix_of(texts[i]);
        struct bl_prefix back = bl_list_trie_prefix(bl_list_trie_at(&trie, nodes[i]));

        ck_assert_mem_eq(&back, &prefix, sizeof(back));
        ck_assert(bl_list_trie_find(&trie, &prefix, &path));
        ck_assert_uint_eq(path.nodes[path.n - 1], nodes[i]);
    }
    for (int i = 0; i < N; i++) {
        bl_list_trie_at(&trie, nodes[i])->first_cell = 0;
        bl_list_trie_prune(&trie, nodes[i]);
    }
    ck_assert_uint_eq(trie.narrow.next - 1 - trie.narrow.n_free, 2); /* the roots */
    ck_assert_uint_eq(trie.wide.next - 1 - trie.wide.n_free, 0);
    bl_list_trie_fini(&trie);
}
END_TEST

/* Full, a set of labels refuses a new one and holds nothing of it; what is held is found, and room that got free is used. */
START_TEST(labels_are_held_once_and_refused_when_full)
{
    enum { N_MAX = 300 };
    static struct bl_list_labels labels;
    struct bl_list_label model = {.kind = BL_EFFECT_LIST, .class_id = 1};
    uint32_t numbers[N_MAX];
    uint32_t number;
    char reason[32];

    ck_assert_int_eq(bl_list_labels_init(&labels, N_MAX), BL_OK);
    for (int round = 0; round < 2; round++) {
        for (unsigned i = 0; i <= N_MAX; i++) {
            (void)snprintf(reason, sizeof(reason), "reason %u", i);
            ck_assert_int_eq(bl_list_text_hold(&labels.texts, reason, &model.reason), BL_OK);
            ck_assert_int_eq(bl_list_label_hold(&labels, &model, &number), i < N_MAX ? BL_OK : BL_ENOMEM);
            if (i < N_MAX)
                numbers[i] = number;
            bl_list_label_release_texts(&labels, &model);
        }
        ck_assert_uint_eq(bl_list_text_find(&labels.texts, "reason 300"), 0);
        for (unsigned i = 0; i < N_MAX; i++) {
            (void)snprintf(reason, sizeof(reason), "reason %u", i);
            model.reason = bl_list_text_find(&labels.texts, reason);
            ck_assert_uint_ne(model.reason, 0);
            ck_assert_int_eq(bl_list_label_hold(&labels, &model, &number), BL_OK);
            ck_assert_uint_eq(number, numbers[i]);
            bl_list_label_release(&labels, number);
            bl_list_label_release(&labels, number);
            ck_assert_uint_eq(bl_list_text_find(&labels.texts, reason), 0);
        }
        ck_assert_uint_eq(labels.n, 0);
    }
    bl_list_labels_fini(&labels);
}
END_TEST

/* The heap has the times: what is taken back must end when it would have, also in a pile of others. */
START_TEST(times_come_back_with_a_rollback)
{
    enum { N = 200 };
    const struct bl_effect_group *groups;
    struct bl_effect_attributes attributes = listing("zeta", 606, 1);
    struct bl_effect_attributes found;
    struct bl_prefix prefix;
    char text[32];
    size_t mark;

    for (int i = 0; i < N; i++) {
        (void)snprintf(text, sizeof(text), "192.0.2.%d", i);
        attributes.expires_at_ms = 1000 + i * 7919 % N;
        ck_assert_int_eq(apply(BL_EFFECT_LIST, text, attributes), BL_OK);
    }
    bl_list_state_commit(state, 1, &changes);
    mark = bl_list_state_mark(state);
    for (int i = 0; i < N; i += 2) {
        (void)snprintf(text, sizeof(text), "192.0.2.%d", i);
        attributes.expires_at_ms = i % 4 == 0 ? 0 : 5;
        ck_assert_int_eq(apply(BL_EFFECT_LIST, text, attributes), BL_OK);
    }
    ck_assert_uint_eq(bl_list_state_count_due(state, 5, N), N / 4);
    bl_list_state_rollback(state, mark);
    for (int i = 0; i < N; i++) {
        (void)snprintf(text, sizeof(text), "192.0.2.%d", i);
        prefix = prefix_of(text);
        ck_assert_int_eq(bl_list_state_find(state, &prefix, "zeta", &found), BL_OK);
        ck_assert_int_eq(found.expires_at_ms, 1000 + i * 7919 % N);
    }
    for (int again = 0; again < 2; again++) {
        ck_assert_uint_eq(bl_list_state_due(state, 1000 + N, N, &groups), N);
        for (int i = 0; i < N; i++) {
            ck_assert_int_eq(bl_list_state_find(state, &groups[i].prefixes[0], "zeta", &found), BL_OK);
            ck_assert_int_eq(found.expires_at_ms, 1000 + i);
        }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("list_state");
    TCase *rules = tcase_create("rules");
    SRunner *runner = srunner_create(suite);
    int n_failed;

    tcase_add_checked_fixture(rules, setup, teardown);
    tcase_set_timeout(rules, 120); /* large groups, under sanitizers on a busy machine */
    tcase_add_test(rules, longest_prefix_wins);
    tcase_add_test(rules, sources_in_the_configured_order_then_by_code_and_name);
    tcase_add_test(rules, operator_wins_over_longer_feeds);
    tcase_add_test(rules, exemption_wins_over_all_inside);
    tcase_add_test(rules, exemption_of_what_nothing_lists_is_no_entry);
    tcase_add_test(rules, delist_holds_until_newer_evidence);
    tcase_add_test(rules, wide_delist_suppresses_longer_listings_and_the_later_one_counts);
    tcase_add_test(rules, newer_wider_listing_shows_through);
    tcase_add_test(rules, classes_take_the_lowest_free_number);
    tcase_add_test(rules, the_63rd_class_is_refused_and_leaves_nothing);
    tcase_add_test(rules, rollback_restores_everything);
    tcase_add_test(rules, coverage_counts_addresses_and_64s);
    tcase_add_test(rules, due_comes_soonest_first_and_stays_until_applied);
    tcase_add_test(rules, lookup_tells_every_layer_strongest_first);
    tcase_add_test(rules, find_gives_what_was_applied);
    tcase_add_test(rules, what_is_no_effect_is_refused);
    tcase_add_test(rules, restored_classes_keep_their_numbers);
    tcase_add_test(rules, restored_classes_must_be_a_table);
    tcase_add_test(rules, large_groups_can_be_taken_back);
    tcase_add_test(rules, trie_gives_back_every_node);
    tcase_add_test(rules, labels_are_held_once_and_refused_when_full);
    tcase_add_test(rules, times_come_back_with_a_rollback);
    suite_add_tcase(suite, rules);
    srunner_run_all(runner, CK_NORMAL);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
