/* parse.c on any bytes: every offset that it promises lies in the frame, and it agrees with the tests' own reader. */
#include <stdlib.h>

#include "dataplane/frame_view.h"
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bl_packet packet;
    struct frame_view view;

    if (size > FRAME_BYTES_MAX)
        return 0;
    memset(&packet, 0xff, sizeof(packet));
    bl_parse_frame(data, size, &packet);
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
