/* Every format that import knows: its own syntax, what is odd in it, what it refuses, and that it is detected. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "controlplane/cli/gunzip.h"
#include "controlplane/cli/list_file.h"
#include "controlplane/cli/list_format.h"

enum { NOW_S = 1790000000 };

static struct bl_list_file file;

static int take(void *context, const char *data, size_t length, struct bl_error_detail *detail)
{
    return bl_list_file_feed(context, data, length, detail);
}

static void begin(const char *format)
{
    bl_list_file_init(&file);
    file.now_s = NOW_S;
    if (format != NULL) {
        file.format = bl_list_format_find(format);
        ck_assert_msg(file.format != NULL, "no format %s", format);
    }
}

/* The result as text: the prefixes with a space between, or "bad LINE: cause". */
static const char *read_as(const char *format, const char *text)
{
    static char shown[4096];
    char prefix[BL_ADDRESS_TEXT_MAX];

    if (format == NULL || format[0] != '\0')
        begin(format);
    ck_assert_int_eq(bl_list_file_feed(&file, text, strlen(text), NULL), BL_OK);
    ck_assert_int_eq(bl_list_file_end(&file, NULL), BL_OK);
    shown[0] = '\0';
    if (file.n_bad != 0) {
        (void)snprintf(shown, sizeof(shown), "bad %u: %s", file.bad[0].line, file.bad[0].cause.text);
    } else {
        ck_assert_int_eq(bl_list_file_finish(&file, 64), BL_OK);
        for (size_t i = 0; i < file.n_entries; i++)
            (void)snprintf(shown + strlen(shown), sizeof(shown) - strlen(shown), "%s%s", i == 0 ? "" : " ",
                           bl_address_format_prefix(&file.entries[i].prefix, prefix));
    }
    bl_list_file_fini(&file);
    return shown;
}

#define EXPECT(format, text, want) ck_assert_str_eq(read_as(format, text), want)

static void expect_bad(const char *format, const char *text, const char *cause)
{
    const char *shown = read_as(format, text);

    ck_assert_msg(strncmp(shown, "bad ", 4) == 0 && strstr(shown, cause) != NULL, "%s: '%s': %s, expected %s",
                  format == NULL ? "detected" : format, text, shown, cause);
}

START_TEST(plain_ranges_become_the_fewest_prefixes)
{
    EXPECT("plain", "192.0.2.0-192.0.2.255\n", "192.0.2.0/24");
    EXPECT("plain", "  192.0.2.1 - 192.0.2.6 # x\n", "192.0.2.1/32 192.0.2.2/31 192.0.2.4/31 192.0.2.6/32");
    EXPECT("plain", "192.0.2.7-192.0.2.7\n", "192.0.2.7/32");
    EXPECT("plain", "::ffff:192.0.2.0-::ffff:192.0.2.1\n", "192.0.2.0/31");
    EXPECT("plain", "2001:db8::-2001:db8:0:2:ffff:ffff:ffff:ffff\n", "2001:db8::/63 2001:db8:0:2::/64");
    EXPECT("plain", "0.0.0.0-255.255.255.255\n", "0.0.0.0/0");
    expect_bad("plain", "192.0.2.2-192.0.2.1\n", "ends before");
    expect_bad("plain", "192.0.2.010\n", "expected an IPv4");
}
END_TEST

START_TEST(host_bits_are_refused_or_cut_by_choice)
{
    expect_bad("plain", "192.0.2.1/24\n", "expected 192.0.2.0/24");
    begin("plain");
    file.mask_host_bits = true;
    EXPECT("", "192.0.2.1/24\n::ffff:198.51.100.7/120\n2001:db8::1/32\n", "192.0.2.0/24 198.51.100.0/24 2001:db8::/32");
    begin("plain");
    file.mask_host_bits = true;
    ck_assert_int_eq(strncmp(read_as("", "192.0.2.1/33\n"), "bad 1", 5), 0);
    begin("ip4set");
    file.mask_host_bits = true;
    EXPECT("", "192.0.2.1/24\n", "192.0.2.0/24");
    expect_bad("ip4set", "192.0.2.1/24\n", "expected 192.0.2.0/24");
}
END_TEST

START_TEST(drop_says_until_when_it_is_good)
{
    static const char good[] =
        "; Spamhaus DROP List 2026/09/21 - (c) 2026\n; Expires: Sun, 20 Sep 2026 18:13:20 GMT\r\n"
        "1.4.0.0/17 ; SBL256893\r\n1.10.16.0/20 ; SBL256894\n";

    expect_bad(NULL, good, "out of date");
    begin(NULL);
    file.allow_stale = true;
    EXPECT("", good, "1.4.0.0/17 1.10.16.0/20");
    EXPECT(NULL, "; Spamhaus DROP List\n; Expires: Tue, 22 Sep 2026 18:13:20 GMT\n1.4.0.0/17 ; SBL1\n", "1.4.0.0/17");
}
END_TEST

START_TEST(drop_json_must_be_whole_and_fresh)
{
#define ENTRY "{\"cidr\":\"1.10.16.0\\/20\",\"sblid\":\"SBL256894\",\"rir\":\"apnic\"}\n"
#define SECOND "{\"cidr\":\"2a12:2640::/29\",\"sblid\":\"SBL2\",\"rir\":\"ripe\"}\n"
#define META(records, time) \
    "{\"type\":\"metadata\",\"timestamp\":" #time ",\"size\":1,\"records\":" #records ",\"copyright\":\"(c)\"}\n"
    EXPECT(NULL, ENTRY SECOND META(2, 1789990000), "1.10.16.0/20 2a12:2640::/29");
    EXPECT(NULL, ENTRY ENTRY META(2, 1789990000), "1.10.16.0/20");
    expect_bad(NULL, ENTRY SECOND, "without its line of metadata");
    expect_bad(NULL, ENTRY META(2, 1789990000), "has 1 entries and says it has 2");
    expect_bad(NULL, ENTRY META(1, 1780000000), "out of date");
    expect_bad(NULL, ENTRY META(1, 1789990000) ENTRY, "behind the metadata");
    expect_bad(NULL, ENTRY "{\"cidr\":\"1.2.3\n", "no JSON");
    expect_bad(NULL, ENTRY "{\"cidr\":7}\n" META(2, 1789990000), "expected a string");
    expect_bad(NULL, ENTRY "{\"type\":\"metadata\",\"records\":\"1\"}\n", "expected the numbers");
}
END_TEST

START_TEST(firehol_counts_its_entries)
{
#define HEAD "#\n# firehol_level1\n# Category        : attacks\n# This File Date  : Mon Sep 21 2026\n"
    EXPECT(NULL, HEAD "# Entries         : 2 subnets, 257 unique IPs\n#\n192.0.2.0/24\n1.93.0.224\n",
           "1.93.0.224/32 192.0.2.0/24");
    expect_bad(NULL, HEAD "# Entries         : 3 subnets, 258 unique IPs\n192.0.2.0/24\n1.93.0.224\n", "says it has 3");
    EXPECT(NULL, HEAD "# Entries         : 1 unique IPs\n1.93.0.224\n", "1.93.0.224/32");
}
END_TEST

START_TEST(dshield_has_columns_and_names_of_any_kind)
{
#define TITLE "# DShield.org\n#\nStart\tEnd\tNetmask\tAttacks\tName\tCountry\temail\n"
    EXPECT(NULL,
           TITLE
           "80.82.77.0\t80.82.77.255\t24\t3781\tIP Volume, inc\tNL\ta@example.net\n1.2.4.0\t1.2.5.255\t23\t1\t\t\t\n",
           "1.2.4.0/23 80.82.77.0/24");
    expect_bad(NULL, TITLE "80.82.77.0\t80.82.77.255\t23\t3781\n", "not the /23");
    expect_bad(NULL, TITLE "80.82.77.0\t80.82.77.254\t24\t3781\n", "not the /24");
    expect_bad(NULL, TITLE "80.82.77.0\t80.82\n", "expected first address");
}
END_TEST

START_TEST(crowdsec_has_columns_by_name_durations_and_scopes)
{
    EXPECT(NULL, "duration,scope,value\n24h,ip,1.2.3.4\n3h58m38.3s,range,10.0.0.0/8\n1h,country,NL\n-5m,ip,1.2.3.5\n",
           "1.2.3.4/32 10.0.0.0/8");
    EXPECT(NULL, "value,type,reason\n1.2.3.4,ban,\"a, \"\"b\"\"\"\n1.2.3.5,captcha,x\n", "1.2.3.4/32");
    expect_bad(NULL, "duration,scope,value\n24x,ip,1.2.3.4\n", "expected such as 4h");
    expect_bad(NULL, "duration,scope,value\n24h,ip\n", "none in column");
    EXPECT(NULL,
           "[{\"duration\":\"4h\",\"scope\":\"Ip\",\"type\":\"ban\",\"value\":\"1.2.3.4\"},{\"value\":\"1.2.3.6\"}]",
           "1.2.3.4/32 1.2.3.6/32");
    EXPECT(NULL,
           "{\"new\":[{\"id\":1,\"origin\":\"lists\",\"duration\":\"4h\",\"value\":\"1.2.3.4\"}],\"deleted\":null}",
           "1.2.3.4/32");
    expect_bad(NULL, "{\"new\":null,\"deleted\":[{\"value\":\"1.2.3.4\"}]}", "changes, not a list");
    expect_bad(NULL, "[{\"value\":\"1.2.3.4\"},{\"value\":\"1.2.3\"}]", "bad 2: ");
    expect_bad(NULL, "[{\"value\":\"1.2.3.4\"},{\"val", "no JSON: line 1");
    begin("crowdsec-csv");
    ck_assert_int_eq(bl_list_file_feed(&file, "duration,value\n90m,1.2.3.4\n", 27, NULL), BL_OK);
    ck_assert_uint_eq(file.entries[0].expires_at_s, NOW_S + 5400);
    bl_list_file_fini(&file);
}
END_TEST

START_TEST(rbldnsd_has_short_forms)
{
    static const struct {
        const char *text;
        const char *want;
    } forms[] = {
        {"127.0.0.0/24", "127.0.0.0/24"},
        {"127.0.0", "127.0.0.0/24"},
        {"127/24", "127.0.0.0/24"},
        {"127", "127.0.0.0/8"},
        {"127-127.0.0", "127.0.0.0/24"},
        {"127.0.0.1-2", "127.0.0.1/32 127.0.0.2/32"},
        {"127.16-31", "127.16.0.0/12"},
        {"127.16.0-31", "127.16.0.0/19"},
        {"10.1.2.0-10.1.3.255", "10.1.2.0/23"},
        {"192.0.2.1 :5:text $", "192.0.2.1/32"},
        {"192.0.2.1 text ; x", "192.0.2.1/32"},
        {"192.0.2.1:5:text", "192.0.2.1/32"},
        {":127.0.0.2:listed $\n$SOA 0 a b 0 1 2 3 4\n# c\n; c\n$1 text\n192.0.2.1", "192.0.2.1/32"},
    };
    static const char *const refused[] = {
        "127.0.0.01", "256", "1.2.3.4.5", "1.2.3.4-1.2.3.3",       "1.2.3.4/0", "1.2.3.4/33", "example.com", "1.2.",
        "1..2",       "-",   "!",         "$DATASET ip4set:a b @", "1.2.3.4-"};

    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
        EXPECT("ip4set", forms[i].text, forms[i].want);
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        expect_bad("ip4set", refused[i], "bad 1: ");
    expect_bad("ip4trie", "127.0.0.1-2", "expected an IPv4 address");
    expect_bad("ip4set", "$MAXRANGE4 /24\n10.0.0.0/23\n", "wider than the /24");
    EXPECT("ip4set", "$MAXRANGE4 256\n10.0.0.0/24\n", "10.0.0.0/24");
}
END_TEST

START_TEST(rbldnsd_ipv6_leaves_out_what_is_zero_at_the_right)
{
    EXPECT("ip6trie", "2001:21ab:c000/36\n", "2001:21ab:c000::/36");
    EXPECT("ip6trie", "2001:20fe:23:41ed\n", "2001:20fe:23:41ed::/64");
    EXPECT("ip6trie", "2001:db8::1 :5:text\n::2\n", "::2/128 2001:db8::1/128");
    EXPECT("ip6trie", ":5:default\n2001:db8\n", "2001:db8::/32");
    EXPECT("ip6trie", "::ffff:192.0.2.0/120\n", "192.0.2.0/24");
    EXPECT("ip6trie", "2001:db8::/127\n!2001:db8::\n", "2001:db8::1/128");
    expect_bad("ip6trie", "2001:db8:\n", "bad 1");
    expect_bad("ip6trie", "1:2:3:4:5:6:7:8:9\n", "bad 1");
    expect_bad("ip6trie", "2001:db8::1/64\n", "expected 2001:db8::/64");
}
END_TEST

START_TEST(exclusions_are_carved_out)
{
    EXPECT("ip4trie", "10.0.0.0/30\n!10.0.0.1\n", "10.0.0.0/32 10.0.0.2/31");
    EXPECT("ip4trie", "!10.0.0.1\n10.0.0.1\n", "");
    EXPECT("ip4trie", "10.0.0.0/29\n!10.0.0.0/30\n10.0.0.2\n", "10.0.0.2/32 10.0.0.4/30");
    EXPECT("ip4trie", "!10.0.0.0/24\n10.0.0.0/25\n", "10.0.0.0/25");
    /* One set of whole octets: the exclusion covers as many of them as the listing. */
    EXPECT("ip4set", "!10.0.0.0/23\n10.0.0.0/24\n", "");
    EXPECT("ip4set", "!10.0.0.0/23\n10.0.0.0/25\n", "10.0.0.0/25");
    EXPECT("ip4set", "10.0.0.0/25\n!10.0.0.64/26\n192.0.2.1\n", "10.0.0.0/26 192.0.2.1/32");
    EXPECT("ipset",
           "create n hash:net family inet hashsize 1024\nadd n 10.0.0.0/30 timeout 300\nadd n 10.0.0.3 nomatch\n"
           "add n 192.0.2.1 comment \"a b\"\n",
           "10.0.0.0/31 10.0.0.2/32 192.0.2.1/32");
    expect_bad(NULL, "create n hash:ip,port family inet\n", "expected hash:ip or hash:net");
    expect_bad(NULL, "create n hash:ip\nadd m 1.2.3.4\n", "expected 'n'");
    expect_bad(NULL, "create n hash:ip\nadd n 1.2.3.4 timeout soon\n", "expected seconds");
}
END_TEST

START_TEST(a_hole_in_all_of_ipv6_costs_one_prefix_a_bit)
{
    begin("ip6trie");
    ck_assert_int_eq(bl_list_file_feed(&file, "2001:db8::/32\n!2001:db8::1\n", 27, NULL), BL_OK);
    ck_assert_int_eq(bl_list_file_end(&file, NULL), BL_OK);
    ck_assert_int_eq(bl_list_file_finish(&file, 64), BL_OK);
    ck_assert_uint_eq(file.n_entries, 96);
    ck_assert_uint_eq(file.n_excluded, 1);
    bl_list_file_fini(&file);
}
END_TEST

START_TEST(nft_sets_have_four_kinds_of_elements)
{
    EXPECT(
        NULL,
        "{\"nftables\":[{\"metainfo\":{\"version\":\"1\"}},{\"set\":{\"family\":\"ip\",\"name\":\"x\",\"table\":\"t\","
        "\"type\":\"ipv4_addr\",\"flags\":[\"interval\"],\"elem\":[\"77.42.49.79\",{\"prefix\":{\"addr\":\"10.0.0.0\","
        "\"len\":8}},{\"range\":[\"192.0.2.0\",\"192.0.2.3\"]},{\"elem\":{\"val\":\"192.0.2.9\",\"timeout\":60,"
        "\"expires\":30,\"comment\":\"c\"}}]}}]}",
        "10.0.0.0/8 77.42.49.79/32 192.0.2.0/30 192.0.2.9/32");
    EXPECT(NULL, "{\"nftables\":[{\"set\":{\"name\":\"x\",\"type\":\"ipv6_addr\",\"elem\":[\"2001:db8::1\"]}}]}",
           "2001:db8::1/128");
    expect_bad(NULL, "{\"nftables\":[]}", "holds no set");
    expect_bad(NULL, "{\"nftables\":[{\"set\":{\"name\":\"x\",\"type\":\"inet_service\",\"elem\":[25]}}]}",
               "expected ipv4");
    expect_bad(NULL, "{\"nftables\":[{\"set\":{\"type\":\"ipv4_addr\",\"elem\":[{\"prefix\":{\"len\":8}}]}}]}",
               "bad 1: ");
}
END_TEST

START_TEST(each_format_is_detected)
{
    static const struct {
        const char *head;
        const char *name;
    } cases[] = {
        {"192.0.2.1\n", "plain"},
        {"", "plain"},
        {"\xef\xbb\xbf; Spamhaus DROP List\n1.4.0.0/17 ; SBL1\n", "drop"},
        {"; Spamhaus DROP List 2026/01/01\n", "drop"},
        {"{\"cidr\":\"1.2.3.0/24\"}\n", "drop-json"},
        {"#\n# Entries : 1 unique IPs\n", "firehol"},
        {"# c\nStart\tEnd\tNetmask\tAttacks\n", "dshield"},
        {"duration,scope,value\n", "crowdsec-csv"},
        {"[{\"value\":\"1.2.3.4\"}]", "crowdsec-json"},
        {"{\"new\":[],\"deleted\":[]}", "crowdsec-json"},
        {" {\n \"nftables\": []}", "nft-json"},
        {"create n hash:net\n", "ipset"},
        {":127.0.0.2:x\n10/8\n", "ip4set"},
        {"$SOA 0 a b\n10/8\n", "ip4set"},
        {":127.0.0.2:x\n2001:db8/32\n", "ip6trie"},
        {"2001:db8::/32\n::1\n", "plain"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        ck_assert_str_eq(bl_list_format_detect(cases[i].head, strlen(cases[i].head))->name, cases[i].name);
}
END_TEST

/* @return the bytes of @text in gzip; *length says how many. */
static char *zip(const char *text, size_t n, size_t *length)
{
    z_stream stream = {.next_out = NULL};
    uLong bound;
    char *out;

    ck_assert_int_eq(deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY), Z_OK);
    bound = deflateBound(&stream, n);
    out = malloc(bound);
    ck_assert_ptr_nonnull(out);
    stream.next_in = (Bytef *)(uintptr_t)text;
    stream.avail_in = (uInt)n;
    stream.next_out = (Bytef *)out;
    stream.avail_out = (uInt)bound;
    ck_assert_int_eq(deflate(&stream, Z_FINISH), Z_STREAM_END);
    *length = stream.total_out;
    (void)deflateEnd(&stream);
    return out;
}

static int unzip(const char *data, size_t length, size_t cut)
{
    struct bl_gunzip gunzip;
    int error;

    begin(NULL);
    bl_gunzip_init(&gunzip, take, &file);
    error = bl_gunzip_feed(&gunzip, data, cut, NULL);
    if (error == BL_OK)
        error = bl_gunzip_feed(&gunzip, data + cut, length - cut, NULL);
    if (error == BL_OK)
        error = bl_gunzip_end(&gunzip, NULL);
    if (error == BL_OK)
        error = bl_list_file_end(&file, NULL);
    bl_gunzip_fini(&gunzip);
    return error;
}

START_TEST(gzip_is_read_whole_or_refused)
{
    static const char text[] = "192.0.2.1\n192.0.2.2\n";
    size_t length;
    char *zipped = zip(text, sizeof(text) - 1, &length);
    char two[512];

    for (size_t cut = 0; cut <= length; cut++) {
        ck_assert_int_eq(unzip(zipped, length, cut), BL_OK);
        ck_assert_uint_eq(file.n_entries, 2);
        bl_list_file_fini(&file);
    }
    for (size_t n = 2; n < length; n++) {
        ck_assert_msg(unzip(zipped, n, 0) == BL_EINVAL, "%zu of %zu bytes were taken", n, length);
        bl_list_file_fini(&file);
    }
    /* Two members are one file; what is no member is refused. */
    memcpy(two, zipped, length);
    memcpy(two + length, zipped, length);
    ck_assert_int_eq(unzip(two, 2 * length, length + 1), BL_OK);
    ck_assert_uint_eq(file.n_entries, 4);
    bl_list_file_fini(&file);
    ck_assert_int_eq(unzip(two, length + 1, 0), BL_EINVAL);
    bl_list_file_fini(&file);
    two[length - 5] ^= 1;
    ck_assert_int_eq(unzip(two, length, 0), BL_EINVAL);
    bl_list_file_fini(&file);
    free(zipped);
}
END_TEST

static int count_bytes(void *context, const char *data, size_t length, struct bl_error_detail *detail)
{
    (void)data;
    (void)detail;
    *(uint64_t *)context += length;
    return BL_OK;
}

/* A member of 4 MiB in 4 kB, again and again: a thousandth of what comes out goes in. */
START_TEST(a_bomb_ends_at_the_bound)
{
    static char zeros[4 << 20];
    struct bl_gunzip gunzip;
    uint64_t n_bytes = 0;
    uint64_t n_in = 0;
    size_t length;
    char *member = zip(zeros, sizeof(zeros), &length);
    int error = BL_OK;

    bl_gunzip_init(&gunzip, count_bytes, &n_bytes);
    while (error == BL_OK && n_in < (16 << 20)) {
        error = bl_gunzip_feed(&gunzip, member, length, NULL);
        n_in += length;
    }
    ck_assert_int_eq(error, BL_ETOOBIG);
    ck_assert_uint_le(n_bytes, BL_GUNZIP_BYTES_MAX);
    ck_assert_uint_lt(n_in, 2 << 20);
    bl_gunzip_fini(&gunzip);
    free(member);
}
END_TEST

/* 16 MiB of empty objects would take 1.3 GB: refused before the parser sees them. */
START_TEST(a_json_bomb_is_refused)
{
    enum { N = 6 << 20 };
    char *text = malloc(3 * (size_t)N + 2);

    ck_assert_ptr_nonnull(text);
    text[0] = '[';
    for (size_t i = 0; i < N; i++)
        memcpy(text + 1 + 3 * i, "{},", 3);
    text[3 * (size_t)N] = ']';
    text[3 * (size_t)N + 1] = '\0';
    expect_bad("crowdsec-json", text, "more than 1024 MiB of memory");
    memset(text, '[', 3 * (size_t)N);
    text[100000] = '\0';
    expect_bad("crowdsec-json", text, "no JSON");
    free(text);
}
END_TEST

START_TEST(overlaps_and_skipped_ones_are_counted)
{
    begin("plain");
    ck_assert_int_eq(bl_list_file_feed(&file, "10.0.0.0/24\n10.0.0.7\n10.0.0.0/25\n10.0.1.0\n", 43, NULL), BL_OK);
    ck_assert_int_eq(bl_list_file_end(&file, NULL), BL_OK);
    ck_assert_int_eq(bl_list_file_finish(&file, 64), BL_OK);
    ck_assert_uint_eq(file.n_overlaps, 2);
    ck_assert_uint_eq(file.n_entries, 4);
    bl_list_file_fini(&file);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cli list format");
    TCase *test_case = tcase_create("all");
    SRunner *runner;
    int n_failed;

    tcase_add_test(test_case, plain_ranges_become_the_fewest_prefixes);
    tcase_add_test(test_case, host_bits_are_refused_or_cut_by_choice);
    tcase_add_test(test_case, drop_says_until_when_it_is_good);
    tcase_add_test(test_case, drop_json_must_be_whole_and_fresh);
    tcase_add_test(test_case, firehol_counts_its_entries);
    tcase_add_test(test_case, dshield_has_columns_and_names_of_any_kind);
    tcase_add_test(test_case, crowdsec_has_columns_by_name_durations_and_scopes);
    tcase_add_test(test_case, rbldnsd_has_short_forms);
    tcase_add_test(test_case, rbldnsd_ipv6_leaves_out_what_is_zero_at_the_right);
    tcase_add_test(test_case, exclusions_are_carved_out);
    tcase_add_test(test_case, a_hole_in_all_of_ipv6_costs_one_prefix_a_bit);
    tcase_add_test(test_case, nft_sets_have_four_kinds_of_elements);
    tcase_add_test(test_case, each_format_is_detected);
    tcase_add_test(test_case, gzip_is_read_whole_or_refused);
    tcase_add_test(test_case, a_bomb_ends_at_the_bound);
    tcase_add_test(test_case, a_json_bomb_is_refused);
    tcase_add_test(test_case, overlaps_and_skipped_ones_are_counted);
    suite_add_tcase(suite, test_case);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
