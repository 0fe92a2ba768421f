/* See loadgen_schedule.h. */
#include "perf/loadgen_schedule.h"

#include <stdlib.h>
#include <string.h>

#include "perf/list.h"
#include "perf/loadgen_client.h"

enum {
    MARK_BYTES = 24,
    MARK_WORDS = MARK_BYTES / 8,
    FRAME_BYTES_MIN = 60,
    SMALL_BYTES = 96,
    MIDDLING_BYTES = 594,
    LARGE_BYTES = 1514,
    CLIENT_PORT_MIN = 1024,
    FLIPS_MAX = 8,
};

static const uint64_t mark_magic = 0x6e65676461506c42ULL; /* no frame of anybody else's ends like this */

static void share_kinds(struct loadgen_schedule *schedule)
{
    const unsigned *weights = schedule->options->weights;
    unsigned n = sizeof(schedule->kinds);
    uint64_t sum = 0, before = 0;

    for (unsigned kind = 0; kind < LOADGEN_N_KINDS; kind++)
        sum += weights[kind];
    for (unsigned kind = 0; kind < LOADGEN_N_KINDS; kind++) {
        for (uint64_t i = before * n / sum; i < (before + weights[kind]) * n / sum; i++)
            schedule->kinds[i] = (uint8_t)kind;
        before += weights[kind];
    }
}

static int compare_hashes(const void *a, const void *b)
{
    uint64_t first = *(const uint64_t *)a;
    uint64_t second = *(const uint64_t *)b;

    return (first > second) - (first < second);
}

static int read_replay(struct loadgen_schedule *schedule, struct bl_error_detail *detail)
{
    struct pcap_file *replay = &schedule->replay;
    int error = pcap_file_read(replay, schedule->options->replay, LARGE_BYTES + 8, detail);

    if (error != BL_OK)
        return error;
    schedule->replay_hashes = malloc(replay->n * sizeof(*schedule->replay_hashes));
    if (schedule->replay_hashes == NULL)
        return bl_error_set(detail, BL_ENOMEM, "%s: no memory for its frames", schedule->options->replay);
    for (size_t i = 0; i < replay->n; i++)
        schedule->replay_hashes[i] =
            bl_siphash(&schedule->key, replay->bytes + replay->offsets[i], replay->offsets[i + 1] - replay->offsets[i]);
    qsort(schedule->replay_hashes, replay->n, sizeof(*schedule->replay_hashes), compare_hashes);
    return BL_OK;
}

bool loadgen_schedule_is_replayed(const struct loadgen_schedule *schedule, const uint8_t *frame, size_t length)
{
    uint64_t hash;

    if (schedule->replay.n == 0)
        return false;
    hash = bl_siphash(&schedule->key, frame, length);
    return bsearch(&hash, schedule->replay_hashes, schedule->replay.n, sizeof(hash), compare_hashes) != NULL;
}

int loadgen_schedule_init(struct loadgen_schedule *schedule, const struct loadgen_options *options,
                          struct bl_error_detail *detail)
{
    uint64_t random = options->seed;
    int error;

    memset(schedule, 0, sizeof(*schedule));
    schedule->options = options;
    schedule->key.k0 = list_random(&random);
    schedule->key.k1 = list_random(&random);
    share_kinds(schedule);
    error = loadgen_sources_init(&schedule->sources, options, detail);
    if (error == BL_OK && options->replay != NULL)
        error = read_replay(schedule, detail);
    if (error != BL_OK)
        loadgen_schedule_fini(schedule);
    return error;
}

void loadgen_schedule_fini(struct loadgen_schedule *schedule)
{
    loadgen_sources_fini(&schedule->sources);
    pcap_file_fini(&schedule->replay);
    free(schedule->replay_hashes);
    schedule->replay_hashes = NULL;
}

/* Whether the client of an event is listed, where the kind leaves it open. */
static bool is_listed(const struct loadgen_schedule *schedule, enum loadgen_kind kind, uint64_t random)
{
    switch (kind) {
    case LOADGEN_KIND_DIALOGUE:
    case LOADGEN_KIND_SYN:
    case LOADGEN_KIND_FORGED:
        return true;
    case LOADGEN_KIND_ALLOWED:
        return false;
    default:
        return schedule->options->n_lists != 0 && (random & 1) != 0;
    }
}

static void choose_source(const struct loadgen_schedule *schedule, struct loadgen_event *event, uint64_t *random)
{
    const struct loadgen_pool *pools = event->listed ? schedule->sources.listed : schedule->sources.allowed;
    unsigned family = list_below(random, 100) < schedule->options->ipv6_percent ? LOADGEN_IPV6 : LOADGEN_IPV4;
    const struct loadgen_source *source;
    uint64_t high, low;

    if (pools[family].n == 0)
        family = 1 - family;
    event->ends.family = family == LOADGEN_IPV4 ? BL_FAMILY_IPV4 : BL_FAMILY_IPV6;
    memcpy(event->ends.server, family == LOADGEN_IPV4 ? schedule->options->server_ip4 : schedule->options->server_ip6,
           sizeof(event->ends.server));
    high = list_random(random);
    low = list_random(random);
    if (pools[family].n == 0)
        return; /* a list of the whole internet: nobody is allowed */
    source = &pools[family].entries[list_below(random, pools[family].n)];
    loadgen_sources_address(source, high, low, event->ends.client);
    event->list = source->list;
}

void loadgen_schedule_event(const struct loadgen_schedule *schedule, uint64_t index, struct loadgen_event *event)
{
    uint64_t random = schedule->key.k0 + index * 0x9e6c63d0676a9a99ULL;
    uint64_t first = list_random(&random);

    memset(event, 0, sizeof(*event));
    event->index = index;
    event->kind = (enum loadgen_kind)schedule->kinds[first % sizeof(schedule->kinds)];
    if (event->kind == LOADGEN_KIND_REPLAY)
        return;
    event->listed = is_listed(schedule, event->kind, first >> 20);
    choose_source(schedule, event, &random);
    event->ends.client_port = (uint16_t)(CLIENT_PORT_MIN + list_below(&random, 65536 - CLIENT_PORT_MIN));
    event->ends.server_port = schedule->options->server_port;
    event->random = list_random(&random);
    event->hash = loadgen_client_hash(&schedule->key, &event->ends);
}

/* The mark goes behind the IP packet. */
static size_t put_mark(const struct loadgen_schedule *schedule, uint64_t index, uint8_t *frame, size_t length)
{
    const uint64_t mark[MARK_WORDS] = {mark_magic, index, bl_siphash(&schedule->key, &index, sizeof(index))};

    memcpy(frame + length, mark, MARK_BYTES);
    return length + MARK_BYTES;
}

bool loadgen_schedule_find(const struct loadgen_schedule *schedule, const uint8_t *frame, size_t length,
                           uint64_t *index)
{
    uint64_t mark[MARK_WORDS];

    if (length < MARK_BYTES)
        return false;
    memcpy(mark, frame + length - MARK_BYTES, MARK_BYTES);
    *index = mark[1];
    return mark[0] == mark_magic && mark[2] == bl_siphash(&schedule->key, &mark[1], sizeof(mark[1]));
}

/* So much payload that the whole frame has the length wanted. */
static uint16_t payload_bytes(const struct loadgen_schedule *schedule, const struct loadgen_event *event,
                              uint64_t *random)
{
    uint32_t size = list_below(random, 12);
    size_t wanted = schedule->options->frame_bytes;
    size_t heads = loadgen_frame_link_bytes(&schedule->options->link) +
                   (event->ends.family == BL_FAMILY_IPV4 ? 20 : 40) + 20 + MARK_BYTES;

    if (wanted == 0)
        wanted = size < 7 ? SMALL_BYTES : size < 11 ? MIDDLING_BYTES : LARGE_BYTES;
    return (uint16_t)(wanted > heads ? wanted - heads : 0);
}

static void fill(uint8_t *out, size_t length, uint64_t *random)
{
    for (size_t at = 0; at < length; at += 8) {
        uint64_t word = list_random(random);

        memcpy(out + at, &word, sizeof(word));
    }
}

/* A segment of no dialogue of ours; every third is a SYN. */
static size_t put_segment(const struct loadgen_schedule *schedule, const struct loadgen_event *event, bool to_server,
                          uint64_t *random, uint8_t *out)
{
    uint8_t payload[LARGE_BYTES + 8];
    struct loadgen_segment segment;
    uint32_t form = list_below(random, 3);

    loadgen_client_syn((uint32_t)list_random(random), &segment);
    if (form == 0) {
        segment.flags |= to_server ? 0 : LOADGEN_ACK;
        return loadgen_frame_tcp(&schedule->options->link, &event->ends, to_server, &segment, out);
    }
    segment.mss = false;
    segment.flags = form == 1 ? LOADGEN_ACK : LOADGEN_ACK | LOADGEN_PSH;
    segment.acknowledgement = (uint32_t)list_random(random);
    segment.payload = payload;
    segment.payload_bytes = payload_bytes(schedule, event, random);
    fill(payload, segment.payload_bytes, random);
    return loadgen_frame_tcp(&schedule->options->link, &event->ends, to_server, &segment, out);
}

/* Not to the protected port: UDP, ICMP, TCP to others, TCP from the port (answers to the servers' own mail). */
static size_t put_other(const struct loadgen_schedule *schedule, const struct loadgen_event *event, bool to_server,
                        uint64_t *random, uint8_t *out)
{
    static const uint16_t ports[4] = {53, 443, 587, 40025};
    struct loadgen_event other = *event;
    uint32_t form = list_below(random, 4);
    uint8_t payload[LARGE_BYTES + 8];
    uint16_t bytes;

    other.ends.server_port = ports[list_below(random, 4)];
    if (other.ends.server_port == schedule->options->server_port)
        other.ends.server_port++;
    if (form == 3)
        other.ends.client_port = schedule->options->server_port;
    if (form >= 2)
        return put_segment(schedule, &other, to_server, random, out);
    bytes = payload_bytes(schedule, &other, random);
    fill(payload, bytes, random);
    return loadgen_frame_datagram(&schedule->options->link, &other.ends, to_server, payload, bytes, form == 1, out);
}

/* A blind guess: its own numbers belong to it, so that an answer would be known. */
static size_t put_forged(const struct loadgen_schedule *schedule, const struct loadgen_event *event, uint64_t *random,
                         uint8_t *out)
{
    const struct loadgen_segment segment = {
        .flags = LOADGEN_ACK | LOADGEN_PSH,
        .window = 64240,
        .sequence = loadgen_client_isn(event->hash, event->index) + 1,
        .acknowledgement = (uint32_t)list_random(random),
        .payload = "RCPT TO:<b@mx.example.org>\r\n",
        .payload_bytes = 28,
    };

    return loadgen_frame_tcp(&schedule->options->link, &event->ends, true, &segment, out);
}

/* Of a listed source everything behind Ethernet may change; of another what would keep it from being one may not. */
static size_t put_mutated(const struct loadgen_schedule *schedule, const struct loadgen_event *event, uint64_t *random,
                          uint8_t *out)
{
    size_t length = put_segment(schedule, event, true, random, out);
    size_t first = loadgen_frame_link_bytes(&schedule->options->link);
    uint32_t flips = 1 + list_below(random, FLIPS_MAX);

    if (!event->listed)
        first += event->ends.family == BL_FAMILY_IPV4 ? 20 : 40;
    for (uint32_t i = 0; i < flips; i++)
        out[first + list_below(random, length - first)] ^= (uint8_t)(1U << list_below(random, 8));
    if (list_below(random, 4) == 0)
        length = first + list_below(random, length - first);
    /* With its mark at least what Ethernet carries: nobody pads it. */
    return length < FRAME_BYTES_MIN - MARK_BYTES ? FRAME_BYTES_MIN - MARK_BYTES : length;
}

size_t loadgen_schedule_frame(const struct loadgen_schedule *schedule, const struct loadgen_event *event,
                              uint8_t out[LOADGEN_FRAME_MAX])
{
    const struct loadgen_link *link = &schedule->options->link;
    uint64_t random = event->random;
    struct loadgen_segment segment;
    size_t n, length;

    switch (event->kind) {
    case LOADGEN_KIND_DIALOGUE:
    case LOADGEN_KIND_SYN:
        loadgen_client_syn(loadgen_client_isn(event->hash, event->index), &segment);
        return loadgen_frame_tcp(link, &event->ends, true, &segment, out);
    case LOADGEN_KIND_REPLAY:
        n = (size_t)(event->index % schedule->replay.n);
        length = schedule->replay.offsets[n + 1] - schedule->replay.offsets[n];
        memcpy(out, schedule->replay.bytes + schedule->replay.offsets[n], length);
        return length;
    case LOADGEN_KIND_FORGED:
        length = put_forged(schedule, event, &random, out);
        break;
    case LOADGEN_KIND_ALLOWED:
        length = put_segment(schedule, event, true, &random, out);
        break;
    case LOADGEN_KIND_MUTATED:
        length = put_mutated(schedule, event, &random, out);
        break;
    case LOADGEN_KIND_LAN:
        length = list_below(&random, 2) == 0 ? put_segment(schedule, event, false, &random, out)
                                             : put_other(schedule, event, false, &random, out);
        break;
    default:
        length = put_other(schedule, event, true, &random, out);
        break;
    }
    return put_mark(schedule, event->index, out, length);
}

bool loadgen_schedule_is_expected(const struct loadgen_event *event)
{
    if (event->kind == LOADGEN_KIND_FORGED || event->kind == LOADGEN_KIND_REPLAY)
        return false;
    return event->kind != LOADGEN_KIND_MUTATED || !event->listed;
}
