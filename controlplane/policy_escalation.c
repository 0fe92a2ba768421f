/* The count of self-service delists; see policy_escalation.h. */
#include "controlplane/policy_escalation.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The newest times that count at a moment, oldest first. */
struct counted {
    int64_t seconds[BL_POLICY_ESCALATION_TIMES_MAX];
    size_t n;
};

static void add(struct counted *counted, int64_t seconds)
{
    if (counted->n == BL_POLICY_ESCALATION_TIMES_MAX) {
        memmove(counted->seconds, counted->seconds + 1, (counted->n - 1) * sizeof(counted->seconds[0]));
        counted->n--;
    }
    counted->seconds[counted->n++] = seconds;
}

/* A time is counted as long as the window from it has not ended. What is not a number ends the text. */
static void read_times(const char *times, int64_t now_ms, int64_t window_ms, struct counted *counted)
{
    counted->n = 0;
    while (times != NULL && *times != '\0') {
        char *end;
        int64_t seconds = strtoll(times, &end, 10);

        if (end == times || seconds > INT64_MAX / 2000)
            return;
        if (seconds > (now_ms - window_ms) / 1000)
            add(counted, seconds);
        times = end;
    }
}

void bl_policy_escalation_add(struct bl_policy_escalation *out, const char *times, int64_t now_ms, int64_t window_ms)
{
    struct counted counted;
    size_t n_bytes = 0;

    read_times(times, now_ms, window_ms, &counted);
    add(&counted, now_ms / 1000);
    out->text[0] = '\0';
    for (size_t i = 0; i < counted.n; i++)
        n_bytes += (size_t)snprintf(out->text + n_bytes, sizeof(out->text) - n_bytes, "%s%" PRId64, i == 0 ? "" : " ",
                                    counted.seconds[i]);
}

int64_t bl_policy_escalation_until(const char *times, int64_t now_ms, int64_t window_ms, uint32_t limit)
{
    struct counted counted;

    read_times(times, now_ms, window_ms, &counted);
    /* It opens when the limit-th newest stops to count. */
    return counted.n < limit ? 0 : counted.seconds[counted.n - limit] * 1000 + window_ms;
}

const char *bl_policy_escalation_time(int64_t time_ms, char out[BL_POLICY_ESCALATION_TIME_MAX])
{
    time_t seconds = (time_t)(time_ms / 1000);
    struct tm utc;

    if (gmtime_r(&seconds, &utc) == NULL ||
        strftime(out, BL_POLICY_ESCALATION_TIME_MAX, "%Y-%m-%dT%H:%M:%SZ", &utc) == 0)
        (void)snprintf(out, BL_POLICY_ESCALATION_TIME_MAX, "%" PRId64, (int64_t)seconds);
    return out;
}
