/* Frames of every shape; see wire_shapes.h, and wire_maker.h for the list.
 *
 * Of class 1 only SYNs are made, and what has no port: a segment without a cookie passes or not by other settings. */
#include "dataplane/wire_shapes.h"

#include <string.h>

#include "dataplane/wire_maker.h"

/* What passes. */

static void arp(struct maker *m)
{
    put_macs(m, true);
    put32(m, 0x08060001);
    put32(m, 0x08000604);
    put16(m, between(m, 1, 2));
    put_random(m, 20);
    put_random(m, draw(m, 2) * 18);
}

static void neighbour_discovery(struct maker *m)
{
    size_t bytes = 24 + 8 * draw(m, 3);

    put_macs(m, true);
    put16(m, 0x86dd);
    put_ip6(m, any_net(m), ICMP6, bytes);
    put8(m, between(m, 133, 137));
    put_random(m, bytes - 1);
}

static void multicast(struct maker *m)
{
    size_t bytes = between(m, 0, 1400);

    put_macs(m, true);
    put16(m, 0x0800);
    put_ip4(m, any_net(m), UDP, bytes, 0);
    put_random(m, bytes);
}

static void broadcast(struct maker *m)
{
    multicast(m);
    memset(m->bytes, 0xff, 6);
}

static void unknown_ethertype(struct maker *m)
{
    static const uint16_t types[] = {0x0600, 0x0801, 0x0842, 0x22f0, 0x6003, 0x86dc, 0x88b5, 0x88e5, 0x88f7, 0xffff};

    put_macs(m, draw(m, 2) == 0);
    put16(m, types[draw(m, 10)]);
    put_random(m, draw(m, 1500));
}

static void spanning_tree(struct maker *m)
{
    static const uint8_t group[] = {0x01, 0x80, 0xc2, 0, 0, 0};

    put_macs(m, true);
    memcpy(m->bytes, group, 6);
    put16(m, 38);
    put32(m, 0x42420300);
    put_random(m, 42);
}

static void llc_of_any_length(struct maker *m)
{
    uint32_t bytes = draw(m, 1501);

    put_macs(m, false);
    put16(m, bytes);
    put_random(m, bytes);
}

static void lldp(struct maker *m)
{
    put_macs(m, true);
    put16(m, 0x88cc);
    put_random(m, between(m, 20, 300));
}

static void mpls(struct maker *m)
{
    size_t bytes = between(m, 0, 500);

    put_macs(m, false);
    put16(m, draw(m, 2) == 0 ? 0x8847 : 0x8848);
    for (uint32_t n = draw(m, 3); n > 0; n--)
        put32(m, draw(m, 1 << 20) << 12 | 64);
    put32(m, draw(m, 1 << 20) << 12 | 0x100 | 64);
    put_ip4(m, any_net(m), TCP, 20 + bytes, 0);
    put_random(m, 20 + bytes);
}

static void pppoe(struct maker *m)
{
    size_t bytes = between(m, 20, 1000);

    put_macs(m, false);
    put16(m, draw(m, 2) == 0 ? 0x8863 : 0x8864);
    put16(m, 0x1100);
    put16(m, draw(m, 65536));
    put16(m, (uint32_t)bytes + 22);
    put16(m, 0x0021);
    put_ip4(m, any_net(m), TCP, bytes, 0);
    put_random(m, bytes);
}

static void runt_without_header(struct maker *m)
{
    put_macs(m, false);
    put16(m, 0x0800);
    m->at = between(m, 1, 13);
}

static void runt(struct maker *m)
{
    static const uint16_t types[] = {0x0800, 0x86dd, 0x8100, 0x88a8, 0x0806, 0x0003};

    put_macs(m, false);
    put16(m, types[draw(m, 6)]);
    memset(m->bytes + m->at, 0xff, 16); /* too short for an address, and no header's first byte */
    m->at += draw(m, 16);
}

/* Cut in front of the source's last byte: nobody can say who sent it. */
static void source_cut(struct maker *m)
{
    bool four = draw(m, 2) == 0;
    size_t ip;

    put_ethernet(m, four ? 0x0800 : 0x86dd);
    ip = m->at;
    if (four)
        put_ip4(m, any_net(m), TCP, 20, 0);
    else
        put_ip6(m, any_net(m), TCP, 20);
    m->at = ip + draw(m, four ? 16 : 24);
}

static void not_tcp(struct maker *m)
{
    uint32_t protocol = draw(m, 255);
    size_t bytes = draw(m, 600);

    put_ethernet(m, 0x0800);
    put_ip4(m, any_net(m), protocol == TCP ? 255 : protocol, bytes, 4 * draw(m, 11));
    put_random(m, bytes);
}

static void udp_to_port_25(struct maker *m)
{
    size_t bytes = draw(m, 1400);
    bool four = draw(m, 2) == 0;

    put_ethernet(m, four ? 0x0800 : 0x86dd);
    if (four)
        put_ip4(m, listed_net(m), UDP, 8 + bytes, 0);
    else
        put_ip6(m, listed_net(m), UDP, 8 + bytes);
    put16(m, draw(m, 65536));
    put16(m, SMTP);
    put16(m, (uint32_t)(8 + bytes));
    put_random(m, 2 + bytes);
}

static void icmp_of_a_listed(struct maker *m)
{
    size_t bytes = between(m, 8, 600);
    bool four = draw(m, 2) == 0;

    put_ethernet(m, four ? 0x0800 : 0x86dd);
    if (four)
        put_ip4(m, listed_net(m), ICMP, bytes, 0);
    else
        put_ip6(m, listed_net(m), ICMP6, bytes);
    put_random(m, bytes);
}

static void any_next_header(struct maker *m)
{
    size_t bytes = draw(m, 600);

    put_ethernet(m, 0x86dd);
    put_ip6(m, FREE, draw(m, 256), bytes);
    put_random(m, bytes);
}

static void free_with_any_flags(struct maker *m)
{
    struct segment segment = segment_of(m, SMTP, draw(m, 256), 600);

    put_segment(m, FREE, &segment, 0);
}

static void free_with_a_bad_checksum(struct maker *m)
{
    struct segment segment = segment_of(m, SMTP, draw(m, 256), 100);

    segment.bad_checksum = true;
    put_segment(m, FREE, &segment, 0);
}

static void free_with_options_or_extensions(struct maker *m)
{
    struct segment segment = segment_of(m, SMTP, draw(m, 256), 400);

    put_segment(m, FREE, &segment, 8 * between(m, 1, 5));
}

static void free_at_full_length(struct maker *m)
{
    struct segment segment = segment_of(m, SMTP, 0x10, 0);
    size_t ip;

    segment.payload_bytes = MTU - 40;
    put_macs(m, false);
    put16(m, 0x0800);
    ip = put_ip4(m, FREE, TCP, MTU - 20, 0);
    put_tcp(m, &segment, m->bytes + ip + 12, 4);
}

static void jumbo(struct maker *m)
{
    size_t bytes = between(m, MTU, JUMBO - 20);
    struct segment segment = segment_of(m, draw(m, 2) == 0 ? SMTP : 443, 0x10, 0);
    size_t ip;

    segment.payload_bytes = bytes - 20;
    put_ethernet(m, 0x0800);
    ip = put_ip4(m, FREE, TCP, bytes, 0);
    put_tcp(m, &segment, m->bytes + ip + 12, 4);
}

static void listed_to_other_ports(struct maker *m)
{
    struct segment segment = segment_of(m, open_port(m), draw(m, 256), 300);

    put_segment(m, listed_net(m), &segment, 8 * draw(m, 3));
}

static void listed_from_port_25(struct maker *m)
{
    struct segment segment = segment_of(m, between(m, 1024, 65535), draw(m, 256), 300);

    segment.source_port = SMTP;
    put_segment(m, listed_net(m), &segment, 0);
}

static void monitored(struct maker *m)
{
    struct segment segment = segment_of(m, SMTP, draw(m, 256), 300);

    put_segment(m, MONITOR, &segment, 0);
}

static void exempt(struct maker *m)
{
    struct segment segment = segment_of(m, SMTP, draw(m, 256), 300);

    put_segment(m, EXEMPT, &segment, 0);
}

static void tags_up_to_four(struct maker *m)
{
    struct segment segment = segment_of(m, SMTP, draw(m, 256), 0);
    size_t ip;

    put_macs(m, false);
    for (uint32_t n = between(m, 3, 4); n > 0; n--)
        put_tag(m, draw(m, 2) == 0 ? 0x8100 : 0x88a8);
    put16(m, 0x0800);
    ip = put_ip4(m, FREE, TCP, 20, 0);
    put_tcp(m, &segment, m->bytes + ip + 12, 4);
}

/* More tags than any network stacks: no IP to a mail server, nor to us. */
static void five_tags_of_a_listed(struct maker *m)
{
    struct segment segment = segment_of(m, SMTP, SYN, 0);
    size_t ip;

    put_macs(m, false);
    for (int i = 0; i < 5; i++)
        put_tag(m, 0x8100);
    put16(m, 0x0800);
    ip = put_ip4(m, listed_net(m), TCP, 20, 0);
    put_tcp(m, &segment, m->bytes + ip + 12, 4);
}

static void put_fragment(struct maker *m, uint32_t net)
{
    size_t bytes = 8 * between(m, 1, 180);
    uint32_t offset = draw(m, 2) == 0 ? 0 : between(m, 1, 8000); /* in 8 bytes */
    bool more = offset == 0 || draw(m, 2) == 0;
    uint32_t protocol = draw(m, 2) == 0 ? TCP : UDP;
    size_t ip;

    if (draw(m, 2) == 0) {
        put_ethernet(m, 0x0800);
        ip = put_ip4(m, net, protocol, bytes, 0);
        m->bytes[ip + 6] = (uint8_t)((more ? 0x20 : 0) | offset >> 8);
        m->bytes[ip + 7] = (uint8_t)offset;
    } else {
        put_ethernet(m, 0x86dd);
        put_ip6(m, net, 44, 8 + bytes);
        put8(m, protocol);
        put8(m, 0);
        put16(m, offset << 3 | more);
        put32(m, draw(m, UINT32_MAX));
    }
    put_random(m, bytes);
}

static void free_fragment(struct maker *m)
{
    put_fragment(m, FREE);
}

/* The source can be read; a length can't be true, or TCP's header is not whole. */
static void put_unparsable(struct maker *m, uint32_t net)
{
    size_t bytes = between(m, 20, 60);
    size_t ip;

    if (draw(m, 2) == 0) {
        put_ethernet(m, 0x0800);
        ip = put_ip4(m, net, TCP, bytes, 0);
        switch (draw(m, 4)) {
        case 0:
            m->bytes[ip] = (uint8_t)(0x40 | draw(m, 5)); /* a header shorter than a header */
            break;
        case 1:
            m->bytes[ip + 2] = 0x7f; /* longer than the frame */
            break;
        case 2:
            m->bytes[ip + 2] = 0; /* shorter than the header */
            m->bytes[ip + 3] = (uint8_t)draw(m, 20);
            break;
        default:
            m->bytes[ip + 3] = (uint8_t)between(m, 20, 39); /* ends in TCP's header */
            break;
        }
        put_random(m, bytes);
        return;
    }
    put_ethernet(m, 0x86dd);
    ip = put_ip6(m, net, TCP, bytes);
    if (draw(m, 2) == 0)
        m->bytes[ip + 4] = 0x7f;
    else
        m->bytes[ip + 5] = (uint8_t)draw(m, 20);
    put_random(m, bytes);
}

static void free_unparsable(struct maker *m)
{
    put_unparsable(m, FREE);
}

static void free_with_too_many_extensions(struct maker *m)
{
    struct segment segment = segment_of(m, SMTP, SYN, 0);

    put_segment(m, FREE, &segment, 8 * 5); /* as many as IPv4's options allow */
    put_random(m, 8);
}

/* What is touched, when it comes from the WAN side. */

static void reject_syn(struct maker *m)
{
    struct segment segment = segment_of(m, SMTP, SYN, 0);

    put_segment(m, REJECT, &segment, 0);
}

static void reject_syn_with_extras(struct maker *m)
{
    struct segment segment = segment_of(m, SMTP, SYN, 20);

    put_segment(m, REJECT, &segment, 8 * between(m, 1, 5));
}

static void reject_syn_from_port_25(struct maker *m)
{
    struct segment segment = segment_of(m, SMTP, SYN, 0);

    segment.source_port = SMTP;
    put_segment(m, REJECT, &segment, 0);
}

static void reject_bad_checksum(struct maker *m)
{
    struct segment segment = segment_of(m, SMTP, SYN, 10);

    segment.bad_checksum = true;
    put_segment(m, REJECT, &segment, 0);
}

static void reset_syn(struct maker *m)
{
    struct segment segment = segment_of(m, SMTP, SYN, 0);

    put_segment(m, RESET, &segment, 0);
}

static void drop_with_any_flags(struct maker *m)
{
    struct segment segment = segment_of(m, SMTP, draw(m, 256), 500);

    put_segment(m, DROP, &segment, 8 * draw(m, 3));
}

static void listed_fragment(struct maker *m)
{
    put_fragment(m, listed_net(m));
}

static void listed_unparsable(struct maker *m)
{
    put_unparsable(m, listed_net(m));
}

#define PASSES(make) \
    { \
#make, make, false \
    }
#define TOUCHED(make) \
    { \
#make, make, true \
    }

static const struct {
    const char *name;
    void (*make)(struct maker *m);
    bool touched;
} shapes[] = {
    PASSES(arp),
    PASSES(neighbour_discovery),
    PASSES(multicast),
    PASSES(broadcast),
    PASSES(unknown_ethertype),
    PASSES(spanning_tree),
    PASSES(llc_of_any_length),
    PASSES(lldp),
    PASSES(mpls),
    PASSES(pppoe),
    PASSES(runt_without_header),
    PASSES(runt),
    PASSES(source_cut),
    PASSES(not_tcp),
    PASSES(udp_to_port_25),
    PASSES(icmp_of_a_listed),
    PASSES(any_next_header),
    PASSES(free_with_any_flags),
    PASSES(free_with_a_bad_checksum),
    PASSES(free_with_options_or_extensions),
    PASSES(free_with_too_many_extensions),
    PASSES(free_at_full_length),
    PASSES(jumbo),
    PASSES(free_fragment),
    PASSES(free_unparsable),
    PASSES(listed_to_other_ports),
    PASSES(listed_from_port_25),
    PASSES(monitored),
    PASSES(exempt),
    PASSES(tags_up_to_four),
    PASSES(five_tags_of_a_listed),
    TOUCHED(reject_syn),
    TOUCHED(reject_syn_with_extras),
    TOUCHED(reject_syn_from_port_25),
    TOUCHED(reject_bad_checksum),
    TOUCHED(reset_syn),
    TOUCHED(drop_with_any_flags),
    TOUCHED(listed_fragment),
    TOUCHED(listed_unparsable),
};

enum { N_SHAPES = sizeof(shapes) / sizeof(shapes[0]) };

void wire_make(uint64_t seed, enum wire_direction direction, uint64_t number, struct wire_frame *out)
{
    struct maker m = {.bytes = out->bytes, .direction = direction};

    m.random = seed * 0x9e3779b97f4a7c15 ^ (number * 2 + (uint64_t)direction);
    (void)draw64(&m);
    out->shape = draw(&m, N_SHAPES);
    shapes[out->shape].make(&m);
    out->length = m.at;
    out->touched = direction == WIRE_FROM_WAN && shapes[out->shape].touched;
}

unsigned wire_n_shapes(void)
{
    return N_SHAPES;
}

const char *wire_shape_name(unsigned shape)
{
    return shapes[shape].name;
}

bool wire_shape_is_touched(unsigned shape)
{
    return shapes[shape].touched;
}

size_t wire_make_filler(enum wire_direction direction, uint8_t *bytes)
{
    struct maker m = {.bytes = bytes, .direction = direction};

    put_macs(&m, false);
    put16(&m, 0x88b6);
    put(&m, "between the frames", 18);
    return m.at;
}

bool wire_is_answer(const uint8_t *bytes, size_t length)
{
    static const uint8_t inside_of_wan[] = {2, 0, 0, 0, 0xaa, 0x25};

    return length >= 54 && memcmp(bytes + WIRE_MAC_AT, inside_of_wan, 6) == 0;
}
