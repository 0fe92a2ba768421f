/* status: serials, data planes, workers, digests, counters; see status.h. */
#include "controlplane/cli/status.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bounceline/verdict.h"
#include "controlplane/cli/session.h"
#include "controlplane/cli/duration.h"
#include "controlplane/cli/text.h"

/* Two states are compared at equal serials only. */
enum agreement { AGREEMENT_UNKNOWN, AGREEMENT_YES, AGREEMENT_NO };

static enum agreement digest_agreement(const struct bl_status *status, const struct bl_status_dataplane *dataplane)
{
    if (dataplane->epoch != status->epoch || dataplane->serial != status->durable_serial)
        return AGREEMENT_UNKNOWN;
    return dataplane->digest_hi == status->digest_hi && dataplane->digest_lo == status->digest_lo ? AGREEMENT_YES
                                                                                                  : AGREEMENT_NO;
}

/* A checksum of 0 has not been taken yet. */
static enum agreement replica_agreement(const struct bl_status_dataplane *dataplane)
{
    for (size_t i = 0; i < dataplane->n_workers; i++)
        if (dataplane->workers[i].serial != dataplane->workers[0].serial || dataplane->workers[i].checksum == 0)
            return AGREEMENT_UNKNOWN;
    for (size_t i = 1; i < dataplane->n_workers; i++)
        if (dataplane->workers[i].checksum != dataplane->workers[0].checksum)
            return AGREEMENT_NO;
    return dataplane->n_workers == 0 ? AGREEMENT_UNKNOWN : AGREEMENT_YES;
}

static const char *agreement_words(enum agreement agreement)
{
    switch (agreement) {
    case AGREEMENT_YES:
        return "agrees";
    case AGREEMENT_NO:
        return "DIFFERS";
    default:
        return "can't be compared yet";
    }
}

/* The sentence of a reason that this version knows; "" for another's. */
static const char *reason_text(const char *name)
{
    for (unsigned reason = 0; reason < BL_REASON_COUNT; reason++)
        if (strcmp(bl_verdict_reason_name(reason), name) == 0)
            return bl_verdict_reason_text(reason);
    return "";
}

static bool any_connected(const struct bl_status *status)
{
    for (size_t i = 0; i < status->n_dataplanes; i++)
        if (status->dataplanes[i].connected)
            return true;
    return false;
}

/* A fault of the log comes first: everything below it is still true, but no longer changes. */
static void show_controlplane(const struct bl_status *status)
{
    char duration[BL_DURATION_TEXT_MAX];

    (void)fputs("control plane  version ", stdout);
    bl_text_put(stdout, status->version);
    (void)printf(", up %s, epoch %016" PRIx64 "\n", bl_duration_format(status->uptime_ms, duration), status->epoch);
    if (status->write_fault[0] != '\0') {
        (void)fputs("  WRITES ARE REFUSED: ", stdout);
        bl_text_put(stdout, status->write_fault);
        (void)fputc('\n', stdout);
    }
    if (status->expiry_hold[0] != '\0') {
        (void)fputs("  EXPIRY IS HELD: ", stdout);
        bl_text_put(stdout, status->expiry_hold);
        (void)fputc('\n', stdout);
    }
    if (!any_connected(status))
        (void)printf("  serial       %" PRIu64 " durable; no data plane is connected: nothing is enforced\n",
                     status->durable_serial);
    else
        (void)printf("  serial       %" PRIu64 " durable, %" PRIu64 " enforced\n", status->durable_serial,
                     status->enforced_serial);
    (void)printf("  list         %" PRIu64 " listings, %" PRIu64 " exemptions, %" PRIu64 " delists, %" PRIu32
                 " classes\n",
                 status->n_listings, status->n_exemptions, status->n_delists, status->n_classes);
    (void)printf("  entries      %" PRIu64 " IPv4, %" PRIu64 " IPv6\n", status->n_effective_ipv4,
                 status->n_effective_ipv6);
    (void)printf("  digest       %016" PRIx64 "%016" PRIx64 "\n", status->digest_hi, status->digest_lo);
}

static void show_workers(const struct bl_status_dataplane *dataplane)
{
    for (size_t i = 0; i < dataplane->n_workers; i++) {
        const struct bl_status_worker *worker = &dataplane->workers[i];

        (void)printf("  worker %-5" PRIu32 " serial %" PRIu64 ", checksum %016" PRIx64 ", %" PRIu64
                     " packets in, %" PRIu64 " out\n",
                     worker->worker, worker->serial, worker->checksum, worker->rx_packets, worker->tx_packets);
    }
    if (dataplane->n_workers > 1)
        (void)printf("  replicas     %s\n", replica_agreement(dataplane) == AGREEMENT_YES
                                                ? "agree"
                                                : agreement_words(replica_agreement(dataplane)));
}

/* In the data plane's order, which is the order in which a packet meets the reasons (verdict.h). */
static void show_counters(const struct bl_status_counter *counters, size_t n, bool all)
{
    for (size_t i = 0; i < n; i++) {
        const struct bl_status_counter *counter = &counters[i];

        if (counter->value == 0 && !all)
            continue;
        (void)printf("  %12" PRIu64 " ", counter->value);
        bl_text_put(stdout, counter->name);
        if (reason_text(counter->name)[0] != '\0')
            (void)printf(": %s", reason_text(counter->name));
        (void)fputc('\n', stdout);
    }
}

static void show_dataplane(const struct bl_status *status, const struct bl_status_dataplane *dataplane, bool all)
{
    char age[BL_DURATION_TEXT_MAX];

    (void)fputs("data plane     ", stdout);
    bl_text_put(stdout, dataplane->name);
    (void)fputs(", ", stdout);
    bl_text_put(stdout, dataplane->version);
    (void)printf("%s, last report %s ago\n", dataplane->connected ? "" : ", NOT CONNECTED",
                 bl_duration_format(dataplane->age_ms, age));
    (void)printf("  serial       %" PRIu64 "%s\n", dataplane->serial,
                 dataplane->epoch == status->epoch ? "" : " of another epoch");
    (void)printf("  entries      %" PRIu64 " IPv4, %" PRIu64 " IPv6\n", dataplane->n_entries_ipv4,
                 dataplane->n_entries_ipv6);
    (void)printf("  digest       %016" PRIx64 "%016" PRIx64 ", %s\n", dataplane->digest_hi, dataplane->digest_lo,
                 agreement_words(digest_agreement(status, dataplane)));
    (void)printf("  resyncs      %" PRIu64 ", digest mismatches %" PRIu64 "\n", dataplane->n_resyncs,
                 dataplane->n_digest_mismatches);
    show_workers(dataplane);
    show_counters(dataplane->counters, dataplane->n_counters, all);
}

/* null is no disagreement: an alarm on "false" must not ring at every update. */
static void put_agreement_json(struct bl_json *json, const char *key, enum agreement agreement)
{
    if (agreement == AGREEMENT_UNKNOWN)
        bl_json_put_null(json, key);
    else
        bl_json_put_bool(json, key, agreement == AGREEMENT_YES);
}

static void dataplane_json(struct bl_json *json, const struct bl_status *status,
                           const struct bl_status_dataplane *dataplane)
{
    bl_json_begin_object(json, NULL);
    bl_json_put_text(json, "name", dataplane->name);
    bl_json_put_text(json, "version", dataplane->version);
    bl_json_put_bool(json, "connected", dataplane->connected);
    bl_json_put_hex(json, "epoch", dataplane->epoch);
    bl_json_put_uint(json, "serial", dataplane->serial);
    bl_json_put_digest(json, "digest", dataplane->digest_hi, dataplane->digest_lo);
    put_agreement_json(json, "digest_agrees", digest_agreement(status, dataplane));
    put_agreement_json(json, "replicas_agree", replica_agreement(dataplane));
    bl_json_put_uint(json, "n_entries_ipv4", dataplane->n_entries_ipv4);
    bl_json_put_uint(json, "n_entries_ipv6", dataplane->n_entries_ipv6);
    bl_json_put_uint(json, "age_ms", dataplane->age_ms);
    bl_json_put_uint(json, "n_resyncs", dataplane->n_resyncs);
    bl_json_put_uint(json, "n_digest_mismatches", dataplane->n_digest_mismatches);
    bl_json_begin_array(json, "workers");
    for (size_t i = 0; i < dataplane->n_workers; i++) {
        bl_json_begin_object(json, NULL);
        bl_json_put_uint(json, "worker", dataplane->workers[i].worker);
        bl_json_put_uint(json, "serial", dataplane->workers[i].serial);
        bl_json_put_hex(json, "checksum", dataplane->workers[i].checksum);
        bl_json_put_uint(json, "rx_packets", dataplane->workers[i].rx_packets);
        bl_json_put_uint(json, "tx_packets", dataplane->workers[i].tx_packets);
        bl_json_end_object(json);
    }
    bl_json_end_array(json);
    bl_json_begin_object(json, "counters");
    for (size_t i = 0; i < dataplane->n_counters; i++)
        bl_json_put_uint(json, dataplane->counters[i].name, dataplane->counters[i].value);
    bl_json_end_object(json);
    bl_json_end_object(json);
}

static void show_json(const struct bl_status *status)
{
    struct bl_json json;

    bl_json_init(&json, stdout);
    bl_json_begin_object(&json, NULL);
    bl_json_put_text(&json, "version", status->version);
    bl_json_put_hex(&json, "epoch", status->epoch);
    bl_json_put_uint(&json, "durable_serial", status->durable_serial);
    bl_json_put_uint(&json, "enforced_serial", status->enforced_serial);
    bl_json_put_digest(&json, "digest", status->digest_hi, status->digest_lo);
    bl_json_put_uint(&json, "n_listings", status->n_listings);
    bl_json_put_uint(&json, "n_exemptions", status->n_exemptions);
    bl_json_put_uint(&json, "n_delists", status->n_delists);
    bl_json_put_uint(&json, "n_effective_ipv4", status->n_effective_ipv4);
    bl_json_put_uint(&json, "n_effective_ipv6", status->n_effective_ipv6);
    bl_json_put_uint(&json, "n_classes", status->n_classes);
    bl_json_put_uint(&json, "uptime_ms", status->uptime_ms);
    bl_json_put_text(&json, "write_fault", status->write_fault);
    bl_json_put_text(&json, "expiry_hold", status->expiry_hold);
    bl_json_begin_object(&json, "counters");
    for (size_t i = 0; i < status->n_counters; i++)
        bl_json_put_uint(&json, status->counters[i].name, status->counters[i].value);
    bl_json_end_object(&json);
    bl_json_begin_array(&json, "dataplanes");
    for (size_t i = 0; i < status->n_dataplanes; i++)
        dataplane_json(&json, status, &status->dataplanes[i]);
    bl_json_end_array(&json);
    bl_json_put_int(&json, "exit_code", BL_EXIT_DONE);
    bl_json_end_object(&json);
}

int bl_status_run(const struct bl_options *options)
{
    struct bl_error_detail detail = {""};
    struct bl_status status;
    struct bl_session session;
    enum bl_exit code = bl_session_open(&session, options);
    int error;

    if (code != BL_EXIT_DONE)
        return code;
    error = bl_session_status(&session, &status, &detail);
    bl_session_close(&session);
    if (error != BL_OK)
        return bl_session_fail(options, bl_session_exit(error), detail.text);
    if (options->json) {
        show_json(&status);
    } else {
        show_controlplane(&status);
        show_counters(status.counters, status.n_counters, options->all);
        for (size_t i = 0; i < status.n_dataplanes; i++)
            show_dataplane(&status, &status.dataplanes[i], options->all);
    }
    bl_client_codec_free_status(&status);
    return BL_EXIT_DONE;
}
