/* Protobuf by hand, for tests that must not see generated code: what a client of another make would send. */
#ifndef BL_TEST_WIRE_WRITER_H
#define BL_TEST_WIRE_WRITER_H

#include <stdint.h>
#include <string.h>

struct wire {
    uint8_t data[4096];
    size_t n;
};

static inline void wire_varint(struct wire *wire, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        wire->data[wire->n++] = (uint8_t)(value | 0x80);
    wire->data[wire->n++] = (uint8_t)value;
}

static inline void wire_number(struct wire *wire, unsigned field, uint64_t value)
{
    wire_varint(wire, field << 3);
    wire_varint(wire, value);
}

static inline void wire_bytes(struct wire *wire, unsigned field, const void *data, size_t length)
{
    wire_varint(wire, field << 3 | 2);
    wire_varint(wire, length);
    memcpy(wire->data + wire->n, data, length);
    wire->n += length;
}

static inline void wire_text(struct wire *wire, unsigned field, const char *text)
{
    wire_bytes(wire, field, text, strlen(text));
}

static inline void wire_nested(struct wire *wire, unsigned field, const struct wire *inner)
{
    wire_bytes(wire, field, inner->data, inner->n);
}

/* A field as it was found: a number, or bytes. */
struct wire_found {
    uint64_t number;
    const uint8_t *bytes;
    size_t length;
};

/* The @which-th (from 0) field @field of a message of varints and bytes. @return 1 when it is there. */
static inline int wire_find(const uint8_t *data, size_t length, unsigned field, unsigned which,
                            struct wire_found *found)
{
    size_t at = 0;

    while (at < length) {
        uint64_t numbers[2] = {0, 0};

        for (int i = 0; i < 2; i++)
            for (unsigned shift = 0; at < length; shift += 7) {
                numbers[i] |= (uint64_t)(data[at] & 0x7f) << shift;
                if ((data[at++] & 0x80) == 0)
                    break;
            }
        *found = (struct wire_found){numbers[1], data + at, (size_t)numbers[1]};
        if ((numbers[0] & 7) == 2)
            at += (size_t)numbers[1];
        if (numbers[0] >> 3 == field && which-- == 0)
            return 1;
    }
    return 0;
}

#endif
