/** @file sync_codec.h
 * TableSync's messages (proto/bounceline/v1/table_sync.proto) to and from the data plane's own terms. The only file of the
 * data plane that sees generated code (channel → sync_codec → feed → master).
 *
 * A message is refused whole: everything in it has been checked when decode returns 0, every entry included. It stays
 * in its columns; entries are made one at a time. Pure but for the heap. Threads: any, one at a time a message. */
#ifndef BL_SYNC_CODEC_H
#define BL_SYNC_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bounceline/class.h"
#include "bounceline/digest.h"
#include "bounceline/error.h"
#include "bounceline/verdict.h"
#include "dataplane/sampler.h"
#include "dataplane/table_build.h"

enum {
    BL_SYNC_WORKERS_MAX = 64,
    BL_SYNC_COUNTERS_MAX = BL_REASON_COUNT + 32,
    BL_SYNC_SAMPLES_MAX = 256, /**< in one frame: below 32 KiB */
};

/** The values are the wire's (bounceline.v1.SyncRefusal.Reason). */
enum bl_sync_refusal {
    BL_SYNC_REFUSAL_VERSION = 1,
    BL_SYNC_REFUSAL_MALFORMED = 2,
    BL_SYNC_REFUSAL_TOO_BIG = 3,
    BL_SYNC_REFUSAL_OUT_OF_ORDER = 4,
    BL_SYNC_REFUSAL_DIGEST = 5,
    BL_SYNC_REFUSAL_NAME_IN_USE = 6,
};

enum bl_sync_kind { BL_SYNC_HELLO, BL_SYNC_REFUSAL, BL_SYNC_SNAPSHOT, BL_SYNC_DELTA };

/** A message from the control plane. Which fields count depends on the kind. */
struct bl_sync_message {
    enum bl_sync_kind kind;
    uint32_t protocol_version; /**< hello */
    uint32_t refusal;          /**< refusal: enum bl_sync_refusal, or a number of a later version */
    struct bl_error_detail refusal_detail;
    uint64_t epoch;       /**< never 0 in a snapshot or delta */
    uint64_t from_serial; /**< delta */
    uint64_t serial;
    uint32_t chunk;          /**< snapshot */
    bool last;               /**< snapshot's last chunk; delta: not partial */
    struct bl_digest digest; /**< where last */
    uint64_t n_entries_all;  /**< snapshot, where last; in chunk 0: about so many will come */
    uint64_t classes_mask;   /**< bit n: classes[n] is defined here */
    struct bl_class classes[BL_CLASS_COUNT];
    size_t n_entries; /**< in this message; bl_sync_codec_entry makes them */
    void *decoded;    /**< the codec's own */
};

/** Decodes and checks one frame's body. @return 0 with an owned message (free it with bl_sync_codec_free), BL_EINVAL,
 * BL_ETOOBIG or BL_ENOMEM with the cause. A hello of any protocol version decodes: the caller refuses it. */
int bl_sync_codec_decode(const uint8_t *data, size_t length, struct bl_sync_message **out,
                         struct bl_error_detail *detail);
void bl_sync_codec_free(struct bl_sync_message *message);

/** Entry @p i < n_entries of a snapshot or delta, IPv4 first. */
void bl_sync_codec_entry(const struct bl_sync_message *message, size_t i, struct bl_table_entry *entry);

/** An encoded frame with its header; freed with free(data). */
struct bl_sync_frame {
    uint8_t *data;
    size_t length;
};

struct bl_sync_hello {
    const char *name;
    uint64_t epoch; /**< 0: nothing is held */
    uint64_t serial;
    struct bl_digest digest;
    uint32_t n_workers;
};

struct bl_sync_worker {
    uint64_t serial;
    uint64_t checksum;
    uint64_t checksum_serial;
    uint64_t rx_packets;
    uint64_t tx_packets;
};

struct bl_sync_counter {
    const char *name; /**< borrowed */
    uint64_t value;
};

struct bl_sync_report {
    uint64_t epoch;
    uint64_t serial;
    struct bl_digest digest;
    uint64_t n_ipv4;
    uint64_t n_ipv6;
    uint32_t n_workers;
    uint32_t n_counters;
    struct bl_sync_worker workers[BL_SYNC_WORKERS_MAX];
    struct bl_sync_counter counters[BL_SYNC_COUNTERS_MAX];
};

struct bl_sync_sample {
    uint32_t worker;
    struct bl_sample sample;
};

/** These encode one frame each. @return 0 or BL_ENOMEM. */
int bl_sync_codec_encode_hello(const struct bl_sync_hello *hello, struct bl_sync_frame *frame);
int bl_sync_codec_encode_refusal(enum bl_sync_refusal reason, const char *text, struct bl_sync_frame *frame);
int bl_sync_codec_encode_ack(uint64_t epoch, uint64_t serial, struct bl_digest digest, struct bl_sync_frame *frame);
int bl_sync_codec_encode_report(const struct bl_sync_report *report, struct bl_sync_frame *frame);

/** @p n: at most BL_SYNC_SAMPLES_MAX, each of IPv4 or IPv6. */
int bl_sync_codec_encode_rejects(const struct bl_sync_sample *samples, size_t n, struct bl_sync_frame *frame);

#endif
