/** @file loadgen_schedule.h
 * What begins as the n-th, for any n: kind, source, ports and first frame are functions of the seed and of n, so that a run
 * can be made again, and what passed can be compared with what was sent without having been kept (trial, check → schedule).
 *
 * What may come out of the other port ends in 24 bytes behind its IP packet: a mark, n and a keyed hash of n, by which it
 * is known again whatever happened to it. Threads: read by any once made, but for a replayed capture's place. */
#ifndef BL_PERF_LOADGEN_SCHEDULE_H
#define BL_PERF_LOADGEN_SCHEDULE_H

#include "perf/loadgen_frame.h"
#include "perf/loadgen_options.h"
#include "perf/loadgen_sources.h"
#include "perf/pcap_file.h"

struct loadgen_event {
    uint64_t index;
    enum loadgen_kind kind;
    uint8_t list;    /**< of a listed source: number of its list */
    bool listed;     /**< its source is */
    uint64_t random; /**< of what is not said here */
    uint64_t hash;   /**< loadgen_client_hash */
    struct loadgen_ends ends;
};

struct loadgen_schedule {
    const struct loadgen_options *options;
    struct loadgen_sources sources;
    struct pcap_file replay;
    uint64_t *replay_hashes;   /**< of its frames, sorted */
    struct bl_siphash_key key; /**< of the seed */
    uint8_t kinds[1024];       /**< by the share of each */
};

/** @param options borrowed as long as the schedule is used. @return 0 or an error with its cause. */
int loadgen_schedule_init(struct loadgen_schedule *schedule, const struct loadgen_options *options,
                          struct bl_error_detail *detail);
void loadgen_schedule_fini(struct loadgen_schedule *schedule);

/** The n-th. */
void loadgen_schedule_event(const struct loadgen_schedule *schedule, uint64_t index, struct loadgen_event *event);

/** Its first frame. @return its length. */
size_t loadgen_schedule_frame(const struct loadgen_schedule *schedule, const struct loadgen_event *event,
                              uint8_t out[LOADGEN_FRAME_MAX]);

/** True when the frame ends in a mark of this schedule. */
bool loadgen_schedule_find(const struct loadgen_schedule *schedule, const uint8_t *frame, size_t length,
                           uint64_t *index);

/** True when the frame is one of the replayed capture's. */
bool loadgen_schedule_is_replayed(const struct loadgen_schedule *schedule, const uint8_t *frame, size_t length);

/** True when it must come out of the other port (or, of the first two kinds, be answered to the end). */
bool loadgen_schedule_is_expected(const struct loadgen_event *event);

#endif
