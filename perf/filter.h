/** @file filter.h
 * The kernel's filters as peers: each in a network namespace of its own behind a veth, dropping the same list
 * (list → filter → peer_filters).
 *
 * A frame that is sent is received, filtered and dropped before the sending system call returns, on the same CPU: with
 * a filter that drops all beside it, the difference is what the list costs. Everything ends with the process, also
 * after a kill: the namespaces belong to children that die with their parent. Threads: main. */
#ifndef BL_PERF_FILTER_H
#define BL_PERF_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { FILTER_WHY_MAX = 160, FILTER_BURST = 64, FILTER_FRAME_BYTES = 60, FILTER_FRAME_STRIDE = 64 };

enum filter_kind {
    FILTER_NFT_ALL, /**< drops everything, at the place where the next one asks its set */
    FILTER_NFT,     /**< an interval set, at the ingress of the device */
    FILTER_IPSET_ALL,
    FILTER_IPSET, /**< hash:net, asked in the raw table's PREROUTING */
    FILTER_XDP_ALL,
    FILTER_XDP_HASH,
    FILTER_XDP_TRIE,
    FILTER_KINDS
};

struct filter {
    enum filter_kind kind;
    pid_t holder; /**< of the namespace */
    int socket;   /**< sends into it; -1: could not be made */
};

const char *filter_name(enum filter_kind kind);

/** The one that drops everything in the same place. */
enum filter_kind filter_floor(enum filter_kind kind);

/** This process gets a network namespace of its own. @return 0, or -1 with a line on standard error. */
int filter_begin(void);

/** Makes the namespace, its veth and the filter. @p addresses: the list, hosts of IPv4. @return false: @p why. */
bool filter_open(struct filter *out, enum filter_kind kind, const uint32_t *addresses, size_t n,
                 char why[FILTER_WHY_MAX]);
void filter_close(struct filter *filter);

/** Sends @p n frames that lie FILTER_FRAME_STRIDE apart. @return false when the kernel did not take all. */
bool filter_send(const struct filter *filter, const uint8_t *frames, size_t n);

/** How many frames it let through so far; negative: can't be said. */
int64_t filter_passed(const struct filter *filter);

/** The destination of every frame. */
extern const uint8_t filter_mac[6];

#endif
