/* See filter.h. */
#include "filter.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

enum { COMMAND_MAX = 512, BATCH = 4096 };

const uint8_t filter_mac[6] = {0x02, 0, 0, 0, 0, 0x02};

/* The object is loaded once; its maps hold the list of both XDP filters. */
static struct bpf_object *object;

const char *filter_name(enum filter_kind kind)
{
    static const char *const names[FILTER_KINDS] = {"nftables drop all", "nftables interval set", "iptables drop all",
                                                    "ipset hash:net",    "XDP drop all",          "XDP hash map",
                                                    "XDP LPM trie"};

    return names[kind];
}

enum filter_kind filter_floor(enum filter_kind kind)
{
    return kind <= FILTER_NFT ? FILTER_NFT_ALL : kind <= FILTER_IPSET ? FILTER_IPSET_ALL : FILTER_XDP_ALL;
}

static bool __attribute__((format(printf, 2, 3))) fail(char why[FILTER_WHY_MAX], const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(why, FILTER_WHY_MAX, format, arguments);
    va_end(arguments);
    return false;
}

static bool __attribute__((format(printf, 2, 3))) run(char why[FILTER_WHY_MAX], const char *format, ...)
{
    char command[COMMAND_MAX];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(command, sizeof(command), format, arguments);
    va_end(arguments);
    return system(command) == 0 || fail(why, "failed: %.120s", command);
}

int filter_begin(void)
{
    if (unshare(CLONE_NEWNET) == 0)
        return 0;
    fprintf(stderr, "peer_filters: no network namespace: %s; expected to run as root\n", strerror(errno));
    return -1;
}

/* A child that holds a namespace until this process ends, however it ends. */
static pid_t hold(void)
{
    int ready[2];
    char byte;
    pid_t child;

    if (pipe2(ready, O_CLOEXEC) != 0)
        return -1;
    child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (unshare(CLONE_NEWNET) == 0)
            (void)!write(ready[1], "", 1);
        close(ready[1]);
        for (;;)
            pause();
    }
    close(ready[1]);
    if (child > 0 && read(ready[0], &byte, 1) != 1) {
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        child = -1;
    }
    close(ready[0]);
    return child;
}

/* Without IPv6 nobody says anything of his own accord. */
static bool wire(const struct filter *filter, char why[FILTER_WHY_MAX])
{
    int kind = (int)filter->kind;
    int holder = (int)filter->holder;

    return run(why, "ip link add a%d type veth peer name b0 netns %d", kind, holder) &&
           run(why, "echo 1 >/proc/sys/net/ipv6/conf/a%d/disable_ipv6; ip link set a%d up", kind, kind) &&
           run(why,
               "nsenter -t %d -n sh -c 'echo 1 >/proc/sys/net/ipv6/conf/b0/disable_ipv6; "
               "ip link set b0 address 02:00:00:00:00:02 up; ip address add 192.0.2.25/24 dev b0'",
               holder);
}

static bool open_socket(struct filter *filter, char why[FILTER_WHY_MAX])
{
    char name[IFNAMSIZ];
    struct sockaddr_ll address = {.sll_family = AF_PACKET};
    int on = 1;
    int size = 8 << 20;

    snprintf(name, sizeof(name), "a%d", (int)filter->kind);
    address.sll_ifindex = (int)if_nametoindex(name);
    filter->socket = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0); /* receives nothing */
    if (filter->socket < 0 || bind(filter->socket, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        setsockopt(filter->socket, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof(on)) != 0)
        return fail(why, "a raw socket: %s", strerror(errno));
    (void)setsockopt(filter->socket, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
    return true;
}

static void print_address(FILE *file, uint32_t address)
{
    fprintf(file, "%u.%u.%u.%u", address >> 24, address >> 16 & 255, address >> 8 & 255, address & 255);
}

static FILE *pipe_to(const struct filter *filter, const char *command)
{
    char line[COMMAND_MAX];

    snprintf(line, sizeof(line), "exec nsenter -t %d -n %s", (int)filter->holder, command);
    return popen(line, "w");
}

static bool load_nft(const struct filter *filter, const uint32_t *addresses, size_t n, char why[FILTER_WHY_MAX])
{
    FILE *file = pipe_to(filter, "nft -f -");

    if (file == NULL)
        return fail(why, "nft: %s", strerror(errno));
    fprintf(file, "table netdev f {\n");
    if (filter->kind == FILTER_NFT) {
        fprintf(file, "set listed { type ipv4_addr; flags interval; elements = {\n");
        for (size_t i = 0; i < n; i++) {
            print_address(file, addresses[i]);
            fputs(i + 1 < n ? ",\n" : "} }\n", file);
        }
    }
    fprintf(file, "chain c { type filter hook ingress device b0 priority 0\n%s drop\ncounter\n}\n}\n",
            filter->kind == FILTER_NFT ? "ip saddr @listed" : "ip version 4");
    return pclose(file) == 0 || fail(why, "nft does not take the set of %zu", n);
}

static bool load_ipset(const struct filter *filter, const uint32_t *addresses, size_t n, char why[FILTER_WHY_MAX])
{
    FILE *file;

    if (filter->kind == FILTER_IPSET) {
        file = pipe_to(filter, "ipset restore");
        if (file == NULL)
            return fail(why, "ipset: %s", strerror(errno));
        fprintf(file, "create listed hash:net family inet maxelem %zu hashsize %zu\n", n + 1, n);
        for (size_t i = 0; i < n; i++) {
            fputs("add listed ", file);
            print_address(file, addresses[i]);
            fputc('\n', file);
        }
        if (pclose(file) != 0)
            return fail(why, "ipset does not take the set of %zu", n);
    }
    return run(why, "nsenter -t %d -n iptables-legacy -t raw -A PREROUTING %s -j DROP", (int)filter->holder,
               filter->kind == FILTER_IPSET ? "-m set --match-set listed src" : "");
}

struct trie_key {
    uint32_t length;
    uint32_t address_be;
};

static bool fill_maps(const uint32_t *addresses, size_t n, char why[FILTER_WHY_MAX])
{
    static struct trie_key trie_keys[BATCH];
    static uint32_t keys[BATCH];
    static uint32_t values[BATCH];
    int hosts = bpf_object__find_map_fd_by_name(object, "hosts");
    int prefixes = bpf_object__find_map_fd_by_name(object, "prefixes");

    for (size_t at = 0; at < n; at += BATCH) {
        uint32_t count = n - at < BATCH ? (uint32_t)(n - at) : BATCH;
        uint32_t again = count;

        for (uint32_t i = 0; i < count; i++) {
            keys[i] = htonl(addresses[at + i]);
            trie_keys[i] = (struct trie_key){32, keys[i]};
        }
        if (bpf_map_update_batch(hosts, keys, values, &count, NULL) != 0 ||
            bpf_map_update_batch(prefixes, trie_keys, values, &again, NULL) != 0)
            return fail(why, "a map does not take element %zu: %s", at, strerror(errno));
    }
    return true;
}

static bool load_object(const uint32_t *addresses, size_t n, char why[FILTER_WHY_MAX])
{
    static const char *const maps[] = {"hosts", "prefixes"};

    if (object != NULL)
        return true;
    object = bpf_object__open_file(PEER_FILTERS_BPF, NULL);
    if (object == NULL)
        return fail(why, "%s: %s", PEER_FILTERS_BPF, strerror(errno));
    for (unsigned i = 0; i < 2; i++)
        (void)bpf_map__set_max_entries(bpf_object__find_map_by_name(object, maps[i]), (uint32_t)n);
    if (bpf_object__load(object) == 0 && fill_maps(addresses, n, why))
        return true;
    bpf_object__close(object);
    object = NULL;
    return why[0] != '\0' ? false : fail(why, "the kernel does not take the XDP programs: %s", strerror(errno));
}

static bool enter_namespace(pid_t pid)
{
    char path[64];
    int fd;
    bool entered;

    snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    entered = fd >= 0 && setns(fd, CLONE_NEWNET) == 0;
    if (fd >= 0)
        close(fd);
    return entered;
}

/* The device's own mode: a veth takes frames from its peer before the stack makes anything of them. */
static bool load_xdp(const struct filter *filter, const uint32_t *addresses, size_t n, char why[FILTER_WHY_MAX])
{
    static const char *const programs[FILTER_KINDS] = {
        [FILTER_XDP_ALL] = "drop_all", [FILTER_XDP_HASH] = "drop_hosts", [FILTER_XDP_TRIE] = "drop_prefixes"};
    int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    int program;
    int error = -1;

    if (!load_object(addresses, n, why))
        return false;
    program = bpf_program__fd(bpf_object__find_program_by_name(object, programs[filter->kind]));
    if (enter_namespace(filter->holder)) {
        error = bpf_xdp_attach((int)if_nametoindex("b0"), program, XDP_FLAGS_DRV_MODE, NULL);
        if (setns(home, CLONE_NEWNET) != 0)
            abort(); /* nothing may go on in the wrong namespace */
    }
    close(home);
    return error == 0 || fail(why, "the veth does not take %s: %s", programs[filter->kind], strerror(-error));
}

bool filter_open(struct filter *out, enum filter_kind kind, const uint32_t *addresses, size_t n,
                 char why[FILTER_WHY_MAX])
{
    bool loaded;

    *out = (struct filter){.kind = kind, .holder = hold(), .socket = -1};
    why[0] = '\0';
    if (out->holder < 0)
        return fail(why, "no network namespace: %s", strerror(errno));
    loaded = wire(out, why) && open_socket(out, why) &&
             (kind <= FILTER_NFT     ? load_nft(out, addresses, n, why)
              : kind <= FILTER_IPSET ? load_ipset(out, addresses, n, why)
                                     : load_xdp(out, addresses, n, why));
    if (!loaded)
        filter_close(out);
    return loaded;
}

void filter_close(struct filter *filter)
{
    if (filter->socket >= 0)
        close(filter->socket);
    if (filter->holder > 0) {
        kill(filter->holder, SIGKILL);
        waitpid(filter->holder, NULL, 0);
    }
    *filter = (struct filter){.kind = filter->kind, .socket = -1};
}

bool filter_send(const struct filter *filter, const uint8_t *frames, size_t n)
{
    struct mmsghdr messages[FILTER_BURST];
    struct iovec parts[FILTER_BURST];

    for (size_t at = 0; at < n; at += FILTER_BURST) {
        unsigned count = n - at < FILTER_BURST ? (unsigned)(n - at) : FILTER_BURST;

        memset(messages, 0, count * sizeof(messages[0]));
        for (unsigned i = 0; i < count; i++) {
            parts[i] = (struct iovec){(void *)(uintptr_t)(frames + (at + i) * FILTER_FRAME_STRIDE), FILTER_FRAME_BYTES};
            messages[i].msg_hdr.msg_iov = &parts[i];
            messages[i].msg_hdr.msg_iovlen = 1;
        }
        if (sendmmsg(filter->socket, messages, count, 0) != (int)count)
            return false;
    }
    return true;
}

/* The first number behind @p word in what the command says in the namespace. */
static int64_t ask(const struct filter *filter, const char *command, const char *word)
{
    char line[COMMAND_MAX];
    long long value = -1;
    FILE *file;

    snprintf(line, sizeof(line), "exec nsenter -t %d -n %s", (int)filter->holder, command);
    file = popen(line, "r");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        const char *found = strstr(line, word);

        if (found != NULL && value < 0 && sscanf(found + strlen(word), "%lld", &value) != 1)
            value = -1;
    }
    if (file != NULL)
        pclose(file);
    return value;
}

int64_t filter_passed(const struct filter *filter)
{
    uint64_t counts[1024] = {0}; /* more CPUs than the kernel has */
    uint32_t key = filter->kind == FILTER_XDP_TRIE;
    int64_t sum = 0;

    if (filter->kind <= FILTER_NFT)
        return ask(filter, "nft list chain netdev f c", "counter packets ");
    if (filter->kind <= FILTER_IPSET)
        return ask(filter, "iptables-legacy -t raw -nvxL PREROUTING", "(policy ACCEPT ");
    if (filter->kind == FILTER_XDP_ALL)
        return 0;
    if (libbpf_num_possible_cpus() > 1024 ||
        bpf_map_lookup_elem(bpf_object__find_map_fd_by_name(object, "passed"), &key, counts) != 0)
        return -1;
    for (int i = 0; i < libbpf_num_possible_cpus(); i++)
        sum += (int64_t)counts[i];
    return sum;
}
