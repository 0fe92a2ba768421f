/** @file wire.h
 * Safe decoding of protobuf messages (used by the codec of each side; nobody else sees generated code).
 *
 * protobuf-c multiplies memory up to 52 times and has no depth limit. So a message is scanned on the wire against its
 * descriptor before it is decoded: unknown fields, wrong wire types, too many repeats, a repeated singular field, text
 * that is not UTF-8 and too deep a nesting are refused, with the field's name. The decode itself runs on a capped allocator. Also the
 * length-prefixed frames of TableSync. Pure but for the heap. Threads: any. Cost: control path. */
#ifndef BL_WIRE_H
#define BL_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include "bounceline/error.h"

struct bl_wire_limits {
    size_t message_bytes_max; /**< of the encoded message */
    size_t memory_bytes_max;  /**< that decoding may allocate */
    uint32_t repeats_max;     /**< items of any one repeated field in one message */
};

enum { BL_WIRE_DEPTH_MAX = 4, BL_WIRE_FRAME_HEADER_BYTES = 4, BL_WIRE_FRAME_BYTES_MAX = 4 << 20 };

/** Scans @p length bytes as a message of @p descriptor. @return 0, BL_ETOOBIG or BL_EINVAL with the field's name. */
int bl_wire_scan(const ProtobufCMessageDescriptor *descriptor, const uint8_t *data, size_t length,
                 const struct bl_wire_limits *limits, struct bl_error_detail *detail);

/** Scans, then decodes within the limits. Strings are UTF-8 without NUL; enum values are the caller's to check. The message is owned by the caller: free
 * with bl_wire_free. @return 0, BL_ETOOBIG, BL_EINVAL or BL_ENOMEM. */
int bl_wire_decode(const ProtobufCMessageDescriptor *descriptor, const uint8_t *data, size_t length,
                   const struct bl_wire_limits *limits, ProtobufCMessage **out, struct bl_error_detail *detail);
void bl_wire_free(ProtobufCMessage *message);

/** Length of the frame's body from its header. @return 0 or BL_ETOOBIG. */
int bl_wire_frame_parse(const uint8_t header[BL_WIRE_FRAME_HEADER_BYTES], size_t *length);
void bl_wire_frame_write(uint8_t header[BL_WIRE_FRAME_HEADER_BYTES], size_t length);

#endif
