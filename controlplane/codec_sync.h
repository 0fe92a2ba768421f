/** @file codec_sync.h
 * The messages of TableSync in the control plane's own terms (publish.c and sync_peer.c call). See codec.h.
 *
 * Names and versions that a data plane says are printable ASCII, or its message is refused: they go to logs and to
 * clients. Byte order: columns are wire order, as prefixes are. */
#ifndef BL_CODEC_SYNC_H
#define BL_CODEC_SYNC_H

#include <stdbool.h>

#include "bounceline/class.h"
#include "bounceline/digest.h"
#include "bounceline/error.h"
#include "bounceline/verdict.h"
#include "controlplane/codec.h"
#include "controlplane/list_state.h"

enum {
    BL_CODEC_SYNC_NAME_MAX = 64,    /**< of a data plane or its version, with NUL */
    BL_CODEC_SYNC_COUNTER_MAX = 48, /**< of a counter's name, with NUL */
    BL_CODEC_SYNC_WORKERS_MAX = 64,
    BL_CODEC_SYNC_COUNTERS_MAX = 128,
    BL_CODEC_SYNC_REJECTS_MAX = 256,   /**< in one frame */
    BL_CODEC_SYNC_ENTRIES_MAX = 49152, /**< in one frame: with all classes it stays under 1 MiB */
};

/** The values are the wire's (bounceline.v1.SyncRefusal.Reason). */
enum bl_codec_sync_refusal {
    BL_CODEC_SYNC_REFUSAL_VERSION = 1,
    BL_CODEC_SYNC_REFUSAL_MALFORMED = 2,
    BL_CODEC_SYNC_REFUSAL_TOO_BIG = 3,
    BL_CODEC_SYNC_REFUSAL_OUT_OF_ORDER = 4,
    BL_CODEC_SYNC_REFUSAL_DIGEST = 5,
    BL_CODEC_SYNC_REFUSAL_NAME_IN_USE = 6,
};

enum bl_codec_sync_kind {
    BL_CODEC_SYNC_HELLO,
    BL_CODEC_SYNC_ACK,
    BL_CODEC_SYNC_REPORT,
    BL_CODEC_SYNC_REFUSAL,
    BL_CODEC_SYNC_REJECTS,
};

struct bl_codec_sync_worker {
    uint32_t worker;
    uint64_t serial;
    uint64_t checksum; /**< of the replica at `serial`; 0: not taken yet */
    uint64_t rx_packets;
    uint64_t tx_packets;
};

struct bl_codec_sync_counter {
    char name[BL_CODEC_SYNC_COUNTER_MAX];
    uint64_t value;
};

struct bl_codec_sync_report {
    uint64_t epoch;
    uint64_t serial;
    struct bl_digest digest;
    uint64_t n_entries_ipv4;
    uint64_t n_entries_ipv6;
    uint32_t n_workers;
    uint32_t n_counters;
    struct bl_codec_sync_worker workers[BL_CODEC_SYNC_WORKERS_MAX];
    struct bl_codec_sync_counter counters[BL_CODEC_SYNC_COUNTERS_MAX];
};

/** A sample of what a worker rejected. Every value is in its range. */
struct bl_codec_sync_reject {
    int64_t time_ms;
    uint64_t weight; /**< at least 1 */
    struct bl_address source;
    struct bl_address destination; /**< of the same family, or BL_FAMILY_NONE: the packet was cut before it */
    uint16_t source_port;
    uint16_t destination_port;
    uint8_t class_id;  /**< BL_CLASS_FIRST..BL_CLASS_LAST */
    uint8_t reason;    /**< enum bl_reason; BL_REASON_COUNT: one of another version */
    uint8_t denied_at; /**< enum bl_denied_at */
    uint8_t worker;
};

struct bl_codec_sync_rejects {
    uint32_t n;
    struct bl_codec_sync_reject rejects[BL_CODEC_SYNC_REJECTS_MAX];
};

/** A message from a data plane. Which fields count depends on the kind. */
struct bl_codec_sync_message {
    enum bl_codec_sync_kind kind;
    uint32_t protocol_version;            /**< hello */
    char name[BL_CODEC_SYNC_NAME_MAX];    /**< hello */
    char version[BL_CODEC_SYNC_NAME_MAX]; /**< hello */
    uint32_t n_workers;                   /**< hello */
    uint64_t epoch;                       /**< hello, ack */
    uint64_t serial;                      /**< hello, ack */
    struct bl_digest digest;              /**< hello, ack */
    uint32_t refusal;                     /**< refusal: enum bl_codec_sync_refusal, or any other number */
    struct bl_error_detail detail;        /**< refusal: what it said, cut */
    union {
        struct bl_codec_sync_report report;   /**< report */
        struct bl_codec_sync_rejects rejects; /**< rejects */
    };
};

/** @return 0, BL_EINVAL, BL_ETOOBIG or BL_ENOMEM. A hello of an unknown protocol version decodes when its fields are
 * known ones: the caller refuses it. */
int bl_codec_sync_decode(const uint8_t *data, size_t length, struct bl_codec_sync_message *out,
                         struct bl_error_detail *detail);

/** These encode one frame each, its header included. */
int bl_codec_sync_encode_hello(uint64_t epoch, uint64_t serial, struct bl_digest digest, struct bl_codec_bytes *frame);
int bl_codec_sync_encode_refusal(enum bl_codec_sync_refusal reason, const char *text, struct bl_codec_bytes *frame);

/** What goes into one delta or snapshot chunk. */
struct bl_codec_sync_part {
    uint64_t epoch;
    uint64_t from_serial; /**< delta */
    uint64_t serial;
    uint32_t chunk;                       /**< snapshot */
    bool last;                            /**< the last frame of this delta or snapshot */
    const struct bl_class *classes;       /**< the table, BL_CLASS_COUNT; NULL: none are sent */
    uint64_t classes_mask;                /**< bit n: class n is sent */
    const struct bl_list_change *entries; /**< at most BL_CODEC_SYNC_ENTRIES_MAX */
    size_t n_entries;
    uint64_t n_entries_all;  /**< snapshot: in the whole set, said in its first chunk and its last */
    struct bl_digest digest; /**< of the whole set at `serial` */
};

int bl_codec_sync_encode_delta(const struct bl_codec_sync_part *part, struct bl_codec_bytes *frame);
int bl_codec_sync_encode_snapshot(const struct bl_codec_sync_part *part, struct bl_codec_bytes *frame);

#endif
