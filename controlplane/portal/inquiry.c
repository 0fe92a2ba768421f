/* See inquiry.h. */
#include "controlplane/portal/inquiry.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <ares.h>

#include "controlplane/clock.h"
#include "controlplane/notice.h"
#include "controlplane/portal/bell.h"
#include "controlplane/portal/ranges.h"

enum { JOBS_MAX = 8, ATTEMPTS_MAX = 4, FIRST_PAUSE_MS = 10000, IDLE_MS = 60000 };

struct bl_inquiry {
    struct bl_inquiry_parts parts;
    struct bl_domain_list *domains;
    pthread_t thread;
    struct bl_bell bell;
    struct bl_lookup_job jobs[JOBS_MAX];
    struct bl_reverse_answer answers[JOBS_MAX * BL_CONTROL_ITEMS_MAX]; /* the jobs' addresses, one behind the other */
};

/* Jobs that are due, and their addresses. @return how many jobs; *until_ms: when the next one is due, or 0. */
static size_t take_jobs(struct bl_inquiry *inquiry, int64_t now_ms, size_t *n_answers, int64_t *until_ms)
{
    struct bl_requests *requests = inquiry->parts.requests;
    int64_t after = 0;
    size_t n = 0;

    *n_answers = 0;
    while (n < JOBS_MAX && bl_lookups_next(requests, now_ms, after, &inquiry->jobs[n], until_ms) == BL_OK) {
        struct bl_lookup_job *job = &inquiry->jobs[n];
        struct bl_control_item single = job->items.items[0];

        after = job->request;
        if (bl_ranges_read(requests, job->request, &job->items) != BL_OK)
            continue;
        if (job->items.n == 0) {
            job->items.items[0] = single;
            job->items.n = 1;
        }
        for (size_t i = 0; i < job->items.n; i++)
            (void)bl_address_parse(job->items.items[i].address, &inquiry->answers[(*n_answers)++].address, NULL);
        n++;
    }
    return n;
}

static void postpone(struct bl_inquiry *inquiry, const struct bl_lookup_job *job, int64_t now_ms)
{
    int64_t pause_ms = FIRST_PAUSE_MS;
    bool again = job->n_attempts + 1 < ATTEMPTS_MAX;

    for (uint32_t i = 0; i < job->n_attempts; i++)
        pause_ms *= 4;
    bl_notice_write("request %lld: no answer about the reverse names, %s", (long long)job->request,
                    again ? "asked again later" : "given up");
    bl_lookups_postpone(inquiry->parts.requests, job->request, again ? now_ms + pause_ms : 0, "no answer");
}

/* What was found is enough even when a server was silent; that nothing was found is not. @return false: the store fails,
 * and it stays due. */
static bool settle(struct bl_inquiry *inquiry, const struct bl_lookup_job *job, const struct bl_reverse_answer *answers)
{
    struct bl_lookup_answer answer;
    int64_t now_ms = bl_clock_wall_ms();
    bool unsure = false;
    int n_queued;

    bl_domain_choose(inquiry->domains, answers, job->items.n, &answer);
    for (size_t i = 0; i < job->items.n; i++)
        unsure = unsure || answers[i].unsure;
    if (unsure && answer.n_mailboxes == 0) {
        postpone(inquiry, job, now_ms);
        return true;
    }
    n_queued = bl_lookups_settle(inquiry->parts.requests, inquiry->parts.secret, job->request, &answer, now_ms);
    if (n_queued < 0)
        return false;
    if (answer.n_mailboxes == 0)
        bl_notice_write("request %lld: nobody is mailed: %s", (long long)job->request, answer.cause);
    else
        bl_notice_write("request %lld: %d of %zu mailboxes at %s get a link", (long long)job->request, n_queued,
                        answer.n_mailboxes, strchr(answer.mailboxes[answer.n_mailboxes - 1], '@') + 1);
    if (n_queued > 0)
        bl_courier_wake(inquiry->parts.courier);
    return true;
}

static void *run(void *context)
{
    struct bl_inquiry *inquiry = context;
    int64_t until_ms = 0;

    while (bl_bell_wait(&inquiry->bell, until_ms)) {
        int64_t now_ms = bl_clock_wall_ms();
        size_t n_answers;
        size_t n_jobs = take_jobs(inquiry, now_ms, &n_answers, &until_ms);
        const struct bl_reverse_answer *answers = inquiry->answers;
        bool well = n_jobs == 0 || bl_reverse_find(inquiry->parts.settings, &inquiry->bell.stopping, inquiry->answers,
                                                   n_answers) == BL_OK;

        if (!well)
            bl_notice_write("reverse names can't be asked for: c-ares does not start");
        for (size_t i = 0; well && i < n_jobs && !atomic_load(&inquiry->bell.stopping); i++) {
            well = settle(inquiry, &inquiry->jobs[i], answers);
            answers += inquiry->jobs[i].items.n;
        }
        if (n_jobs > 0)
            until_ms = well ? 0 : now_ms + FIRST_PAUSE_MS;
        else if (until_ms == 0 || until_ms > now_ms + IDLE_MS)
            until_ms = now_ms + IDLE_MS;
    }
    return NULL;
}

int bl_inquiry_create(struct bl_inquiry **out, const struct bl_inquiry_parts *parts, struct bl_error_detail *detail)
{
    struct bl_inquiry *inquiry = calloc(1, sizeof(*inquiry));
    int error = BL_EAGAIN;

    if (inquiry == NULL)
        return BL_ENOMEM;
    inquiry->parts = *parts;
    bl_bell_init(&inquiry->bell);
    if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS)
        error = bl_error_set(detail, BL_EIO, "portal.reverse_names: c-ares does not start");
    else if (bl_domain_open(&inquiry->domains) != BL_OK)
        error = bl_error_set(detail, BL_EIO, "portal.reverse_names: no list of public suffixes (package publicsuffix)");
    else if (pthread_create(&inquiry->thread, NULL, run, inquiry) == 0)
        error = BL_OK;
    if (error == BL_OK) {
        *out = inquiry;
        return BL_OK;
    }
    bl_domain_close(inquiry->domains);
    free(inquiry);
    return error;
}

void bl_inquiry_wake(struct bl_inquiry *inquiry)
{
    if (inquiry == NULL)
        return;
    bl_bell_ring(&inquiry->bell);
}

void bl_inquiry_free(struct bl_inquiry *inquiry)
{
    if (inquiry == NULL)
        return;
    bl_bell_stop(&inquiry->bell);
    (void)pthread_join(inquiry->thread, NULL);
    bl_domain_close(inquiry->domains);
    ares_library_cleanup();
    free(inquiry);
}
