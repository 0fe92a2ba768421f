/* Safe decoding: the bombs that protobuf-c 1.4.1 blows up to 30 to 50 times their size, and everything else that the scan
 * refuses. What a decode allocates is counted, not believed: malloc and free are defined here in front of the C library's
 * (with AddressSanitizer its hooks are used). */
#include <check.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "proto/wire.h"

/* The generated headers are the codecs' alone; the descriptors have names. */
extern const ProtobufCMessageDescriptor bounceline__v1__update_batch__descriptor;
extern const ProtobufCMessageDescriptor bounceline__v1__log_record__descriptor;
extern const ProtobufCMessageDescriptor bounceline__v1__sync_message__descriptor;

#define BATCH &bounceline__v1__update_batch__descriptor
#define RECORD &bounceline__v1__log_record__descriptor
#define SYNC &bounceline__v1__sync_message__descriptor

static struct {
    bool on;
    size_t n_bytes; /* asked for, whether freed or not */
    size_t n_allocated;
    size_t n_freed;
} heap;

static void count_malloc(size_t size)
{
    if (heap.on) {
        heap.n_bytes += size;
        heap.n_allocated++;
    }
}

static void count_free(const volatile void *pointer)
{
    if (heap.on && pointer != NULL)
        heap.n_freed++;
}

#ifdef __SANITIZE_ADDRESS__
/* sanitizer/allocator_interface.h, which gcc does not ship. */
int __sanitizer_install_malloc_and_free_hooks(void (*on_malloc)(const volatile void *, size_t),
                                              void (*on_free)(const volatile void *));

static void hook_malloc(const volatile void *pointer, size_t size)
{
    (void)pointer;
    count_malloc(size);
}

static void install_hooks(void)
{
    ck_assert_int_ne(__sanitizer_install_malloc_and_free_hooks(hook_malloc, count_free), 0);
}
#else
void *__libc_malloc(size_t size);
void __libc_free(void *pointer);

void *malloc(size_t size)
{
    count_malloc(size);
    return __libc_malloc(size);
}

void free(void *pointer)
{
    count_free(pointer);
    __libc_free(pointer);
}

static void install_hooks(void)
{
}
#endif

static struct bl_error_detail detail;

static int decode(const ProtobufCMessageDescriptor *type, const uint8_t *data, size_t length,
                  const struct bl_wire_limits *limits, ProtobufCMessage **message)
{
    int error;

    memset(&heap, 0, sizeof(heap));
    detail.text[0] = '\0';
    heap.on = true;
    error = bl_wire_decode(type, data, length, limits, message, &detail);
    heap.on = false;
    return error;
}

static const struct bl_wire_limits wide = {
    .message_bytes_max = 4 << 20, .memory_bytes_max = 64 << 20, .repeats_max = 1 << 20};

/* ---- Bombs ---- */

enum { BOMB_BYTES = 1 << 20 };

static const struct {
    const ProtobufCMessageDescriptor *type;
    const char *unit; /* repeated over the whole MiB */
    size_t unit_bytes;
    int error;
    const char *cause;
} bombs[] = {
    {BATCH, "\x78\x00", 2, BL_EINVAL, "UpdateBatch: unknown field number 15"},
    {SYNC, "\x78\x00", 2, BL_EINVAL, "SyncMessage: unknown field number 15"},
    {BATCH, "\x1a\x00", 2, BL_ETOOBIG, "UpdateBatch.updates: has more items than allowed"},
    {RECORD, "\x4a\x00", 2, BL_ETOOBIG, "LogRecord.groups: has more items than allowed"},
    {RECORD, "\x52\x00", 2, BL_EINVAL, "LogRecord.answer: comes more than once"},
    {RECORD, "\x52\x02xx", 4, BL_EINVAL, "LogRecord.answer: comes more than once"},
    {BATCH, "\x10\x01", 2, BL_EINVAL, "UpdateBatch.sequence: comes more than once"},
    {SYNC, "\x2a\x00", 2, BL_EINVAL, "SyncMessage.ack: comes more than once"},
    {BATCH, "\x1a\x02\x78\x00", 4, BL_EINVAL, "Update: unknown field number 15"},
};

static uint8_t *make_bomb(int i)
{
    uint8_t *bomb = malloc(BOMB_BYTES);

    ck_assert_ptr_nonnull(bomb);
    for (size_t at = 0; at < BOMB_BYTES; at++)
        bomb[at] = (uint8_t)bombs[i].unit[at % bombs[i].unit_bytes];
    return bomb;
}

/* Refused by the scan: not one allocation. */
START_TEST(bombs_are_refused_before_anything_is_allocated)
{
    static const struct bl_wire_limits limits = {
        .message_bytes_max = 4 << 20, .memory_bytes_max = 64 << 20, .repeats_max = 10000};
    ProtobufCMessage *message = NULL;
    uint8_t *bomb = make_bomb(_i);

    ck_assert_int_eq(decode(bombs[_i].type, bomb, BOMB_BYTES, &limits, &message), bombs[_i].error);
    ck_assert_str_eq(detail.text, bombs[_i].cause);
    ck_assert_uint_eq(heap.n_allocated, 0);
    ck_assert_ptr_null(message);
    free(bomb);
}
END_TEST

/* The first, third and fifth are the measured ones: without the scan they take what they are said to. */
START_TEST(the_bombs_are_real)
{
    for (int i = 0; i < 5; i += 2) {
        uint8_t *bomb = make_bomb(i);
        ProtobufCMessage *message;

        memset(&heap, 0, sizeof(heap));
        heap.on = true;
        message = protobuf_c_message_unpack(bombs[i].type, NULL, BOMB_BYTES, bomb);
        heap.on = false;
        ck_assert_uint_gt(heap.n_bytes, 20u * BOMB_BYTES);
        if (message != NULL)
            protobuf_c_message_free_unpacked(message, NULL);
        free(bomb);
    }
}
END_TEST

/* What the scan lets through meets the cap: at every cap, no more is ever asked for, and nothing is left behind. */
START_TEST(memory_stays_under_the_cap)
{
    const size_t length = 2 * 9000;
    uint8_t *bomb = make_bomb(2);
    size_t needed = 0;

    for (size_t cap = 0; needed == 0; cap = cap < 4096 ? cap + 256 : cap * 9 / 8) {
        const struct bl_wire_limits limits = {
            .message_bytes_max = length, .memory_bytes_max = cap, .repeats_max = 9000};
        ProtobufCMessage *message = NULL;
        int error = decode(BATCH, bomb, length, &limits, &message);

        ck_assert_uint_le(heap.n_bytes, cap + 1); /* malloc(1) stands for room of zero */
        if (error == BL_OK) {
            needed = heap.n_bytes;
            bl_wire_free(message);
            break;
        }
        ck_assert_int_eq(error, BL_ETOOBIG);
        ck_assert_ptr_nonnull(strstr(detail.text, "decoding takes more than"));
        ck_assert_uint_eq(heap.n_allocated, heap.n_freed);
        ck_assert_ptr_null(message);
        ck_assert_uint_lt(cap, 8u << 20);
    }
    ck_assert_uint_gt(needed, 9000 * 50);
    free(bomb);
}
END_TEST

START_TEST(what_is_decoded_is_freed)
{
    static const uint8_t batch[] = "\x0a\x01s\x10\x05\x1a\x0d\x08\x01\x12\x09"
                                   "192.0.2.1\x1a\x00";
    ProtobufCMessage *message = NULL;
    uint8_t again[64];

    ck_assert_int_eq(decode(BATCH, batch, sizeof(batch) - 1, &wide, &message), BL_OK);
    ck_assert_uint_gt(heap.n_allocated, 3);
    ck_assert_uint_eq(protobuf_c_message_get_packed_size(message), sizeof(batch) - 1);
    ck_assert_uint_eq(protobuf_c_message_pack(message, again), sizeof(batch) - 1);
    ck_assert_mem_eq(again, batch, sizeof(batch) - 1);
    heap.on = true;
    bl_wire_free(message);
    heap.on = false;
    ck_assert_uint_eq(heap.n_allocated, heap.n_freed);
    bl_wire_free(NULL);
}
END_TEST

START_TEST(empty_messages_decode)
{
    ProtobufCMessage *message = NULL;

    ck_assert_int_eq(decode(BATCH, (const uint8_t *)"", 0, &wide, &message), BL_OK);
    bl_wire_free(message);
    ck_assert_int_eq(decode(SYNC, (const uint8_t *)"", 0, &wide, &message), BL_OK);
    bl_wire_free(message);
}
END_TEST

/* ---- Limits ---- */

START_TEST(limits_are_exact)
{
    static const uint8_t three[] = "\x1a\x00\x1a\x00\x1a\x00";
    struct bl_wire_limits limits = {.message_bytes_max = 6, .memory_bytes_max = 4096, .repeats_max = 3};
    ProtobufCMessage *message = NULL;

    ck_assert_int_eq(decode(BATCH, three, 6, &limits, &message), BL_OK);
    bl_wire_free(message);
    limits.repeats_max = 2;
    ck_assert_int_eq(decode(BATCH, three, 6, &limits, &message), BL_ETOOBIG);
    ck_assert_str_eq(detail.text, "UpdateBatch.updates: has more items than allowed");
    limits.repeats_max = 3;
    limits.message_bytes_max = 5;
    ck_assert_int_eq(decode(BATCH, three, 6, &limits, &message), BL_ETOOBIG);
    ck_assert_str_eq(detail.text, "UpdateBatch: 6 bytes: expected at most 5");
}
END_TEST

/* ---- Malformed ---- */

#define BYTES(text) (const uint8_t *)(text), sizeof(text) - 1

static const struct {
    const ProtobufCMessageDescriptor *type;
    const uint8_t *data;
    size_t length;
    const char *cause;
} malformed[] = {
    {BATCH, BYTES("\x80"), "UpdateBatch.?: malformed tag"},
    {BATCH, BYTES("\x00\x00"), "UpdateBatch.?: malformed tag"},
    {BATCH, BYTES("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00"), "UpdateBatch.?: malformed tag"},
    {BATCH, BYTES("\x10"), "UpdateBatch.sequence: is cut short or malformed"},
    {BATCH, BYTES("\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"), "UpdateBatch.sequence: is cut short or malformed"},
    {BATCH, BYTES("\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
     "UpdateBatch.sequence: is cut short or malformed"},
    {BATCH, BYTES("\x0a\x02s"), "UpdateBatch.session: is cut short or malformed"},
    {BATCH, BYTES("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01s"), "UpdateBatch.session: is cut short or malformed"},
    {BATCH, BYTES("\x12\x01s"), "UpdateBatch.sequence: has the wrong wire type"},
    {BATCH, BYTES("\x08\x01"), "UpdateBatch.session: has the wrong wire type"},
    {BATCH, BYTES("\x13\x14"), "UpdateBatch.sequence: has the wrong wire type"}, /* groups */
    {BATCH, BYTES("\x16\x01"), "UpdateBatch.sequence: has the wrong wire type"},
    {BATCH, BYTES("\x15\x01\x01\x01\x01"), "UpdateBatch.sequence: has the wrong wire type"},
    {BATCH, BYTES("\x18\x01"), "UpdateBatch.updates: has the wrong wire type"},
    {BATCH, BYTES("\x1a\x02\x12\x01"), "Update.prefix: is cut short or malformed"},
    {BATCH, BYTES("\x1a\x01\x12\x01x"), "Update.prefix: is cut short or malformed"}, /* ends outside its message */
    {BATCH, BYTES("\x0a\x01\x00"), "UpdateBatch.session: is not UTF-8 text"},
    {BATCH,
     BYTES("\x0a\x03"
           "a\x00z"),
     "UpdateBatch.session: is not UTF-8 text"},
    {BATCH, BYTES("\x0a\x01\xff"), "UpdateBatch.session: is not UTF-8 text"},
    {BATCH, BYTES("\x0a\x01\x80"), "UpdateBatch.session: is not UTF-8 text"},
    {BATCH, BYTES("\x0a\x01\xc3"), "UpdateBatch.session: is not UTF-8 text"},
    {BATCH, BYTES("\x0a\x02\xc0\xaf"), "UpdateBatch.session: is not UTF-8 text"},             /* overlong */
    {BATCH, BYTES("\x0a\x03\xe0\x9f\xbf"), "UpdateBatch.session: is not UTF-8 text"},         /* overlong */
    {BATCH, BYTES("\x0a\x03\xed\xa0\x80"), "UpdateBatch.session: is not UTF-8 text"},         /* a surrogate */
    {BATCH, BYTES("\x0a\x04\xf4\x90\x80\x80"), "UpdateBatch.session: is not UTF-8 text"},     /* over 10ffff */
    {BATCH, BYTES("\x0a\x05\xf8\x88\x80\x80\x80"), "UpdateBatch.session: is not UTF-8 text"}, /* five bytes */
    {BATCH, BYTES("\x0a\x02\xc3\x28"), "UpdateBatch.session: is not UTF-8 text"},
    {SYNC, BYTES("\x0a\x00\x2a\x00"), "SyncMessage.ack: comes with another member of its oneof"},
    {SYNC, BYTES("\x2a\x00\x0a\x00"), "SyncMessage.hello: comes with another member of its oneof"},
};

START_TEST(malformed_messages_are_refused_with_the_field)
{
    ProtobufCMessage *message = NULL;

    ck_assert_int_eq(decode(malformed[_i].type, malformed[_i].data, malformed[_i].length, &wide, &message), BL_EINVAL);
    ck_assert_str_eq(detail.text, malformed[_i].cause);
    ck_assert_uint_eq(heap.n_allocated, 0);
}
END_TEST

START_TEST(utf8_of_every_width_is_text)
{
    static const uint8_t batch[] = "\x0a\x0aq\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80";
    ProtobufCMessage *message = NULL;

    ck_assert_int_eq(decode(BATCH, batch, sizeof(batch) - 1, &wide, &message), BL_OK);
    bl_wire_free(message);
}
END_TEST

/* Cut anywhere, or with any one byte changed: decoded or refused with a cause, and nothing left behind. */
START_TEST(cut_and_changed_messages_leave_nothing_behind)
{
    static const uint8_t record[] = "\x08\x01\x10\x07\x18\x09\x20\x05\x2a\x05"
                                    "alice\x32\x01s\x38\x01\x40\x4d\x4a\x18\x08\x01\x12\x04"
                                    "feed\x18\xde\x04\x20\x01\x28\x01\x5a\x04\xc0\x00\x02\x01\x62\x01\x20\x52\x01x";
    uint8_t changed[sizeof(record) - 1];
    ProtobufCMessage *message = NULL;
    int n_decoded = 0;
    int n_refused = 0;

    ck_assert_int_eq(decode(RECORD, record, sizeof(changed), &wide, &message), BL_OK);
    bl_wire_free(message);
    for (size_t i = 0; i < sizeof(changed) * 257; i++) {
        size_t at = i / 257;
        bool cut = i % 257 == 256;
        int error;

        memcpy(changed, record, sizeof(changed));
        changed[at] = cut ? record[at] : (uint8_t)i;
        error = decode(RECORD, changed, cut ? at : sizeof(changed), &wide, &message);
        if (error == BL_OK) {
            heap.on = true;
            bl_wire_free(message);
            heap.on = false;
            n_decoded++;
        } else if (detail.text[0] != '\0') {
            n_refused++;
        }
        if (heap.n_allocated != heap.n_freed)
            ck_abort_msg("byte %zu: %zu blocks, %zu freed", at, heap.n_allocated, heap.n_freed);
    }
    ck_assert_uint_eq((size_t)(n_decoded + n_refused), sizeof(changed) * 257);
    ck_assert_int_gt(n_decoded, 1000);
    ck_assert_int_gt(n_refused, 1000);
}
END_TEST

/* ---- Nesting: our own messages have none, so this one is made by hand and contains itself ---- */

struct node {
    ProtobufCMessage base;
    struct node *child;
};

static const ProtobufCMessageDescriptor node_descriptor;

static void init_node(ProtobufCMessage *message)
{
    memset(message, 0, sizeof(struct node));
    message->descriptor = &node_descriptor;
}

static const ProtobufCFieldDescriptor node_fields[] = {{.name = "child",
                                                        .id = 1,
                                                        .label = PROTOBUF_C_LABEL_NONE,
                                                        .type = PROTOBUF_C_TYPE_MESSAGE,
                                                        .offset = offsetof(struct node, child),
                                                        .descriptor = &node_descriptor}};
static const unsigned node_by_name[] = {0};
static const ProtobufCIntRange node_ranges[] = {{1, 0}, {0, 1}};

static const ProtobufCMessageDescriptor node_descriptor = {
    .magic = PROTOBUF_C__MESSAGE_DESCRIPTOR_MAGIC,
    .name = "test.Node",
    .short_name = "Node",
    .c_name = "Node",
    .package_name = "test",
    .sizeof_message = sizeof(struct node),
    .n_fields = 1,
    .fields = node_fields,
    .fields_sorted_by_name = node_by_name,
    .n_field_ranges = 1,
    .field_ranges = node_ranges,
    .message_init = init_node,
};

/* A chain of @p depth nodes, written from its end. @return its length; it starts at out + size - length. */
static size_t make_chain(unsigned depth, uint8_t *out, size_t size)
{
    size_t length = 0;

    for (unsigned i = 1; i < depth; i++) {
        size_t body = length;
        uint8_t head[6] = {0x0a};
        size_t n = 1;

        for (; body > 0x7f; body >>= 7)
            head[n++] = (uint8_t)(body & 0x7f) | 0x80;
        head[n++] = (uint8_t)body;
        length += n;
        memcpy(out + size - length, head, n);
    }
    return length;
}

START_TEST(nesting_has_a_limit)
{
    static uint8_t chain[1 << 20];
    ProtobufCMessage *message = NULL;

    for (unsigned depth = 1; depth <= 100000; depth = depth < 10 ? depth + 1 : depth * 10) {
        size_t length = make_chain(depth, chain, sizeof(chain));
        int error = decode(&node_descriptor, chain + sizeof(chain) - length, length, &wide, &message);

        if (depth <= BL_WIRE_DEPTH_MAX) {
            ck_assert_int_eq(error, BL_OK);
            bl_wire_free(message);
        } else {
            ck_assert_int_eq(error, BL_EINVAL);
            ck_assert_str_eq(detail.text, "Node.?: nested too deep");
            ck_assert_uint_eq(heap.n_allocated, 0);
        }
    }
}
END_TEST

/* ---- Frames ---- */

START_TEST(frame_headers_round_trip)
{
    static const size_t lengths[] = {0, 1, 255, 256, 65535, 65536, BL_WIRE_FRAME_BYTES_MAX};
    uint8_t header[BL_WIRE_FRAME_HEADER_BYTES];
    size_t length = 0;

    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        bl_wire_frame_write(header, lengths[i]);
        ck_assert_int_eq(bl_wire_frame_parse(header, &length), BL_OK);
        ck_assert_uint_eq(length, lengths[i]);
    }
    ck_assert_mem_eq(header, "\x00\x40\x00\x00", 4); /* network order */
}
END_TEST

START_TEST(frames_over_the_limit_are_refused)
{
    size_t length = 77;

    ck_assert_int_eq(bl_wire_frame_parse((const uint8_t *)"\x00\x40\x00\x01", &length), BL_ETOOBIG);
    ck_assert_int_eq(bl_wire_frame_parse((const uint8_t *)"\xff\xff\xff\xff", &length), BL_ETOOBIG);
    ck_assert_int_eq(bl_wire_frame_parse((const uint8_t *)"\x80\x00\x00\x00", &length), BL_ETOOBIG);
    ck_assert_uint_eq(length, 77);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("wire");
    TCase *tests = tcase_create("wire");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tests);
    tcase_add_unchecked_fixture(tests, install_hooks, NULL);
    tcase_add_loop_test(tests, bombs_are_refused_before_anything_is_allocated, 0,
                        (int)(sizeof(bombs) / sizeof(bombs[0])));
    tcase_add_test(tests, the_bombs_are_real);
    tcase_add_test(tests, memory_stays_under_the_cap);
    tcase_add_test(tests, what_is_decoded_is_freed);
    tcase_add_test(tests, empty_messages_decode);
    tcase_add_test(tests, limits_are_exact);
    tcase_add_loop_test(tests, malformed_messages_are_refused_with_the_field, 0,
                        (int)(sizeof(malformed) / sizeof(malformed[0])));
    tcase_add_test(tests, utf8_of_every_width_is_text);
    tcase_add_test(tests, cut_and_changed_messages_leave_nothing_behind);
    tcase_add_test(tests, nesting_has_a_limit);
    tcase_add_test(tests, frame_headers_round_trip);
    tcase_add_test(tests, frames_over_the_limit_are_refused);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
