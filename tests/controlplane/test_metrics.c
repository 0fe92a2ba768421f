/* The page of a given moment, to the letter where it matters; buckets; and that no name gets in that could be an
 * address. That it is Prometheus' format is for tests/e2e/test_metrics.py to find out, with the stock parser. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bounceline/verdict.h"
#include "controlplane/metrics.h"

static struct bl_codec_status status;
static struct bl_codec_dataplane planes[2];
static struct bl_writer_counts writer;
static struct bl_ingest_counts ingest;
static struct bl_latency durable;
static struct bl_latency enforced;
static const struct bl_metrics_actor actors[] = {{"portal", 12}, {"a \"b\" \\c", 0}};
static const struct bl_metrics metrics = {
    .status = &status,
    .writer = &writer,
    .durable = &durable,
    .enforced = &enforced,
    .n_unmeasured = 5,
    .log_bytes = 4096,
    .ingest = &ingest,
    .actors = actors,
    .n_actors = 2,
};
static char *text;

static void setup(void)
{
    memset(&status, 0, sizeof(status));
    memset(planes, 0, sizeof(planes));
    memset(&writer, 0, sizeof(writer));
    memset(&ingest, 0, sizeof(ingest));
    memset(&durable, 0, sizeof(durable));
    memset(&enforced, 0, sizeof(enforced));
    status.write_fault = "";
    status.expiry_hold = "";
    status.dataplanes = planes;
    text = NULL;
}

static void teardown(void)
{
    free(text);
}

static void make(void)
{
    size_t length;

    free(text);
    ck_assert_int_eq(bl_metrics_write(&metrics, &text, &length), BL_OK);
    ck_assert_uint_eq(length, strlen(text));
    ck_assert_int_eq(text[length - 1], '\n');
}

static bool has(const char *line)
{
    size_t length = strlen(line);

    for (const char *at = text; (at = strstr(at, line)) != NULL; at += length)
        if ((at == text || at[-1] == '\n') && at[length] == '\n')
            return true;
    return false;
}

static void expect(const char *line)
{
    const char *found;
    char name[128];

    if (has(line))
        return;
    (void)snprintf(name, sizeof(name), "\n%.*s", (int)strcspn(line, "{ "), line);
    found = strstr(text, name);
    ck_abort_msg("expected '%s', found '%.200s'", line, found == NULL ? "" : found + 1);
}

START_TEST(the_numbers_are_where_they_belong)
{
    status.durable_serial = UINT64_MAX;
    status.enforced_serial = 41;
    status.counts = (struct bl_list_counts){1, 2, 3, 4, 5, 6};
    status.uptime_ms = 61500;
    for (int i = 0; i < BL_OUTCOME_COUNT; i++)
        writer.n_outcomes[i] = 100 + (uint64_t)i;
    writer.n_held = 7;
    writer.n_failed = 8;
    writer.n_queued = 9;
    writer.n_queued_bytes = 10;
    ingest.n_calls[BL_AUTHORIZE_PUSH][8] = 11;
    ingest.n_calls[BL_AUTHORIZE_METHOD_COUNT][12] = 13;
    make();
    expect("bounceline_durable_serial 18446744073709551615");
    expect("bounceline_enforced_serial 41");
    expect("bounceline_listings 1");
    expect("bounceline_delists 2");
    expect("bounceline_exemptions 3");
    expect("bounceline_effective_entries{family=\"ipv4\"} 4");
    expect("bounceline_effective_entries{family=\"ipv6\"} 5");
    expect("bounceline_classes 6");
    expect("bounceline_uptime_seconds 61.500");
    expect("bounceline_updates_total{outcome=\"applied\"} 101");
    expect("bounceline_updates_total{outcome=\"unchanged\"} 102");
    expect("bounceline_updates_total{outcome=\"removed\"} 103");
    expect("bounceline_updates_total{outcome=\"exempted\"} 104");
    expect("bounceline_updates_total{outcome=\"not_listed\"} 105");
    expect("bounceline_updates_total{outcome=\"refused\"} 106");
    expect("bounceline_held_batches_total 7");
    expect("bounceline_failed_batches_total 8");
    expect("bounceline_queued_batches 9");
    expect("bounceline_queued_bytes 10");
    expect("bounceline_calls_total{method=\"Push\",status=\"RESOURCE_EXHAUSTED\"} 11");
    expect("bounceline_calls_total{method=\"other\",status=\"UNIMPLEMENTED\"} 13");
    expect("bounceline_calls_total{method=\"Apply\",status=\"OK\"} 0");
    expect("bounceline_limit_refused_updates_total{actor=\"portal\"} 12");
    expect("bounceline_limit_refused_updates_total{actor=\"a \\\"b\\\" \\\\c\"} 0");
    expect("bounceline_enforced_unmeasured_total 5");
    expect("bounceline_log_bytes 4096");
    expect("bounceline_write_fault 0");
    expect("bounceline_expiry_hold 0");
    status.write_fault = "disk full";
    make();
    expect("bounceline_write_fault 1");
    expect("bounceline_expiry_hold 0");
    status.write_fault = "";
    status.expiry_hold = "the clock stepped ahead";
    make();
    expect("bounceline_write_fault 0");
    expect("bounceline_expiry_hold 1");
}
END_TEST

START_TEST(each_time_is_in_its_bucket)
{
    static const int64_t times_us[] = {-5, 0, 100, 101, 999, 1000, 1001, 10000000, 10000001};

    for (size_t i = 0; i < sizeof(times_us) / sizeof(times_us[0]); i++)
        bl_latency_add(&durable, times_us[i]);
    bl_latency_add(&enforced, 1500);
    make();
    expect("# TYPE bounceline_durable_seconds histogram");
    expect("bounceline_durable_seconds_bucket{le=\"0.0001\"} 3");
    expect("bounceline_durable_seconds_bucket{le=\"0.0002\"} 4");
    expect("bounceline_durable_seconds_bucket{le=\"0.0005\"} 4");
    expect("bounceline_durable_seconds_bucket{le=\"0.001\"} 6");
    expect("bounceline_durable_seconds_bucket{le=\"0.002\"} 7");
    expect("bounceline_durable_seconds_bucket{le=\"5\"} 7");
    expect("bounceline_durable_seconds_bucket{le=\"10\"} 8");
    expect("bounceline_durable_seconds_bucket{le=\"+Inf\"} 9");
    expect("bounceline_durable_seconds_count 9");
    expect("bounceline_durable_seconds_sum 20.003202");
    expect("bounceline_enforced_seconds_bucket{le=\"0.001\"} 0");
    expect("bounceline_enforced_seconds_bucket{le=\"0.002\"} 1");
}
END_TEST

static void name_counter(struct bl_codec_dataplane *plane, const char *name, uint64_t value)
{
    struct bl_codec_sync_counter *counter = &plane->report.counters[plane->report.n_counters++];

    (void)snprintf(counter->name, sizeof(counter->name), "%s", name);
    counter->value = value;
}

START_TEST(data_planes)
{
    (void)snprintf(planes[0].name, sizeof(planes[0].name), "edge1");
    planes[0].connected = true;
    planes[0].age_ms = 1234;
    planes[0].n_resyncs = 2;
    planes[0].n_digest_mismatches = 1;
    planes[0].report.serial = 77;
    planes[0].report.n_entries_ipv4 = 10;
    planes[0].report.n_entries_ipv6 = 20;
    planes[0].report.n_workers = 1;
    planes[0].report.workers[0] = (struct bl_codec_sync_worker){3, 76, 0, 500, 600};
    (void)snprintf(planes[1].name, sizeof(planes[1].name), "edge\"2");
    status.n_dataplanes = 2;
    for (unsigned i = 0; i < BL_REASON_COUNT; i++)
        name_counter(&planes[0], bl_verdict_reason_name(i), 1000 + i);
    name_counter(&planes[0], "resent_greeting", 55);
    make();
    expect("bounceline_dataplane_connected{dataplane=\"edge1\"} 1");
    expect("bounceline_dataplane_connected{dataplane=\"edge\\\"2\"} 0");
    expect("bounceline_dataplane_serial{dataplane=\"edge1\"} 77");
    expect("bounceline_dataplane_entries{dataplane=\"edge1\"} 30");
    expect("bounceline_dataplane_resyncs_total{dataplane=\"edge1\"} 2");
    expect("bounceline_dataplane_digest_mismatches_total{dataplane=\"edge1\"} 1");
    expect("bounceline_dataplane_report_age_seconds{dataplane=\"edge1\"} 1.234");
    expect("bounceline_worker_serial{dataplane=\"edge1\",worker=\"3\"} 76");
    expect("bounceline_worker_received_packets_total{dataplane=\"edge1\",worker=\"3\"} 500");
    expect("bounceline_worker_sent_packets_total{dataplane=\"edge1\",worker=\"3\"} 600");
    expect("bounceline_dataplane_events_total{dataplane=\"edge1\",event=\"resent_greeting\"} 55");
    for (unsigned i = 0; i < BL_REASON_COUNT; i++) {
        char line[128];

        (void)snprintf(line, sizeof(line), "bounceline_packets_total{dataplane=\"edge1\",reason=\"%s\"} %u",
                       bl_verdict_reason_name(i), 1000 + i);
        expect(line);
    }
}
END_TEST

/* Whatever a data plane calls its counters. */
START_TEST(no_address_gets_into_a_label)
{
    static const char *const names[] = {
        "192.0.2.77", "2001:db8::7", "fe80::1", "::1", "dead:beef::", "c0000201", "x.192.0.2.7", "a b",
        "A",          "a\"b",        "",        "7"};

    (void)snprintf(planes[0].name, sizeof(planes[0].name), "edge1");
    status.n_dataplanes = 1;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        name_counter(&planes[0], names[i], 9);
    make();
    expect("bounceline_dataplane_events_total{dataplane=\"edge1\",event=\"c0000201\"} 9"); /* a word like any other */
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char label[64];

        (void)snprintf(label, sizeof(label), "event=\"%s", names[i]);
        ck_assert_msg(strstr(text, label) == NULL || strcmp(names[i], "c0000201") == 0 || names[i][0] == '\0', "%s",
                      names[i]);
    }
    ck_assert_ptr_null(strstr(text, "event=\"\""));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("metrics");
    TCase *tcase = tcase_create("metrics");
    SRunner *runner = srunner_create(suite);
    int n_failed;

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, the_numbers_are_where_they_belong);
    tcase_add_test(tcase, each_time_is_in_its_bucket);
    tcase_add_test(tcase, data_planes);
    tcase_add_test(tcase, no_address_gets_into_a_label);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_ENV);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? 0 : 1;
}
