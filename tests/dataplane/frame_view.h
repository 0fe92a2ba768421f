/** @file frame_view.h
 * What a frame says, read a second time and in another way than parse.c does it: the tests' own eyes. A cursor that is
 * charged for every byte walks the frame; nothing is shared with the product. */
#ifndef BL_TEST_FRAME_VIEW_H
#define BL_TEST_FRAME_VIEW_H

#include "frames.h"

struct frame_view {
    uint8_t family;
    size_t l3;       /* offset of the IP header */
    size_t ip_bytes; /* IP header to the end of the payload */
    size_t tcp;      /* offset */
    size_t payload;  /* offset */
    size_t payload_bytes;
    uint8_t source[16]; /* IPv4: the first 4, the rest zero */
    uint8_t destination[16];
    unsigned source_port;
    unsigned destination_port;
    uint32_t sequence;
    uint32_t acknowledgement;
    uint8_t flags;
    unsigned window;
    bool checksums_right;
};

static inline bool frame_view_extensions(const uint8_t *frame, size_t at, size_t end, uint8_t next, size_t *tcp)
{
    unsigned n_headers = 0;
    size_t used = 0;

    while (next == 0 || next == 43 || next == 60 || next == 51 || next == 135 || next == 139 || next == 140) {
        size_t take;

        if (end - at < 8)
            return false;
        take = next == 51 ? 4u * (frame[at + 1] + 2u) : 8u * (frame[at + 1] + 1u);
        used += take;
        if (++n_headers > 8 || used > 256 || take > end - at)
            return false;
        next = frame[at];
        at += take;
    }
    *tcp = at;
    return next == 6;
}

/** Reads the IP header. @return the TCP header's offset and, in *end, the packet's end; 0 when there is no whole TCP. */
static inline size_t frame_view_ip(const uint8_t *frame, size_t length, struct frame_view *view, size_t *end)
{
    const uint8_t *ip = frame + view->l3;
    size_t room = length - view->l3;
    size_t tcp = 0;

    if (view->family == 4) {
        size_t header = room >= 20 ? (ip[0] & 15) * 4u : 0;

        if (header < 20 || ip[0] >> 4 != 4 || frame_load16(ip + 2) > room || frame_load16(ip + 2) < header)
            return 0;
        memcpy(view->source, ip + 12, 4);
        memcpy(view->destination, ip + 16, 4);
        view->ip_bytes = frame_load16(ip + 2);
        *end = view->l3 + view->ip_bytes;
        if ((ip[6] & 0x3f) != 0 || ip[7] != 0 || ip[9] != 6)
            return 0;
        view->checksums_right = frame_sum(0, ip, header) == 0xffff;
        return view->l3 + header;
    }
    if (room < 40 || ip[0] >> 4 != 6 || frame_load16(ip + 4) > room - 40)
        return 0;
    memcpy(view->source, ip + 8, 16);
    memcpy(view->destination, ip + 24, 16);
    view->ip_bytes = 40 + frame_load16(ip + 4);
    *end = view->l3 + view->ip_bytes;
    view->checksums_right = true;
    return frame_view_extensions(frame, view->l3 + 40, *end, ip[6], &tcp) ? tcp : 0;
}

/** @return true when the frame is one whole TCP segment; everything in @p view is set then. */
static inline bool frame_view_read(const uint8_t *frame, size_t length, struct frame_view *view)
{
    size_t at = 12;
    size_t end = 0;
    const uint8_t *tcp;

    memset(view, 0, sizeof(*view));
    for (unsigned tags = 0; length >= at + 2; tags++, at += 4) {
        unsigned type = frame_load16(frame + at);

        if (type == 0x0800 || type == 0x86dd) {
            view->family = type == 0x0800 ? 4 : 6;
            break;
        }
        if (tags == 4 || (type != 0x8100 && type != 0x88a8 && type != 0x9100))
            return false;
    }
    if (view->family == 0)
        return false;
    view->l3 = at + 2;
    view->tcp = frame_view_ip(frame, length, view, &end);
    if (view->tcp == 0 || end - view->tcp < 20)
        return false;
    tcp = frame + view->tcp;
    if ((tcp[12] >> 4) * 4u < 20 || (tcp[12] >> 4) * 4u > end - view->tcp)
        return false;
    view->payload = view->tcp + (tcp[12] >> 4) * 4u;
    view->payload_bytes = end - view->payload;
    view->source_port = frame_load16(tcp);
    view->destination_port = frame_load16(tcp + 2);
    view->sequence = frame_load32(tcp + 4);
    view->acknowledgement = frame_load32(tcp + 8);
    view->flags = tcp[13];
    view->window = frame_load16(tcp + 14);
    if (frame_tcp_sum(frame + view->l3, view->family, tcp, end - view->tcp) != 0xffff)
        view->checksums_right = false;
    return true;
}

#endif
