/* See loadgen_options.h. */
#include "perf/loadgen_options.h"

#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bounceline/address.h"
#include "bounceline/class.h"

enum {
    OPTION_ALLOWED = 0x100,
    OPTION_REPLAY,
    OPTION_IPV6,
    OPTION_FRAME_BYTES,
    OPTION_CLIENT_MAC,
    OPTION_SERVER_MAC,
    OPTION_VLAN,
    OPTION_SERVER,
    OPTION_SERVER6,
    OPTION_SERVER_PORT,
    OPTION_RATE_MIN,
    OPTION_DRAIN,
    OPTION_WARM_UP,
    OPTION_SEARCH,
    OPTION_LOSS,
    OPTION_RESOLUTION,
    OPTION_WAN_PORT,
    OPTION_LAN_PORT,
    OPTION_WAIT,
    OPTION_STOP_FIRST,
    OPTION_HOSTNAME,
    OPTION_URL,
    OPTION_STAGE,
    OPTION_IPV6_UNIT,
    OPTION_COOKIE_KEY,
    OPTION_TICKET_KEY,
    OPTION_JSON,
    OPTION_WRONG,
    OPTION_PCAP,
    OPTION_PCAP_FRAMES,
    OPTION_QUICK,
    USAGE_EXIT = 2,
};

/* A word of --mix; its number is the kind. */
static const char *const kind_texts[] = {
#define X(name, text, meaning) text,
    LOADGEN_KINDS(X)
#undef X
};

static const char before_options[] =
    "Plays the SMTP clients of a whole internet against Bounceline, and the mail servers behind it, without keeping a "
    "connection's state; checks every answer to the bit.\v"
    "Kinds of --mix, with what each sends:\n"
#define X(name, text, meaning) "  " text ": " meaning "\n"
    LOADGEN_KINDS(X)
#undef X
        "\nEAL's options come first, then --. Ports are DPDK's, in the order in which EAL was told of them. Two ports "
        "stand for "
        "the two networks; with --lan-port none what passes is not seen.\n\n"
        "Exit: 0 all answers were right; 1 a wrong one; 2 usage; 3 it could not run: file, port or link; 4 all were "
        "right, "
        "but more than --loss was lost, or everything.\n\n"
        "  loadgen -l 1 --no-pci -m 256 --vdev net_memif0,... --vdev net_memif1,... -- --listed drop.txt --rate 50000 "
        "--json";

static const struct argp_option option_list[] = {
    {NULL, 0, NULL, 0, "What is sent:", 1},
    {"listed", 'l', "FILE[=CODE]", 0,
     "Listed prefixes, one a line, gzipped or not; their code, 606..649 (default: 606). "
     "Up to 8 times",
     1},
    {"mix", 'x', "KIND=WEIGHT,...", 0, "What begins, by ratio (default: dialogue=1); kinds below", 1},
    {"allowed", OPTION_ALLOWED, "FILE", 0, "Prefixes of allowed sources (default: any outside of the lists)", 1},
    {"replay", OPTION_REPLAY, "FILE", 0, "A pcap capture of Ethernet, for the kind replay", 1},
    {"ipv6", OPTION_IPV6, "PERCENT", 0, "Share of IPv6 (default: 50, where the lists have both)", 1},
    {"frame-bytes", OPTION_FRAME_BYTES, "N", 0, "Of allowed and other frames, 96..1514 (default: a mixture)", 1},
    {"seed", 's', "N", 0, "The same seed sends the same frames in the same order (default: 1)", 1},
    {"client-mac", OPTION_CLIENT_MAC, "MAC", 0, "Of the internet's side (default: 02:00:00:00:00:01)", 1},
    {"server-mac", OPTION_SERVER_MAC, "MAC", 0, "Of the servers' side (default: 02:00:00:00:00:02)", 1},
    {"vlan", OPTION_VLAN, "ID", 0, "All frames have this tag, 1..4094", 1},
    {"server", OPTION_SERVER, "ADDRESS", 0, "Mail server, IPv4 (default: 192.0.2.25)", 1},
    {"server6", OPTION_SERVER6, "ADDRESS", 0, "Mail server, IPv6 (default: 2001:db8:25::25)", 1},
    {"server-port", OPTION_SERVER_PORT, "PORT", 0, "Its protected port (default: 25)", 1},
    {NULL, 0, NULL, 0, "How fast and how long:", 2},
    {"rate", 'r', "N", 0,
     "What begins in a second, whatever comes back; with --search the highest tried (default: 10000)", 2},
    {"seconds", 't', "S", 0, "How long; with --search each trial (default: 10, with --search 2)", 2},
    {"count", 'n', "N", 0, "Instead: so many", 2},
    {"warm-up", OPTION_WARM_UP, "N", 0,
     "Begin so many before, at 20000 a second at most: judged, but not counted (default: 4096)", 2},
    {"drain", OPTION_DRAIN, "S", 0, "How long to wait for the last answers (default: 0.5)", 2},
    {"search", OPTION_SEARCH, NULL, 0, "Find the highest rate at which no more than --loss is lost (RFC 2544)", 2},
    {"loss", OPTION_LOSS, "PERCENT", 0, "What may be lost (with --search: default 0, the no-drop rate)", 2},
    {"rate-min", OPTION_RATE_MIN, "N", 0, "The lowest rate tried (default: 1000)", 2},
    {"resolution", OPTION_RESOLUTION, "PERCENT", 0, "The search ends at this distance (default: 2)", 2},
    {"wan-port", OPTION_WAN_PORT, "N", 0, "DPDK port toward the internet's side (default: 0)", 2},
    {"lan-port", OPTION_LAN_PORT, "N|none", 0, "And toward the servers' (default: 1, or none when there is one port)",
     2},
    {"wait", OPTION_WAIT, "S", 0, "For both links to come up (default: 10)", 2},
    {"stop-first", OPTION_STOP_FIRST, "PID", 0,
     "End this process before the ports are closed: DPDK's memif frees the rings under a peer that polls them", 2},
    {"quick", OPTION_QUICK, NULL, 0, "A smoke: 1 s, trials of 0.3 s, resolution 10 %", 2},
    {NULL, 0, NULL, 0, "What must come back:", 3},
    {"hostname", OPTION_HOSTNAME, "NAME", 0, "In the greeting (default: mx.example.org)", 3},
    {"url", OPTION_URL, "URL", 0,
     "In the 550, with {address} and {ticket} (default: "
     "https://delist.example.net/?ip={address})",
     3},
    {"stage", OPTION_STAGE, "rcpt|mail", 0, "Where the 550 is said (default: rcpt)", 3},
    {"cookie-key", OPTION_COOKIE_KEY, "FILE", 0, "cookie_key_file: the server's numbers are verified with it", 3},
    {"ticket-key", OPTION_TICKET_KEY, "FILE", 0, "ticket_key_file: so are the tickets, else only their form", 3},
    {"ipv6-unit", OPTION_IPV6_UNIT, "BITS", 0, "Of what a ticket is about (default: 64)", 3},
    {NULL, 0, NULL, 0, "What is told:", 4},
    {"json", OPTION_JSON, NULL, 0, "The result as one JSON object on standard output", 4},
    {"wrong", OPTION_WRONG, "N", 0, "Show so many wrong answers in hex (default: 5)", 4},
    {"pcap", OPTION_PCAP, "FILE", 0, "Write what is sent and received", 4},
    {"pcap-frames", OPTION_PCAP_FRAMES, "N", 0, "At most so many frames (default: 1000000)", 4},
    {0},
};

const char *loadgen_options_kind_text(enum loadgen_kind kind)
{
    return kind_texts[kind];
}

static double read_number(const char *text, double low, double high, struct argp_state *state)
{
    size_t length = strlen(text);
    char *end;
    double value;

    errno = 0;
    value = strtod(text, &end);
    if (end > text && *end == '%')
        end++;
    if (length == 0 || errno != 0 || *end != '\0' || !(value >= low && value <= high))
        argp_error(state, "%s: expected a number from %g to %g", text, low, high);
    return value;
}

static unsigned read_whole(const char *text, unsigned low, unsigned high, struct argp_state *state)
{
    double value = read_number(text, low, high, state);

    if (value != (double)(unsigned)value)
        argp_error(state, "%s: expected a whole number from %u to %u", text, low, high);
    return (unsigned)value;
}

static void read_mac(const char *text, uint8_t out[6], struct argp_state *state)
{
    unsigned b[6];
    char more;

    if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%c", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5], &more) != 6 ||
        (b[0] & 1) != 0)
        argp_error(state, "%s: expected six bytes as 02:00:00:00:00:01, no group address", text);
    for (int i = 0; i < 6; i++)
        out[i] = (uint8_t)b[i];
}

static void read_address(const char *text, uint8_t family, uint8_t out[16], struct argp_state *state)
{
    struct bl_error_detail detail = {""};
    struct bl_address address;

    if (bl_address_parse(text, &address, &detail) != BL_OK || address.family != family)
        argp_error(state, "%s: expected an IPv%u address", text, family);
    memcpy(out, address.bytes, sizeof(address.bytes));
}

static void read_key(const char *path, struct bl_siphash_key *key, struct argp_state *state)
{
    FILE *file = fopen(path, "rbe");
    uint8_t bytes[17];
    size_t n;

    if (file == NULL) {
        argp_failure(state, USAGE_EXIT, errno, "%s", path);
        return;
    }
    n = fread(bytes, 1, sizeof(bytes), file);
    fclose(file);
    if (n != 16)
        argp_error(state, "%s: expected 16 bytes", path);
    memcpy(key, bytes, sizeof(*key));
}

/* "drop.txt=607": the last = and what looks like a code behind it. */
static void read_list(char *text, struct loadgen_options *options, struct argp_state *state)
{
    struct loadgen_list_option *list = &options->lists[options->n_lists];
    char *equals = strrchr(text, '=');

    if (options->n_lists == LOADGEN_LISTS_MAX)
        argp_error(state, "--listed: expected at most %d", LOADGEN_LISTS_MAX);
    list->code = BL_CLASS_CODE_MIN;
    if (equals != NULL) {
        list->code = (uint16_t)read_whole(equals + 1, BL_CLASS_CODE_MIN, BL_CLASS_CODE_MAX, state);
        *equals = '\0';
    }
    list->path = text;
    options->n_lists++;
}

static unsigned find_kind(const char *text)
{
    unsigned kind = 0;

    while (kind < LOADGEN_N_KINDS && strcmp(text, kind_texts[kind]) != 0)
        kind++;
    return kind;
}

static void read_mix(char *text, struct loadgen_options *options, struct argp_state *state)
{
    unsigned sum = 0;
    char *rest = NULL;

    memset(options->weights, 0, sizeof(options->weights));
    for (char *word = strtok_r(text, ",", &rest); word != NULL; word = strtok_r(NULL, ",", &rest)) {
        char *equals = strchr(word, '=');
        unsigned kind;

        if (equals != NULL)
            *equals = '\0';
        kind = find_kind(word);
        if (kind == LOADGEN_N_KINDS)
            argp_error(state, "--mix: %s: expected a kind: see --help", word);
        options->weights[kind] = equals == NULL ? 1 : read_whole(equals + 1, 0, 1000000, state);
        sum += options->weights[kind];
    }
    if (sum == 0)
        argp_error(state, "--mix: expected at least one weight above 0");
}

static error_t parse_sent(int option, char *argument, struct argp_state *state, struct loadgen_options *options)
{
    switch (option) {
    case 'l':
        read_list(argument, options, state);
        return 0;
    case 'x':
        read_mix(argument, options, state);
        return 0;
    case 's':
        options->seed = (uint64_t)read_number(argument, 0, 9007199254740992.0, state);
        return 0;
    case OPTION_ALLOWED:
        options->allowed = argument;
        return 0;
    case OPTION_REPLAY:
        options->replay = argument;
        return 0;
    case OPTION_IPV6:
        options->ipv6_percent = read_whole(argument, 0, 100, state);
        return 0;
    case OPTION_FRAME_BYTES:
        options->frame_bytes = read_whole(argument, 96, 1514, state);
        return 0;
    case OPTION_CLIENT_MAC:
        read_mac(argument, options->link.client_mac, state);
        return 0;
    case OPTION_SERVER_MAC:
        read_mac(argument, options->link.server_mac, state);
        return 0;
    case OPTION_VLAN:
        options->link.vlan = (uint16_t)read_whole(argument, 1, 4094, state);
        return 0;
    case OPTION_SERVER:
        read_address(argument, BL_FAMILY_IPV4, options->server_ip4, state);
        return 0;
    case OPTION_SERVER6:
        read_address(argument, BL_FAMILY_IPV6, options->server_ip6, state);
        return 0;
    case OPTION_SERVER_PORT:
        options->server_port = (uint16_t)read_whole(argument, 1, 65535, state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse_run(int option, char *argument, struct argp_state *state, struct loadgen_options *options)
{
    switch (option) {
    case 'r':
        options->rate = read_number(argument, 1, 1e9, state);
        return 0;
    case 't':
        options->seconds = read_number(argument, 0.01, 86400, state);
        return 0;
    case 'n':
        options->count = (uint64_t)read_number(argument, 1, 1e12, state);
        return 0;
    case OPTION_DRAIN:
        options->drain_s = read_number(argument, 0, 60, state);
        return 0;
    case OPTION_WARM_UP:
        options->warm_up = (uint64_t)read_number(argument, 0, 1e9, state);
        return 0;
    case OPTION_SEARCH:
        options->search = true;
        return 0;
    case OPTION_LOSS:
        options->loss_percent = read_number(argument, 0, 100, state);
        return 0;
    case OPTION_RATE_MIN:
        options->rate_min = read_number(argument, 1, 1e9, state);
        return 0;
    case OPTION_RESOLUTION:
        options->resolution_percent = read_number(argument, 0.01, 50, state);
        return 0;
    case OPTION_WAN_PORT:
        options->wan_port = (uint16_t)read_whole(argument, 0, 31, state);
        return 0;
    case OPTION_LAN_PORT:
        options->lan_port =
            strcmp(argument, "none") == 0 ? LOADGEN_NO_PORT : (uint16_t)read_whole(argument, 0, 31, state);
        return 0;
    case OPTION_WAIT:
        options->wait_s = read_number(argument, 0, 3600, state);
        return 0;
    case OPTION_STOP_FIRST:
        options->stop_first = (int)read_whole(argument, 2, 1U << 30, state);
        return 0;
    case OPTION_QUICK:
        options->quick = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse_expected(int option, char *argument, struct argp_state *state, struct loadgen_options *options)
{
    switch (option) {
    case OPTION_HOSTNAME:
        options->hostname = argument;
        return 0;
    case OPTION_URL:
        options->url = argument;
        return 0;
    case OPTION_STAGE:
        options->stage_mail = strcmp(argument, "mail") == 0;
        if (!options->stage_mail && strcmp(argument, "rcpt") != 0)
            argp_error(state, "--stage: %s: expected rcpt or mail", argument);
        return 0;
    case OPTION_IPV6_UNIT:
        options->ipv6_unit = read_whole(argument, 1, 128, state);
        return 0;
    case OPTION_COOKIE_KEY:
        read_key(argument, &options->cookie_key, state);
        options->has_cookie_key = true;
        return 0;
    case OPTION_TICKET_KEY:
        read_key(argument, &options->ticket_key, state);
        options->has_ticket_key = true;
        return 0;
    case OPTION_JSON:
        options->json = true;
        return 0;
    case OPTION_WRONG:
        options->wrong_shown = read_whole(argument, 0, 1000, state);
        return 0;
    case OPTION_PCAP:
        options->pcap = argument;
        return 0;
    case OPTION_PCAP_FRAMES:
        options->pcap_frames = (uint64_t)read_number(argument, 1, 1e10, state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* What only the whole shows. */
static void check_all(struct loadgen_options *options, struct argp_state *state)
{
    const unsigned *weights = options->weights;

    if (options->n_lists == 0 &&
        (weights[LOADGEN_KIND_DIALOGUE] | weights[LOADGEN_KIND_SYN] | weights[LOADGEN_KIND_FORGED]) != 0)
        argp_error(state, "expected --listed FILE for listed sources");
    if (weights[LOADGEN_KIND_REPLAY] != 0 && options->replay == NULL)
        argp_error(state, "expected --replay FILE for the kind replay");
    if (options->rate_min > options->rate && options->search)
        argp_error(state, "--rate-min is above --rate");
    if (options->seconds == 0)
        options->seconds = options->quick ? (options->search ? 0.3 : 1) : (options->search ? 2 : 10);
    if (options->resolution_percent == 0)
        options->resolution_percent = options->quick ? 10 : 2;
    if (options->search && options->loss_percent < 0)
        options->loss_percent = 0;
}

static error_t parse_option(int option, char *argument, struct argp_state *state)
{
    struct loadgen_options *options = state->input;
    error_t error;

    if (option == ARGP_KEY_ARG)
        argp_error(state, "%s: expected options only", argument);
    if (option == ARGP_KEY_END)
        check_all(options, state);
    error = parse_sent(option, argument, state, options);
    if (error == ARGP_ERR_UNKNOWN)
        error = parse_run(option, argument, state, options);
    return error == ARGP_ERR_UNKNOWN ? parse_expected(option, argument, state, options) : error;
}

bool loadgen_options_want_help(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-?") == 0 || strcmp(argv[i], "--usage") == 0)
            return true;
    return argc == 1;
}

static void set_defaults(struct loadgen_options *options)
{
    static const uint8_t server_ip4[16] = {192, 0, 2, 25};
    static const uint8_t server_ip6[16] = {0x20, 0x01, 0x0d, 0xb8, 0, 0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x25};

    *options = (struct loadgen_options){
        .weights[LOADGEN_KIND_DIALOGUE] = 1,
        .ipv6_percent = 50,
        .seed = 1,
        .link = {.client_mac = {2, 0, 0, 0, 0, 1}, .server_mac = {2, 0, 0, 0, 0, 2}},
        .server_port = 25,
        .rate = 10000,
        .rate_min = 1000,
        .warm_up = 4096,
        .drain_s = 0.5,
        .loss_percent = -1,
        .lan_port = LOADGEN_SECOND_PORT,
        .wait_s = 10,
        .hostname = "mx.example.org",
        .url = "https://delist.example.net/?ip={address}",
        .ipv6_unit = 64,
        .wrong_shown = 5,
        .pcap_frames = 1000000,
    };
    memcpy(options->server_ip4, server_ip4, sizeof(server_ip4));
    memcpy(options->server_ip6, server_ip6, sizeof(server_ip6));
}

void loadgen_options_read(struct loadgen_options *options, int argc, char **argv)
{
    const struct argp argp = {option_list, parse_option, "[EAL OPTIONS] --", before_options, NULL, NULL, NULL};

    set_defaults(options);
    argp_err_exit_status = USAGE_EXIT;
    argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, options);
}
