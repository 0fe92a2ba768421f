/** @file wire_shapes.h
 * Ethernet frames of every shape, each made anew from (seed, direction, number): who sends them and who checks what came
 * out of the wire need nothing in common but these three. Written from the RFCs, without the product's code.
 *
 * From the WAN side a shape knows its fate under the list that tests/e2e/test_wire.py loads (the prefixes are in
 * wire_maker.h); from the LAN side every shape passes. */
#ifndef WIRE_SHAPES_H
#define WIRE_SHAPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    WIRE_FRAME_MAX = 9216, /* dataplane.frame_bytes of the test */
    WIRE_MAC_AT = 6,       /* of the source's address */
};

enum wire_direction { WIRE_FROM_WAN, WIRE_FROM_LAN };

struct wire_frame {
    size_t length;
    unsigned shape;
    bool touched; /* the data plane has to keep it */
    uint8_t bytes[WIRE_FRAME_MAX];
};

/* Frame @p number of a direction. */
void wire_make(uint64_t seed, enum wire_direction direction, uint64_t number, struct wire_frame *out);

unsigned wire_n_shapes(void);
const char *wire_shape_name(unsigned shape);
bool wire_shape_is_touched(unsigned shape);

/* A frame that means nothing and passes: what flows before the first and behind the last. @return its length */
size_t wire_make_filler(enum wire_direction direction, uint8_t *bytes);

/* True of a frame toward the WAN side that no host behind the LAN side sent: the data plane's own answer. */
bool wire_is_answer(const uint8_t *bytes, size_t length);

#endif
