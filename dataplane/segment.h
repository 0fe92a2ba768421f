/** @file segment.h
 * From the record of an answer to a frame (reject → segment → tx).
 *
 * The answer goes back the way the segment came: MAC addresses swapped, every VLAN tag kept as it was, IP addresses and
 * ports swapped; one that goes on to the destination (reply->onward) has all of them as they were. IPv4 with DF and
 * identification 0, no IP options and no extension headers, hop limit 64, traffic class 0. Checksums are computed here, in software. Pure. Threads: any. Cost: fast path. */
#ifndef BL_SEGMENT_H
#define BL_SEGMENT_H

#include <stddef.h>
#include <stdint.h>

#include "dataplane/parse.h"
#include "dataplane/reject.h"

/** Room that any answer fits in: Ethernet, 4 tags, IPv6, TCP with MSS, the largest payload. */
enum { BL_SEGMENT_FRAME_MAX = 14 + 16 + 40 + 24 + BL_REJECT_PAYLOAD_MAX_IPV6 };

/** Writes the answer's frame. @p frame and @p packet are the received ones; @p out (at least BL_SEGMENT_FRAME_MAX bytes)
 * must not overlap @p frame. @return the frame's length, at least 60 (padded with zeros). */
size_t bl_segment_build(const uint8_t *frame, const struct bl_packet *packet, const struct bl_reply *reply,
                        uint8_t *out);

#endif
