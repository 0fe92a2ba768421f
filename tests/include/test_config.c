/* The schema engine: types, ranges, units and lists of config.c, and every refusal with its line. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bounceline/config.h"

struct item {
    char name[8];
    uint16_t weight;
};

struct first {
    bool on;
    uint8_t small;
    uint64_t large;
    uint32_t time_s;
    uint32_t days;
    uint32_t mode;
    uint32_t colour;
    char text[8];
    uint16_t ports[3];
    uint32_t n_ports;
    char words[2][4];
    uint32_t n_words;
    struct item items[2];
    uint32_t n_items;
};

struct second {
    char must[8];
};

struct whole {
    struct first first;
    struct second second;
};

static int check_lower(const char *text, struct bl_error_detail *detail)
{
    if (strpbrk(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == NULL)
        return BL_OK;
    return bl_error_set(detail, BL_EINVAL, "found '%s', expected small letters", text);
}

static int parse_word(const char *text, void *element, struct bl_error_detail *detail)
{
    if (strlen(text) > 3)
        return bl_error_set(detail, BL_ERANGE, "found '%s', expected three letters", text);
    memcpy(element, text, strlen(text) + 1);
    return BL_OK;
}

static int check_item(const void *elements, size_t index, const char **key, struct bl_error_detail *detail)
{
    const struct item *items = elements;

    if (index == 0 || items[index].weight > items[index - 1].weight)
        return BL_OK;
    *key = "weight";
    return bl_error_set(detail, BL_EINVAL, "found %u, expected more than above", items[index].weight);
}

#define PLACE(type, member) .offset = offsetof(struct type, member), .size = sizeof(((struct type *)0)->member)
#define LIST(member) \
    .offset = offsetof(struct first, member), .size = sizeof(((struct first *)0)->member[0]), \
    .count_offset = offsetof(struct first, n_##member), \
    .n_elements_max = sizeof(((struct first *)0)->member) / sizeof(((struct first *)0)->member[0])

static const struct bl_config_choice colours[] = {{"red", 3}, {"blue", 7}, {NULL, 0}};

static const struct bl_config_key item_keys[] = {
    {"name", BL_CONFIG_TEXT, PLACE(item, name), .required = true},
    {"weight", BL_CONFIG_INTEGER, PLACE(item, weight), .initial = "9", .min = 1, .max = 1000},
};
static const struct bl_config_mapping item_mapping = {item_keys, 2, sizeof(struct item), check_item};

static const struct bl_config_key first_keys[] = {
    {"on", BL_CONFIG_BOOL, PLACE(first, on), .initial = "true"},
    {"small", BL_CONFIG_INTEGER, PLACE(first, small), .initial = "5", .min = 2, .max = 200},
    {"large", BL_CONFIG_INTEGER, PLACE(first, large), .max = UINT64_MAX},
    {"time_s", BL_CONFIG_DURATION, PLACE(first, time_s), .initial = "2min", .max = 86400, .unit = BL_CONFIG_UNIT_S},
    {"days", BL_CONFIG_DURATION, PLACE(first, days), .initial = "1", .min = 1, .max = 10, .unit = BL_CONFIG_UNIT_DAYS},
    {"mode", BL_CONFIG_OCTAL, PLACE(first, mode), .initial = "0640", .max = 0777},
    {"colour", BL_CONFIG_ENUM, PLACE(first, colour), .initial = "blue", .choices = colours},
    {"text", BL_CONFIG_TEXT, PLACE(first, text), .initial = "abc", .check = check_lower},
    {"ports", BL_CONFIG_INTEGERS, LIST(ports), .initial = "25", .min = 1, .max = 65535},
    {"words", BL_CONFIG_ITEMS, LIST(words), .parse = parse_word},
    {"items", BL_CONFIG_MAPPINGS, LIST(items), .element = &item_mapping},
};
static const struct bl_config_key second_keys[] = {
    {"must", BL_CONFIG_TEXT, PLACE(second, must), .required = true},
};

static const struct bl_config_section sections[] = {
    {"first", 1, offsetof(struct whole, first), {first_keys, 11, sizeof(struct first), NULL}},
    {"second", 2, offsetof(struct whole, second), {second_keys, 1, sizeof(struct second), NULL}},
};

static struct whole whole;
static struct bl_error_detail detail;

static int parse_bytes(const char *text, size_t length, unsigned needed)
{
    const struct bl_config_source source = {"f.yaml", text, length};

    detail.text[0] = '\0';
    return bl_config_parse(sections, 2, needed, &source, &whole, &detail);
}

static int parse(const char *text)
{
    return parse_bytes(text, strlen(text), 0);
}

START_TEST(defaults_fill_what_is_not_said)
{
    ck_assert_int_eq(parse("# nothing\n"), BL_OK);
    ck_assert(whole.first.on);
    ck_assert_uint_eq(whole.first.small, 5);
    ck_assert_uint_eq(whole.first.large, 0);
    ck_assert_uint_eq(whole.first.time_s, 120);
    ck_assert_uint_eq(whole.first.days, 1);
    ck_assert_uint_eq(whole.first.mode, 0640);
    ck_assert_uint_eq(whole.first.colour, 7);
    ck_assert_str_eq(whole.first.text, "abc");
    ck_assert_uint_eq(whole.first.n_ports, 1);
    ck_assert_uint_eq(whole.first.ports[0], 25);
    ck_assert_uint_eq(whole.first.n_words, 0);
    ck_assert_uint_eq(whole.first.n_items, 0);
}
END_TEST

START_TEST(every_type_is_read)
{
    ck_assert_int_eq(parse("first:\n"
                           "  on: false\n"
                           "  small: 200\n"
                           "  large: 18446744073709551615\n"
                           "  time_s: 1h\n"
                           "  days: 48h\n"
                           "  mode: 0755\n"
                           "  colour: red\n"
                           "  text: 'x y'\n"
                           "  ports: [1, 65535]\n"
                           "  words: [ab, \"c\"]\n"
                           "  items:\n"
                           "    - name: a\n"
                           "    - weight: 10\n"
                           "      name: b\n"
                           "second: {must: be}\n"),
                     BL_OK);
    ck_assert(!whole.first.on);
    ck_assert_uint_eq(whole.first.small, 200);
    ck_assert(whole.first.large == UINT64_MAX);
    ck_assert_uint_eq(whole.first.time_s, 3600);
    ck_assert_uint_eq(whole.first.days, 2);
    ck_assert_uint_eq(whole.first.mode, 0755);
    ck_assert_uint_eq(whole.first.colour, 3);
    ck_assert_str_eq(whole.first.text, "x y");
    ck_assert_uint_eq(whole.first.n_ports, 2);
    ck_assert_uint_eq(whole.first.ports[1], 65535);
    ck_assert_uint_eq(whole.first.n_words, 2);
    ck_assert_str_eq(whole.first.words[1], "c");
    ck_assert_uint_eq(whole.first.n_items, 2);
    ck_assert_str_eq(whole.first.items[0].name, "a");
    ck_assert_uint_eq(whole.first.items[0].weight, 9);
    ck_assert_str_eq(whole.first.items[1].name, "b");
    ck_assert_uint_eq(whole.first.items[1].weight, 10);
    ck_assert_str_eq(whole.second.must, "be");
}
END_TEST

START_TEST(a_choice_may_be_quoted)
{
    ck_assert_int_eq(parse("first:\n  colour: \"red\"\n"), BL_OK);
    ck_assert_uint_eq(whole.first.colour, 3);
}
END_TEST

START_TEST(empty_files_and_sections_are_fine)
{
    ck_assert_int_eq(parse(""), BL_OK);
    ck_assert_int_eq(parse("---\n"), BL_OK);
    ck_assert_int_eq(parse("first:\n"), BL_OK);
    ck_assert_int_eq(parse("first: {}\n"), BL_OK);
    ck_assert_int_eq(parse("first:\n  ports: []\n"), BL_OK);
    ck_assert_uint_eq(whole.first.n_ports, 0);
}
END_TEST

/* A text that is refused, and the whole cause. */
static const struct {
    const char *text;
    int error;
    const char *cause;
} refusals[] = {
    {"first:\n  on: yes\n", BL_EINVAL, "f.yaml:2: first.on: found 'yes', expected true or false"},
    {"first:\n  on: \"true\"\n", BL_EINVAL, "f.yaml:2: first.on: found the quoted text 'true', expected true or false"},
    {"first:\n\n  small: 201\n", BL_ERANGE, "f.yaml:3: first.small: found '201', expected an integer of 2..200"},
    {"first:\n  small: 1\n", BL_ERANGE, "f.yaml:2: first.small: found '1', expected an integer of 2..200"},
    {"first:\n  small: -3\n", BL_EINVAL, "f.yaml:2: first.small: found '-3', expected an integer of 2..200"},
    {"first:\n  small: 007\n", BL_EINVAL, "f.yaml:2: first.small: found '007', expected an integer of 2..200"},
    {"first:\n  small: 3.5\n", BL_EINVAL, "f.yaml:2: first.small: found '3.5', expected an integer of 2..200"},
    {"first:\n  small: 0x10\n", BL_EINVAL, "f.yaml:2: first.small: found '0x10', expected an integer of 2..200"},
    {"first:\n  small:\n  on: true\n", BL_EINVAL,
     "f.yaml:2: first.small: found nothing, expected an integer of 2..200"},
    {"first:\n  small: [1]\n", BL_EINVAL, "f.yaml:2: first.small: found a list, expected an integer of 2..200"},
    {"first:\n  small: {a: 1}\n", BL_EINVAL, "f.yaml:2: first.small: found a mapping, expected an integer of 2..200"},
    {"first:\n  large: 18446744073709551616\n", BL_ERANGE,
     "f.yaml:2: first.large: found '18446744073709551616', expected an integer of 0..18446744073709551615"},
    {"first:\n  time_s: 1500ms\n", BL_EINVAL,
     "f.yaml:2: first.time_s: found '1500ms', expected whole seconds, 0..86400, or a time such as 90s, 5min, 2h, 1d"},
    {"first:\n  time_s: 2d\n", BL_ERANGE,
     "f.yaml:2: first.time_s: found '2d', expected whole seconds, 0..86400, or a time such as 90s, 5min, 2h, 1d"},
    {"first:\n  time_s: 5 min\n", BL_EINVAL,
     "f.yaml:2: first.time_s: found '5 min', expected whole seconds, 0..86400, or a time such as 90s, 5min, 2h, 1d"},
    {"first:\n  days: 36h\n", BL_EINVAL,
     "f.yaml:2: first.days: found '36h', expected whole days, 1..10, or a time such as 90s, 5min, 2h, 1d"},
    {"first:\n  time_s: 18446744073709551615d\n", BL_ERANGE,
     "f.yaml:2: first.time_s: found '18446744073709551615d', expected whole seconds, 0..86400, or a time such as 90s, "
     "5min, 2h, 1d"},
    {"first:\n  mode: 0888\n", BL_EINVAL, "f.yaml:2: first.mode: found '0888', expected an octal mode of 000..777"},
    {"first:\n  mode: 1777\n", BL_ERANGE, "f.yaml:2: first.mode: found '1777', expected an octal mode of 000..777"},
    {"first:\n  mode: 64\n", BL_EINVAL, "f.yaml:2: first.mode: found '64', expected an octal mode of 000..777"},
    {"first:\n  colour: green\n", BL_EINVAL, "f.yaml:2: first.colour: found 'green', expected one of red, blue"},
    {"first:\n  text: abcdefgh\n", BL_ERANGE,
     "f.yaml:2: first.text: found 'abcdefgh', expected printable ASCII text of at most 7 bytes"},
    {"first:\n  text: Abc\n", BL_EINVAL, "f.yaml:2: first.text: found 'Abc', expected small letters"},
    {"first:\n  text: ~\n", BL_EINVAL,
     "f.yaml:2: first.text: found nothing, expected printable ASCII text of at most 7 bytes"},
    {"first:\n  text: \"a\\nb\"\n", BL_EINVAL,
     "f.yaml:2: first.text: found the quoted text 'a?b', expected printable ASCII text of at most 7 bytes"},
    {"first:\n  text: \"a\\0b\"\n", BL_EINVAL,
     "f.yaml:2: first.text: found the quoted text 'a?b', expected printable ASCII text of at most 7 bytes"},
    {"first:\n  text: \xc3\xa4\n", BL_EINVAL,
     "f.yaml:2: first.text: found '?\?', expected printable ASCII text of at most 7 bytes"},
    {"first:\n  ports: 25\n", BL_EINVAL,
     "f.yaml:2: first.ports: found '25', expected a list: each element an integer of 1..65535"},
    {"first:\n  ports:\n    - 25\n    - 65536\n", BL_ERANGE,
     "f.yaml:4: first.ports: found '65536', expected an integer of 1..65535"},
    {"first:\n  ports:\n    - 25\n    - 26\n    - 25\n", BL_EINVAL,
     "f.yaml:5: first.ports: found '25' twice, expected it once"},
    {"first:\n  ports: [1, 2,\n    3, 4]\n", BL_ERANGE,
     "f.yaml:3: first.ports: found more than 3 elements, expected at most as many"},
    {"first:\n  words: [a, abcd]\n", BL_ERANGE, "f.yaml:2: first.words: found 'abcd', expected three letters"},
    {"first:\n  words: [a, [b]]\n", BL_EINVAL, "f.yaml:2: first.words: found a list, expected printable ASCII text"},
    {"first:\n  items:\n    - a\n", BL_EINVAL, "f.yaml:3: first.items: found 'a', expected a mapping"},
    {"first:\n  items:\n    - weight: 3\n", BL_EINVAL,
     "f.yaml:3: first.items.name: found nothing, expected printable ASCII text of at most 7 bytes: it has no default"},
    {"first:\n  items:\n    - name: a\n      size: 3\n", BL_EINVAL,
     "f.yaml:4: first.items: found the unknown key 'size', expected one of name, weight"},
    {"first:\n  items:\n    - name: a\n      weight: 30\n    - name: b\n      weight: 30\n", BL_EINVAL,
     "f.yaml:6: first.items.weight: found 30, expected more than above"},
    {"first:\n  items:\n    - name: a\n    - name: b\n    - name: c\n", BL_EINVAL,
     "f.yaml:5: first.items.weight: found 9, expected more than above"},
    {"first:\n  samll: 3\n", BL_EINVAL,
     "f.yaml:2: first: found the unknown key 'samll', expected one of on, small, large, time_s, days, mode, colour, "
     "text, ports, words, items"},
    {"first:\n  small: 3\n  on: true\n  small: 3\n", BL_EINVAL,
     "f.yaml:4: first.small: found again, expected once: it is in line 2 too"},
    {"first:\n  small: 3\nsecond: {must: a}\nfirst:\n  on: true\n", BL_EINVAL,
     "f.yaml:4: first: found again, expected once: it is in line 1 too"},
    {"third:\n  a: 1\n", BL_EINVAL, "f.yaml:1: found the unknown section 'third', expected one of first, second"},
    {"second:\n", BL_EINVAL,
     "f.yaml:1: second.must: found nothing, expected printable ASCII text of at most 7 bytes: it has no default"},
    {"# a\nsecond: {}\n", BL_EINVAL,
     "f.yaml:2: second.must: found nothing, expected printable ASCII text of at most 7 bytes: it has no default"},
    {"first: 3\n", BL_EINVAL, "f.yaml:1: first: found '3', expected the section's keys"},
    {"- first\n", BL_EINVAL, "f.yaml:1: found a list, expected sections: a mapping"},
    {"first:\n  ? [a]\n  : b\n", BL_EINVAL, "f.yaml:2: first: found a list, expected a key"},
    {"? [a]\n: b\n", BL_EINVAL, "f.yaml:1: found a list, expected a section's name"},
    {"first:\n  text: &x abc\n", BL_EINVAL,
     "f.yaml:2: first.text: found an alias or anchor, expected the value itself"},
    {"first:\n  text: *x\n", BL_EINVAL, "f.yaml:2: first.text: found an alias or anchor, expected the value itself"},
    {"first:\n  text: !!str abc\n", BL_EINVAL, "f.yaml:2: first.text: found a tag, expected a value without one"},
    {"first:\n  on: true\n---\nfirst:\n", BL_EINVAL, "f.yaml:3: found a second document, expected one"},
    {"first:\n\ton: true\n", BL_EINVAL,
     "f.yaml:2: first: not YAML: found character that cannot start any token, while scanning for the next token"},
    {"first:\n  words: [a\n", BL_EINVAL,
     "f.yaml:3: first.words: not YAML: did not find expected ',' or ']', while "
     "parsing a flow sequence"},
    {"first:\n  on: true\n  text: \xff\n", BL_EINVAL, "f.yaml:3: not YAML: invalid leading UTF-8 octet"},
};

START_TEST(refusals_name_line_key_found_and_expected)
{
    ck_assert_int_eq(parse(refusals[_i].text), refusals[_i].error);
    ck_assert_str_eq(detail.text, refusals[_i].cause);
}
END_TEST

START_TEST(needed_sections_must_say_their_required_keys)
{
    const char *text = "first:\n  on: true\n";

    ck_assert_int_eq(parse_bytes(text, strlen(text), 1), BL_OK);
    ck_assert_int_eq(parse_bytes(text, strlen(text), 2), BL_EINVAL);
    ck_assert_str_eq(detail.text, "f.yaml:3: second.must: found nothing, expected printable ASCII text of at most 7 "
                                  "bytes: it has no default");
    ck_assert_int_eq(parse_bytes("", 0, 3), BL_EINVAL);
}
END_TEST

/* Nothing may nest deeper than the schema, so depth costs nothing: refused at the first level too many. */
START_TEST(deep_nesting_is_refused_at_once)
{
    static char text[200000] = "first:\n  ports: ";

    memset(text + strlen(text), '[', sizeof(text) - strlen(text) - 1);
    ck_assert_int_eq(parse(text), BL_EINVAL);
    ck_assert_str_eq(detail.text, "f.yaml:2: first.ports: found a list, expected an integer of 1..65535");
}
END_TEST

START_TEST(files_are_read_whole_or_refused)
{
    char path[] = "/tmp/test_config.XXXXXX";
    int descriptor = mkstemp(path);
    char *text = NULL;
    size_t length = 0;

    ck_assert_int_ge(descriptor, 0);
    ck_assert_int_eq(write(descriptor, "first:\n", 7), 7);
    ck_assert_int_eq(bl_config_read_file(path, &text, &length, &detail), BL_OK);
    ck_assert_uint_eq(length, 7);
    ck_assert_mem_eq(text, "first:\n", 7);
    free(text);
    ck_assert_int_eq(ftruncate(descriptor, BL_CONFIG_FILE_BYTES_MAX), 0);
    ck_assert_int_eq(bl_config_read_file(path, &text, &length, &detail), BL_OK);
    free(text);
    ck_assert_int_eq(ftruncate(descriptor, BL_CONFIG_FILE_BYTES_MAX + 1), 0);
    ck_assert_int_eq(bl_config_read_file(path, &text, &length, &detail), BL_ETOOBIG);
    ck_assert_int_eq(close(descriptor), 0);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(bl_config_read_file(path, &text, &length, &detail), BL_ENOENT);
    ck_assert_ptr_nonnull(strstr(detail.text, path));
    ck_assert_int_eq(bl_config_read_file("/tmp", &text, &length, &detail), BL_EIO);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("config");
    TCase *tests = tcase_create("config");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tests);
    tcase_add_test(tests, defaults_fill_what_is_not_said);
    tcase_add_test(tests, every_type_is_read);
    tcase_add_test(tests, a_choice_may_be_quoted);
    tcase_add_test(tests, empty_files_and_sections_are_fine);
    tcase_add_loop_test(tests, refusals_name_line_key_found_and_expected, 0,
                        (int)(sizeof(refusals) / sizeof(refusals[0])));
    tcase_add_test(tests, needed_sections_must_say_their_required_keys);
    tcase_add_test(tests, deep_nesting_is_refused_at_once);
    tcase_add_test(tests, files_are_read_whole_or_refused);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
