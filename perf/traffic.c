/* Frames by class; see traffic.h. */
#include "traffic.h"

#include <string.h>

#include "bounceline/class.h"
#include "dataplane/cookie.h"
#include "frames.h"

/* What the client has sent and got when it sends the frame, in bytes, of a dialogue with hostname mx.example.org. */
struct segment {
    uint8_t flags;
    uint8_t options_bytes;
    uint16_t sent;
    uint16_t got;
    const char *payload;
};

enum { DATA = FRAME_PSH | FRAME_ACK };

static const struct segment segments[TRAFFIC_CLASSES] = {
    [TRAFFIC_SYN] = {FRAME_SYN, 20, 0, 0, ""},
    [TRAFFIC_ACK] = {FRAME_ACK, 0, 1, 1, ""},
    [TRAFFIC_EHLO] = {DATA, 0, 1, 26, "EHLO mail.sender.example.net\r\n"},
    [TRAFFIC_MAIL] = {DATA, 0, 31, 117, "MAIL FROM:<alice@sender.example.net> SIZE=2482\r\n"},
    [TRAFFIC_RCPT] = {DATA, 0, 79, 137, "RCPT TO:<bob@v4.example.org> ORCPT=rfc822;bob@v4.example.org\r\n"},
    [TRAFFIC_QUIT] = {DATA, 0, 142, 321, "QUIT\r\n"},
    [TRAFFIC_ACK_FIN] = {FRAME_ACK, 0, 148, 337, ""},
    [TRAFFIC_FIN] = {FRAME_FIN | FRAME_ACK, 0, 148, 337, ""},
    [TRAFFIC_OTHER] = {DATA, 12, 31, 117, "some twenty bytes...."},
    [TRAFFIC_ALLOWED] = {DATA, 12, 31, 117, "MAIL FROM:<alice@sender.example.net> SIZE=2482\r\n"},
    [TRAFFIC_DROP] = {FRAME_SYN, 20, 0, 0, ""},
    [TRAFFIC_RESET] = {FRAME_SYN, 20, 0, 0, ""},
    [TRAFFIC_GARBAGE] = {FRAME_SYN, 20, 0, 0, ""},
    [TRAFFIC_MIXED] = {FRAME_SYN, 20, 0, 0, ""},
};

const struct traffic_kind traffic_kinds[TRAFFIC_CLASSES] = {
    [TRAFFIC_SYN] = {"syn", "SYN of a listed source", BL_REASON_REJECT_SYN, true, BL_ACTION_REJECT},
    [TRAFFIC_ACK] = {"ack", "handshake's ACK: the greeting", BL_REASON_REJECT_GREETING, true, BL_ACTION_REJECT},
    [TRAFFIC_EHLO] = {"ehlo", "EHLO", BL_REASON_REJECT_COMMAND, true, BL_ACTION_REJECT},
    [TRAFFIC_MAIL] = {"mail", "MAIL", BL_REASON_REJECT_COMMAND, true, BL_ACTION_REJECT},
    [TRAFFIC_RCPT] = {"rcpt", "RCPT: the 550", BL_REASON_REJECT_BOUNCE, true, BL_ACTION_REJECT},
    [TRAFFIC_QUIT] = {"quit", "QUIT: 221 and FIN", BL_REASON_REJECT_QUIT, true, BL_ACTION_REJECT},
    [TRAFFIC_ACK_FIN] = {"ack-fin", "ACK of our FIN: no answer", BL_REASON_REJECT_ACK, true, BL_ACTION_REJECT},
    [TRAFFIC_FIN] = {"fin", "FIN", BL_REASON_REJECT_FIN, true, BL_ACTION_REJECT},
    [TRAFFIC_OTHER] = {"other", "other traffic: TCP to port 443", BL_REASON_PASS_OTHER, false, BL_ACTION_REJECT},
    [TRAFFIC_ALLOWED] = {"allowed", "allowed SMTP", BL_REASON_PASS_NOT_LISTED, false, BL_ACTION_REJECT},
    [TRAFFIC_DROP] = {"drop", "listed to be dropped", BL_REASON_DROP_ACTION, true, BL_ACTION_DROP},
    [TRAFFIC_RESET] = {"reset", "listed to be reset: a RST", BL_REASON_RESET_ACTION, true, BL_ACTION_RESET},
    [TRAFFIC_GARBAGE] = {"garbage", "TCP header cut, not listed", BL_REASON_PASS_UNPARSABLE, false, BL_ACTION_REJECT},
    [TRAFFIC_MIXED] = {"mixed", "30 % SYNs of listed sources, 70 % allowed", BL_REASON_REJECT_SYN, true,
                       BL_ACTION_REJECT},
};

/* MSS 1460, SACK, timestamps, window scaling: what Linux sends. */
static const uint8_t syn_options[20] = {2, 4, 0x05, 0xb4, 4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 1, 3, 3, 7};
static const uint8_t data_options[12] = {1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8};

static uint8_t lookup(const struct bl_table *table, const struct bl_address *address)
{
    uint32_t ip4 = bl_address_to_ip4(address->bytes);
    struct bl_ip6 ip6 = bl_address_to_ip6(address->bytes);
    uint8_t class_id;

    if (address->family == BL_FAMILY_IPV4)
        bl_table_lookup_ipv4_burst(table, &ip4, &class_id, 1);
    else
        bl_table_lookup_ipv6_burst(table, &ip6, &class_id, 1);
    return class_id;
}

bool traffic_is_listed(enum traffic_class class, uint64_t number)
{
    uint64_t random = number;

    if (class == TRAFFIC_MIXED)
        return list_below(&random, 100) < TRAFFIC_MIXED_PERCENT;
    return traffic_kinds[class].listed;
}

/* A list has holes, which are exempt; and 169.254/16, which a made list can hold, gets no answer. */
static bool is_wanted(const struct traffic *traffic, const struct bl_address *address, bool listed)
{
    uint8_t class_id = lookup(traffic->table, address);

    if (!listed)
        return class_id == BL_CLASS_NONE;
    return class_id >= BL_CLASS_FIRST && class_id <= BL_CLASS_LAST &&
           !(address->family == BL_FAMILY_IPV4 && address->bytes[0] == 169 && address->bytes[1] == 254);
}

static struct bl_address source_of(const struct traffic *traffic, bool listed, uint64_t *random)
{
    const struct list *list = traffic->list;
    struct bl_address address;

    do
        address = listed ? list_address_in(random, &list->entries[list_below(random, list->n)].prefix)
                         : list_random_address(random, list->family);
    while (!is_wanted(traffic, &address, listed));
    return address;
}

static uint32_t isn_of(const struct traffic *traffic, const struct bl_address *source, const struct frame_spec *spec)
{
    struct bl_packet packet = {
        .family = source->family,
        .source_port = spec->source_port,
        .destination_port = spec->destination_port,
    };

    if (source->family == BL_FAMILY_IPV4) {
        packet.source_ip4 = bl_address_to_ip4(spec->source);
        packet.destination_ip4 = bl_address_to_ip4(spec->destination);
    } else {
        packet.source_ip6 = bl_address_to_ip6(spec->source);
        packet.destination_ip6 = bl_address_to_ip6(spec->destination);
    }
    return bl_cookie_isn(&traffic->cookie_key, &packet, traffic->now_s / BL_COOKIE_EPOCH_S);
}

size_t traffic_build(const struct traffic *traffic, enum traffic_class class, uint64_t number, uint8_t *out)
{
    uint64_t random = traffic->seed ^ number << 20;
    bool listed = traffic_is_listed(class, number);
    const struct segment *segment = &segments[class == TRAFFIC_MIXED && !listed ? TRAFFIC_ALLOWED : class];
    struct bl_address source = source_of(traffic, listed, &random);
    struct frame_spec spec = frame_spec_init(source.family == BL_FAMILY_IPV4 ? 4 : 6);
    uint8_t *tcp;
    size_t length;

    memcpy(spec.source, source.bytes, sizeof(spec.source));
    spec.source_port = (uint16_t)(1024 + list_below(&random, 60000));
    spec.destination_port = class == TRAFFIC_OTHER ? 443 : 25;
    spec.flags = segment->flags;
    spec.sequence = (uint32_t)list_random(&random) + segment->sent;
    if ((segment->flags & FRAME_ACK) != 0)
        spec.acknowledgement = isn_of(traffic, &source, &spec) + segment->got;
    spec.tcp_options_bytes = segment->options_bytes;
    spec.tcp_options = segment->options_bytes == sizeof(data_options) ? data_options : syn_options;
    spec.payload = (const uint8_t *)segment->payload;
    spec.payload_bytes = strlen(segment->payload);
    length = frame_build(&spec, out);
    if (class != TRAFFIC_GARBAGE)
        return length;
    tcp = out + 14 + (spec.family == 4 ? 20 : 40);
    tcp[12] = 0xf0; /* options of 40 bytes, where 20 are */
    return length;
}
