/* parse.c and glance.h on any bytes: every offset that is promised lies in the frame, they agree with the tests' own
 * reader and with each other, and a glance misses no frame of its shape. */
#include <stdlib.h>

#include "dataplane/frame_view.h"
#include "dataplane/glance.h"
#include "dataplane/parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void check_tcp(const uint8_t *data, size_t size, const struct bl_packet *packet)
{
    struct frame_view view;

    require(packet->l3_offset >= 14 && packet->l3_offset <= 30 && (packet->l3_offset - 14) % 4 == 0);
    require(packet->l4_offset >= packet->l3_offset + (packet->family == BL_FAMILY_IPV4 ? 20 : 40));
    require(packet->payload_offset >= packet->l4_offset + 20);
    require((size_t)packet->payload_offset + packet->payload_bytes <= size);
    require(frame_view_read(data, size, &view));
    require(view.family == packet->family && view.l3 == packet->l3_offset && view.tcp == packet->l4_offset);
    require(view.payload == packet->payload_offset && view.payload_bytes == packet->payload_bytes);
    require(view.source_port == packet->source_port && view.destination_port == packet->destination_port);
    require(view.sequence == packet->sequence && view.acknowledgement == packet->acknowledgement);
    require(view.flags == packet->tcp_flags && view.window == packet->window);
    require(bl_parse_verify_checksums(data, packet) == view.checksums_right);
}

static void check_glance(const uint8_t *data, size_t size, const struct bl_packet *packet)
{
    enum bl_family family = bl_glance_family(data, size);
    bool ipv4 = packet->family == BL_FAMILY_IPV4;
    bool plain = packet->status == BL_PARSE_TCP && packet->l3_offset == 14 && packet->l4_offset == (ipv4 ? 34 : 54);
    struct bl_packet glanced;

    require(family == (plain ? (enum bl_family)packet->family : BL_FAMILY_NONE));
    if (family == BL_FAMILY_NONE)
        return;
    bl_glance_packet(data, family, &glanced);
    require(memcmp(&glanced, packet, sizeof(glanced)) == 0);
    require(bl_glance_destination_port(data, family) == packet->destination_port);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bl_packet packet;
    struct frame_view view;

    if (size > FRAME_BYTES_MAX)
        return 0;
    memset(&packet, 0xff, sizeof(packet));
    bl_parse_frame(data, size, &packet);
    check_glance(data, size, &packet);
    require(packet.status <= BL_PARSE_TCP);
    require(packet.family == BL_FAMILY_NONE || packet.family == BL_FAMILY_IPV4 || packet.family == BL_FAMILY_IPV6);
    /* Addresses are there whenever something behind them was looked at. */
    if (packet.status == BL_PARSE_OTHER || packet.status == BL_PARSE_FRAGMENT)
        require(packet.family != BL_FAMILY_NONE && (size_t)packet.l3_offset + 20 <= size);
    if (packet.status == BL_PARSE_NOT_IP)
        require(packet.family == BL_FAMILY_NONE);
    if (packet.status == BL_PARSE_TCP)
        check_tcp(data, size, &packet);
    else
        require(!frame_view_read(data, size, &view));
    return 0;
}
