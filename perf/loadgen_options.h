/** @file loadgen_options.h
 * The command line of loadgen: everything that one run is told (loadgen → options; see loadgen --help).
 *
 * A wrong word ends the program with 2 and says what was expected. Threads: one. Cost: start-up. */
#ifndef BL_PERF_LOADGEN_OPTIONS_H
#define BL_PERF_LOADGEN_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "bounceline/siphash.h"
#include "perf/loadgen_frame.h"

enum {
    LOADGEN_LISTS_MAX = 8,
    LOADGEN_NO_PORT = 0xffff,
    LOADGEN_SECOND_PORT = 0xfffe, /**< 1, or none when there is no second */
};

/** What a client or server may do. X(name, text, what it means) */
#define LOADGEN_KINDS(X) \
    X(DIALOGUE, "dialogue", "a whole dialogue of a listed source, from SYN to the last FIN") \
    X(SYN, "syn", "a SYN of a listed source, which is left open: a flood") \
    X(FORGED, "forged", "data of a listed source with made-up numbers: a blind guess at a cookie") \
    X(ALLOWED, "allowed", "SMTP of a source that is not listed, to the server's port") \
    X(OTHER, "other", "no SMTP: UDP, ICMP, TCP to other ports, of listed and other sources") \
    X(LAN, "lan", "from the server's side to the internet, answers of the mail server among it") \
    X(MUTATED, "mutated", "frames of which bits were changed or the end was cut") \
    X(REPLAY, "replay", "the frames of --replay, in order, again and again")

enum loadgen_kind {
#define X(name, text, meaning) LOADGEN_KIND_##name,
    LOADGEN_KINDS(X)
#undef X
        LOADGEN_N_KINDS
};

const char *loadgen_options_kind_text(enum loadgen_kind kind);

/** A file of prefixes, and the code that its sources hear. */
struct loadgen_list_option {
    const char *path;
    uint16_t code;
};

struct loadgen_options {
    /* what is sent */
    struct loadgen_list_option lists[LOADGEN_LISTS_MAX];
    unsigned n_lists;
    const char *allowed; /**< file; NULL: addresses outside of the lists */
    const char *replay;
    unsigned weights[LOADGEN_N_KINDS];
    unsigned ipv6_percent;
    unsigned frame_bytes; /**< of allowed and other traffic; 0: 7 small, 4 middling and 1 large in 12 */
    uint64_t seed;
    struct loadgen_link link;
    uint8_t server_ip4[16];
    uint8_t server_ip6[16];
    uint16_t server_port;
    /* how */
    double rate;
    double rate_min;
    uint64_t count; /**< 0: for `seconds` */
    double seconds;
    uint64_t warm_up;
    double drain_s;
    bool search;
    bool quick;
    double loss_percent; /**< below 0: none was said */
    double resolution_percent;
    uint16_t wan_port;
    uint16_t lan_port; /**< or LOADGEN_NO_PORT: another machine's; LOADGEN_SECOND_PORT */
    double wait_s;
    int stop_first; /**< process; 0: none */
    /* what must come back */
    const char *hostname;
    const char *url;
    bool stage_mail;
    unsigned ipv6_unit;
    bool has_cookie_key;
    bool has_ticket_key;
    struct bl_siphash_key cookie_key;
    struct bl_siphash_key ticket_key;
    /* what is told */
    bool json;
    unsigned wrong_shown;
    const char *pcap;
    uint64_t pcap_frames;
};

/** True when some argument asks for help: then no port is touched. */
bool loadgen_options_want_help(int argc, char **argv);

/** Fills @p options from what EAL has left, or ends the program (2; 0 after help). Strings stay argv's. */
void loadgen_options_read(struct loadgen_options *options, int argc, char **argv);

#endif
