/* See machine.h. */
#include "machine.h"

#include <dirent.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_malloc.h>
#include <rte_version.h>

enum { ARGUMENTS = 12, TEXT_MAX = 160 };

static const char hugepages[] = "/sys/kernel/mm/hugepages";

/* The first line of a file without its end; "" when there is none. */
static const char *read_text(const char *path, char out[TEXT_MAX])
{
    FILE *file = fopen(path, "re");

    out[0] = '\0';
    if (file == NULL)
        return out;
    if (fgets(out, TEXT_MAX, file) != NULL)
        out[strcspn(out, "\n")] = '\0';
    fclose(file);
    return out;
}

static uint64_t hugepage_bytes(const char *which)
{
    DIR *folder = opendir(hugepages);
    struct dirent *entry;
    uint64_t bytes = 0;

    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        char path[TEXT_MAX + sizeof(entry->d_name)];
        char text[TEXT_MAX];
        unsigned long long kilobytes;

        if (sscanf(entry->d_name, "hugepages-%llukB", &kilobytes) != 1)
            continue;
        snprintf(path, sizeof(path), "%s/%s/%s", hugepages, entry->d_name, which);
        bytes += strtoull(read_text(path, text), NULL, 10) * kilobytes * 1024;
    }
    if (folder != NULL)
        closedir(folder);
    return bytes;
}

/* The value of the first line of a file of "key : value" that has the key. */
static void read_value(const char *path, const char *key, char out[TEXT_MAX])
{
    FILE *file = fopen(path, "re");
    char line[512];

    out[0] = '\0';
    while (file != NULL && out[0] == '\0' && fgets(line, sizeof(line), file) != NULL) {
        const char *value = strchr(line, ':');

        if (strncmp(line, key, strlen(key)) != 0 || value == NULL)
            continue;
        value += 1 + strspn(value + 1, " \t");
        snprintf(out, TEXT_MAX, "%.*s", (int)strcspn(value, "\n"), value);
    }
    if (file != NULL)
        fclose(file);
}

/* As the C library reads them from the CPU: a guest's /sys often has none. */
static void print_caches(FILE *out)
{
    fprintf(out, "L1d %ld KiB, L2 %ld KiB, L3 %ld MiB", sysconf(_SC_LEVEL1_DCACHE_SIZE) >> 10,
            sysconf(_SC_LEVEL2_CACHE_SIZE) >> 10, sysconf(_SC_LEVEL3_CACHE_SIZE) >> 20);
}

void machine_print(FILE *out, const char *lead, unsigned n_cpus)
{
    char model[TEXT_MAX];
    char governor[TEXT_MAX];
    char load[TEXT_MAX];
    char memory[TEXT_MAX];
    struct utsname kernel;

    read_value("/proc/cpuinfo", "model name", model);
    read_value("/proc/meminfo", "MemAvailable", memory);
    read_text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", governor);
    read_text("/proc/loadavg", load);
    uname(&kernel);
    fprintf(out, "%sCPU: %s, %u usable, TSC %.2f GHz, governor %s; caches: ", lead, model, n_cpus,
            (double)rte_get_tsc_hz() / 1e9, governor[0] != '\0' ? governor : "not shown");
    print_caches(out);
    fprintf(out, "\n%smemory: %s available; huge pages: %llu MiB, %llu MiB free; measuring on %s\n", lead, memory,
            (unsigned long long)(hugepage_bytes("nr_hugepages") >> 20),
            (unsigned long long)(hugepage_bytes("free_hugepages") >> 20),
            rte_eal_has_hugepages() ? "huge pages" : "ordinary memory");
    fprintf(out, "%skernel %s, %s, compiler %s; load average at the start %s\n", lead, kernel.release, rte_version(),
            __VERSION__, load);
}

unsigned machine_cpus(void)
{
    cpu_set_t cpus;

    return sched_getaffinity(0, sizeof(cpus), &cpus) == 0 ? (unsigned)CPU_COUNT(&cpus) : 1;
}

uint64_t machine_free_bytes(void)
{
    struct rte_malloc_socket_stats stats;

    if (rte_eal_has_hugepages())
        return hugepage_bytes("free_hugepages");
    return rte_malloc_get_socket_stats(0, &stats) == 0 ? stats.heap_freesz_bytes : 0;
}

/* "0@3,1@5" of the CPUs that may be used. */
static void choose_lcores(unsigned n_cores, char out[TEXT_MAX])
{
    size_t length = 0;
    unsigned lcore = 0;
    cpu_set_t cpus;

    CPU_ZERO(&cpus);
    (void)sched_getaffinity(0, sizeof(cpus), &cpus);
    for (int cpu = 0; cpu < CPU_SETSIZE && lcore < n_cores; cpu++)
        if (CPU_ISSET(cpu, &cpus))
            length += (size_t)snprintf(out + length, TEXT_MAX - length, "%s%u@%d", lcore == 0 ? "" : ",", lcore, cpu),
                lcore++;
}

/* Half of what is available, for --no-huge: it is taken at once, though touched only as it is used. */
static unsigned long ordinary_mb(void)
{
    char text[TEXT_MAX];

    read_value("/proc/meminfo", "MemAvailable", text);
    return strtoul(text, NULL, 10) / 1024 / 2;
}

int machine_start(unsigned n_cores, bool ordinary)
{
    char lcores[TEXT_MAX];
    char prefix[TEXT_MAX];
    char megabytes[TEXT_MAX];
    bool huge = !ordinary && hugepage_bytes("free_hugepages") > 0;
    char program[] = "bench_table";
    char *arguments[ARGUMENTS] = {program};
    const char *const given[] = {"--no-pci",
                                 "--iova-mode=va",
                                 "--no-telemetry",
                                 "--log-level=4",
                                 "--force-max-simd-bitwidth=512",
                                 "--lcores",
                                 lcores,
                                 prefix,
                                 huge ? "--in-memory" : "--no-shconf",
                                 "--no-huge",
                                 megabytes};
    int n = 1;

    choose_lcores(n_cores, lcores);
    snprintf(prefix, sizeof(prefix), "--file-prefix=bounceline-bench-%d", (int)getpid());
    snprintf(megabytes, sizeof(megabytes), "-m%lu", ordinary_mb());
    for (unsigned i = 0; i < sizeof(given) / sizeof(given[0]) - (huge ? 2 : 0); i++)
        arguments[n++] = strdup(given[i]);
    if (!huge && !ordinary)
        fprintf(stderr, "bench_table: no huge page is free: measuring on ordinary memory, where all are slower\n");
    if (rte_eal_init(n, arguments) < 0) {
        fprintf(stderr, "bench_table: DPDK does not start: %s\n", rte_strerror(rte_errno));
        return -1;
    }
    return 0;
}

void machine_stop(void)
{
    char folder[TEXT_MAX];

    snprintf(folder, sizeof(folder), "%s", rte_eal_get_runtime_dir());
    (void)rte_eal_cleanup();
    (void)rmdir(folder); /* DPDK leaves it behind, empty */
}
