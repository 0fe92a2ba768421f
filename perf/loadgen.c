/* loadgen: SMTP clients of a whole internet against the appliance. See --help and perf/README.md.
 *
 *   options ─▶ schedule ─▶ trial ─┬─ begin: schedule ─▶ port ─────────▶ appliance
 *              (the n-th event    ├─ receive: check ◀── port ◀────────┘
 *               of this seed)     └─ go on: client ──▶ port
 *   and a search over trials, and a report. One polling core.
 *
 * Exit: 0 all answers right, 1 a wrong one, 2 usage, 3 it could not run, 4 too much was lost. */
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>

#include "perf/loadgen_report.h"

enum { EXIT_WRONG = 1, EXIT_CANNOT_RUN = 3, EXIT_LOST = 4, WARM_UP_RATE = 20000, STOP_FIRST_MS = 10000 };

static void on_signal(int number)
{
    (void)number;
    loadgen_trial_stop++;
}

static int complain(const struct bl_error_detail *detail)
{
    fprintf(stderr, "loadgen: %s\n", detail->text);
    return EXIT_CANNOT_RUN;
}

/* The ports, and nothing else: frames may come in from here on. */
static int open_ports(struct loadgen *loadgen, struct bl_error_detail *detail)
{
    struct rte_mempool *pool = loadgen_port_make_pool();
    uint16_t lan = loadgen->options.lan_port;
    int error;

    if (pool == NULL)
        return bl_error_set(detail, BL_ENOMEM, "no memory for frames: %s", rte_strerror(rte_errno));
    if (lan == LOADGEN_SECOND_PORT)
        lan = rte_eth_dev_count_avail() > 1 ? 1 : LOADGEN_NO_PORT;
    if (lan == LOADGEN_NO_PORT && loadgen->options.weights[LOADGEN_KIND_LAN] != 0)
        return bl_error_set(detail, BL_EINVAL, "--mix: kind lan: expected a port toward the servers (--lan-port)");
    if (lan == loadgen->options.wan_port)
        return bl_error_set(detail, BL_EINVAL, "--wan-port and --lan-port are both %u: expected two ports", lan);
    error = loadgen_port_open(&loadgen->wan, loadgen->options.wan_port, pool, detail);
    if (error == BL_OK && lan != LOADGEN_NO_PORT)
        error = loadgen_port_open(&loadgen->lan, lan, pool, detail);
    if (error != BL_OK)
        return error;
    loadgen->wan.capture = &loadgen->capture;
    loadgen->lan.capture = &loadgen->capture;
    if (!loadgen_port_wait(&loadgen->wan, loadgen->options.wait_s) ||
        (loadgen->lan.pool != NULL && !loadgen_port_wait(&loadgen->lan, loadgen->options.wait_s)))
        return bl_error_set(detail, BL_EIO, "a port has no link after %g s: is the other end there?",
                            loadgen->options.wait_s);
    return BL_OK;
}

static int prepare(struct loadgen *loadgen, struct bl_error_detail *detail)
{
    const struct loadgen_options *options = &loadgen->options;
    struct timespec now;
    int error = loadgen_schedule_init(&loadgen->schedule, options, detail);

    if (error != BL_OK)
        return error;
    if (loadgen->schedule.sources.n_reserved != 0)
        fprintf(stderr, "loadgen: %zu prefixes of reserved space are left out: nothing may be answered there\n",
                loadgen->schedule.sources.n_reserved);
    loadgen->exhibits = calloc(options->wrong_shown + 1, sizeof(*loadgen->exhibits));
    if (loadgen_check_init(&loadgen->check, options, &loadgen->schedule) != BL_OK || loadgen->exhibits == NULL)
        return bl_error_set(detail, BL_ENOMEM, "no memory for the notebook");
    if (options->pcap != NULL) {
        loadgen->capture.file = pcap_file_create(options->pcap);
        loadgen->capture.n_left = options->pcap_frames;
        if (loadgen->capture.file == NULL)
            return bl_error_set(detail, BL_EIO, "%s: %s", options->pcap, strerror(errno));
    }
    clock_gettime(CLOCK_REALTIME, &now);
    loadgen->tsc_base = rte_rdtsc();
    loadgen->base_s = (uint64_t)now.tv_sec;
    loadgen->ns_per_tick = 1e9 / (double)rte_get_tsc_hz();
    loadgen->live = isatty(STDERR_FILENO) != 0;
    return open_ports(loadgen, detail);
}

static bool is_good(const struct loadgen *loadgen, const struct loadgen_result *result)
{
    return !result->behind && result->loss_percent <= loadgen->options.loss_percent;
}

static bool is_wrong(const struct loadgen *loadgen)
{
    return loadgen->check.tally.n_wrong != 0 || loadgen_report_guesses_are_wrong(&loadgen->check.tally);
}

/* @return whether the rate was good; false too when the search must end. */
static bool try_rate(struct loadgen *loadgen, struct loadgen_search *search, double rate)
{
    struct loadgen_result *result = &search->trials[search->n_trials];

    loadgen_trial_run(loadgen, rate, loadgen->options.count, result);
    search->n_trials++;
    if (!is_good(loadgen, result))
        return false;
    if (search->best < 0 || rate > search->trials[search->best].rate)
        search->best = (int)search->n_trials - 1;
    return true;
}

static bool may_go_on(const struct loadgen *loadgen, const struct loadgen_search *search)
{
    return !is_wrong(loadgen) && loadgen_trial_stop == 0 && search->n_trials < LOADGEN_TRIALS_MAX;
}

/* RFC 2544, 26.1: the highest first, then halves of what is left between a rate that was good and one that was not. */
static void find_rate(struct loadgen *loadgen, struct loadgen_search *search)
{
    const struct loadgen_options *options = &loadgen->options;
    double low = options->rate_min, high = options->rate;

    search->at_the_limit = try_rate(loadgen, search, high);
    if (search->at_the_limit || !may_go_on(loadgen, search) || !try_rate(loadgen, search, low))
        return;
    while ((high - low) / low * 100 > options->resolution_percent && may_go_on(loadgen, search)) {
        /* The geometric mean: rates are compared by ratio. */
        double middle = sqrt(low * high);

        if (try_rate(loadgen, search, middle))
            low = middle;
        else
            high = middle;
    }
}

static int exit_code(const struct loadgen *loadgen, const struct loadgen_search *search)
{
    const struct loadgen_result *last = &search->trials[search->n_trials - 1];

    if (is_wrong(loadgen))
        return EXIT_WRONG;
    if (loadgen->options.search)
        return search->best >= 0 ? EXIT_SUCCESS : EXIT_LOST;
    if (last->n_expected != 0 && last->n_completed == 0)
        return EXIT_LOST;
    return loadgen->options.loss_percent >= 0 && last->loss_percent > loadgen->options.loss_percent ? EXIT_LOST
                                                                                                    : EXIT_SUCCESS;
}

/* Rings and buffers are touched for the first time, which costs milliseconds. @return false after a wrong answer: then this
 * was the run. */
static bool warm_up(struct loadgen *loadgen, struct loadgen_search *search)
{
    const struct loadgen_options *options = &loadgen->options;

    if (options->warm_up == 0)
        return true;
    loadgen_trial_run(loadgen, options->rate < WARM_UP_RATE ? options->rate : WARM_UP_RATE, options->warm_up,
                      &search->trials[0]);
    search->n_trials = is_wrong(loadgen) ? 1 : 0;
    return search->n_trials == 0;
}

static int measure(struct loadgen *loadgen)
{
    struct loadgen_search search = {.best = -1};

    if (!warm_up(loadgen, &search))
        loadgen_trial_stop = 1;
    else if (loadgen->options.search)
        find_rate(loadgen, &search);
    else
        (void)try_rate(loadgen, &search, loadgen->options.rate);
    loadgen_report_wrong(loadgen);
    if (loadgen->options.json)
        loadgen_report_json(loadgen, &search);
    else
        loadgen_report_text(loadgen, &search);
    return exit_code(loadgen, &search);
}

/* Also of a child that nobody has waited for: that is why no kill(pid, 0). */
static void stop_first(int pid)
{
    struct pollfd ended = {.fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN};

    if (ended.fd < 0)
        return;
    (void)kill(pid, SIGTERM);
    (void)poll(&ended, 1, STOP_FIRST_MS);
    close(ended.fd);
}

/* @return @p code, or 3 when the capture could not be written whole. */
static int finish(struct loadgen *loadgen, int code)
{
    struct loadgen_capture *capture = &loadgen->capture;

    if (loadgen->options.stop_first != 0)
        stop_first(loadgen->options.stop_first);
    loadgen_port_close(&loadgen->wan);
    loadgen_port_close(&loadgen->lan);
    if (capture->file != NULL && fclose(capture->file) != 0 && capture->error == 0)
        capture->error = errno;
    if (capture->error != 0) {
        fprintf(stderr, "loadgen: %s: %s\n", loadgen->options.pcap, strerror(capture->error));
        code = code == EXIT_WRONG ? code : EXIT_CANNOT_RUN;
    }
    loadgen_check_fini(&loadgen->check);
    loadgen_schedule_fini(&loadgen->schedule);
    free(loadgen->exhibits);
    (void)rte_eal_cleanup();
    return code;
}

int main(int argc, char **argv)
{
    struct sigaction action = {.sa_handler = on_signal};
    struct bl_error_detail detail = {""};
    struct loadgen *loadgen = calloc(1, sizeof(*loadgen));
    int taken, code;

    if (loadgen == NULL)
        return EXIT_CANNOT_RUN;
    if (loadgen_options_want_help(argc, argv))
        loadgen_options_read(&loadgen->options, 2, (char *[]){argv[0], (char *)(uintptr_t) "--help", NULL});
    taken = rte_eal_init(argc, argv);
    if (taken < 0) {
        fprintf(stderr, "loadgen: EAL does not start: %s\n", rte_strerror(rte_errno));
        return EXIT_CANNOT_RUN;
    }
    loadgen_options_read(&loadgen->options, argc - taken, argv + taken);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    code = prepare(loadgen, &detail) == BL_OK ? measure(loadgen) : complain(&detail);
    code = finish(loadgen, code);
    free(loadgen);
    return code;
}
