/* Starts DPDK; see eal.h. */
#include "dataplane/eal.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>

#include "dataplane/say.h"

enum { ARGUMENTS_MAX = 32 };

/* Of the name of a data plane's folder for run-time files; its name and process number follow. */
#define PREFIX "bounceline-"

/* EAL's argument vector. EAL moves the pointers about, so that the strings are freed by a copy of them. */
struct arguments {
    int n;
    char *text[ARGUMENTS_MAX + 1];
};

static bool add(struct arguments *arguments, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool add(struct arguments *arguments, const char *format, ...)
{
    char *text = NULL;
    va_list values;
    int length;

    va_start(values, format);
    length = vasprintf(&text, format, values);
    va_end(values);
    if (length < 0 || arguments->n == ARGUMENTS_MAX)
        return false;
    arguments->text[arguments->n++] = text;
    return true;
}

int bl_eal_lcores(uint32_t n_workers, const cpu_set_t *cpus, char out[BL_EAL_LCORES_MAX])
{
    size_t length = 0;
    int n_cpus = CPU_COUNT(cpus);
    bool share = (uint32_t)n_cpus < n_workers + 1;
    uint32_t lcore = 0;

    if (n_cpus == 0)
        return BL_ERANGE;
    out[0] = '\0';
    if (share)
        length = (size_t)snprintf(out, BL_EAL_LCORES_MAX, "(0-%u)@(", n_workers);
    for (int cpu = 0; cpu < CPU_SETSIZE && (share || lcore <= n_workers); cpu++) {
        if (!CPU_ISSET(cpu, cpus))
            continue;
        if (share)
            length += (size_t)snprintf(out + length, BL_EAL_LCORES_MAX - length, lcore == 0 ? "%d" : ",%d", cpu);
        else
            length +=
                (size_t)snprintf(out + length, BL_EAL_LCORES_MAX - length, lcore == 0 ? "%u@%d" : ",%u@%d", lcore, cpu);
        lcore++;
        if (length + 2 >= BL_EAL_LCORES_MAX)
            return BL_ERANGE;
    }
    if (share)
        snprintf(out + length, BL_EAL_LCORES_MAX - length, ")");
    return BL_OK;
}

/* Bytes of huge pages that are free, of all sizes: /sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages. */
static uint64_t free_hugepage_bytes(void)
{
    static const char root[] = "/sys/kernel/mm/hugepages";
    DIR *folder = opendir(root);
    struct dirent *entry;
    uint64_t bytes = 0;

    if (folder == NULL)
        return 0;
    while ((entry = readdir(folder)) != NULL) {
        unsigned long long kilobytes, n;
        char path[384];
        FILE *file;

        if (sscanf(entry->d_name, "hugepages-%llukB", &kilobytes) != 1)
            continue;
        snprintf(path, sizeof(path), "%s/%s/free_hugepages", root, entry->d_name);
        file = fopen(path, "re");
        if (file == NULL)
            continue;
        if (fscanf(file, "%llu", &n) == 1)
            bytes += n * kilobytes * 1024;
        fclose(file);
    }
    closedir(folder);
    return bytes;
}

/* EAL can be started only once in a process, so whether huge pages will do is found out first. */
static int choose_memory(const struct bl_settings_dataplane *settings, bool *huge, struct bl_error_detail *detail)
{
    uint64_t needed = (uint64_t)settings->memory_mb << 20;
    uint64_t available = free_hugepage_bytes();

    *huge = settings->hugepages != BL_HUGEPAGES_OFF && available >= needed;
    if (*huge || settings->hugepages == BL_HUGEPAGES_OFF)
        return BL_OK;
    if (settings->hugepages == BL_HUGEPAGES_ON)
        return bl_error_set(
            detail, BL_ENOMEM,
            "dataplane.hugepages: on, but %llu MiB of huge pages are free: expected dataplane.memory_mb, "
            "%u (sysctl vm.nr_hugepages)",
            (unsigned long long)(available >> 20), settings->memory_mb);
    bl_say_line("%llu MiB of huge pages are free, %u MiB are needed: running on ordinary memory, slower",
                (unsigned long long)(available >> 20), settings->memory_mb);
    return BL_OK;
}

static bool add_lcores(struct arguments *arguments, const struct bl_settings_dataplane *settings)
{
    char lcores[BL_EAL_LCORES_MAX];
    cpu_set_t cpus;

    if (settings->lcores[0] != '\0')
        return add(arguments, "--lcores=%s", settings->lcores);
    if (sched_getaffinity(0, sizeof(cpus), &cpus) != 0 || bl_eal_lcores(settings->workers, &cpus, lcores) != BL_OK)
        return false;
    return add(arguments, "--lcores=%s", lcores) && add(arguments, "--main-lcore=0");
}

static bool add_ports(struct arguments *arguments, const struct bl_settings_dataplane *settings,
                      const struct bl_port *const ports[2])
{
    char value[BL_PORT_ARGUMENT_MAX];
    const char *option;

    if (ports[0]->form != BL_PORT_PCI && ports[1]->form != BL_PORT_PCI && !add(arguments, "--no-pci"))
        return false;
    for (int i = 0; i < 2; i++) {
        bl_port_argument(ports[i], settings, &option, value);
        if (!add(arguments, "%s", option) || !add(arguments, "%s", value))
            return false;
    }
    return true;
}

static bool add_all(struct arguments *arguments, const struct bl_settings_dataplane *settings,
                    const struct bl_port *const ports[2], bool huge)
{
    /* No files that a killed process would leave behind, no lock that a restart would wait for. Of the levels for one
     * part of DPDK the first that matches counts. */
    return add(arguments, "bounceline-dataplane") && add(arguments, huge ? "--in-memory" : "--no-huge") &&
           add(arguments, "--iova-mode=va") && add(arguments, "--log-level=warning") &&
           add(arguments, "--log-level=lib.telemetry:error") && add(arguments, "--log-level=*:warning") &&
           add(arguments, "--file-prefix=" PREFIX "%s-%d", settings->name, (int)getpid()) && add(arguments, "-m") &&
           add(arguments, "%u", settings->memory_mb) && (huge || add(arguments, "--no-shconf")) &&
           add_lcores(arguments, settings) && add_ports(arguments, settings, ports);
}

/* Each process has a folder of its own for its telemetry socket, and DPDK leaves it there. */
static void remove_runtime_folder(const char *path)
{
    DIR *folder = opendir(path);
    struct dirent *entry;

    if (folder == NULL)
        return;
    while ((entry = readdir(folder)) != NULL)
        if (entry->d_name[0] != '.')
            (void)unlinkat(dirfd(folder), entry->d_name, 0);
    closedir(folder);
    (void)rmdir(path);
}

/* True when a telemetry socket is there and nobody listens on it: its process was killed. */
static bool is_left_over(const char *folder)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int length = snprintf(address.sun_path, sizeof(address.sun_path), "%s/dpdk_telemetry.v2", folder);
    bool refused;

    if (fd < 0)
        return false;
    refused = length > 0 && (size_t)length < sizeof(address.sun_path) &&
              connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0 && errno == ECONNREFUSED;
    close(fd);
    return refused;
}

/* Takes away what killed data planes left beside our own folder. */
static void sweep_runtime_folders(void)
{
    const char *own = rte_eal_get_runtime_dir();
    const char *last = strrchr(own, '/');
    char root[PATH_MAX], path[PATH_MAX];
    struct dirent *entry;
    DIR *folder;

    if (last == NULL)
        return;
    snprintf(root, sizeof(root), "%.*s", (int)(last - own), own);
    folder = opendir(root);
    if (folder == NULL)
        return;
    while ((entry = readdir(folder)) != NULL) {
        if (strncmp(entry->d_name, PREFIX, strlen(PREFIX)) != 0 ||
            snprintf(path, sizeof(path), "%s/%s", root, entry->d_name) >= (int)sizeof(path))
            continue;
        if (is_left_over(path))
            remove_runtime_folder(path);
    }
    closedir(folder);
}

int bl_eal_init(const struct bl_settings_dataplane *settings, const struct bl_port *wan, const struct bl_port *lan,
                struct bl_error_detail *detail)
{
    const struct bl_port *const ports[2] = {wan, lan};
    struct arguments arguments = {0};
    struct arguments moved;
    bool huge;
    int error = choose_memory(settings, &huge, detail);

    if (error != BL_OK)
        return error;
    if (!add_all(&arguments, settings, ports, huge)) {
        error = bl_error_set(detail, BL_EINVAL, "dataplane: no arguments for DPDK can be made of these settings");
        goto out;
    }
    moved = arguments;
    if (rte_eal_init(moved.n, moved.text) < 0)
        error = bl_error_set(detail, BL_EIO,
                             "DPDK does not start (%s): see its words above; wan %s, lan %s, lcores %s, memory_mb %u",
                             rte_strerror(rte_errno), wan->setting, lan->setting,
                             settings->lcores[0] == '\0' ? "derived" : settings->lcores, settings->memory_mb);
    else
        sweep_runtime_folders();
out:
    for (int i = 0; i < arguments.n; i++)
        free(arguments.text[i]);
    return error;
}

int bl_eal_worker_lcores(uint32_t n_workers, unsigned *lcores, struct bl_error_detail *detail)
{
    uint32_t n = 0;
    unsigned lcore;

    RTE_LCORE_FOREACH_WORKER(lcore)
    if (n < n_workers)
        lcores[n++] = lcore;
    if (n == n_workers)
        return BL_OK;
    return bl_error_set(detail, BL_ERANGE,
                        "dataplane.lcores: %u lcores beside the main one: expected one for each of the %u workers", n,
                        n_workers);
}

void bl_eal_fini(void)
{
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s", rte_eal_get_runtime_dir());
    (void)rte_eal_cleanup();
    remove_runtime_folder(path);
}
