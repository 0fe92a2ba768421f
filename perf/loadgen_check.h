/** @file loadgen_check.h
 * Judges every frame that comes back, from the documents of the product and not from its code (trial → check → histogram).
 *
 * A client has no memory (loadgen_client.h); the judge has a notebook, a ring of the latest LOADGEN_NOTES events: how far a
 * dialogue came, the server's next sequence number, when it was last spoken to. It tells a repeated answer from a second
 * one, and a wrong sequence number; an answer to what the notebook has forgotten is judged by everything else. Its size does
 * not depend on how many connections there are. Times are nanoseconds of the caller's clock. Threads: one. */
#ifndef BL_PERF_LOADGEN_CHECK_H
#define BL_PERF_LOADGEN_CHECK_H

#include "perf/histogram.h"
#include "perf/loadgen_client.h"
#include "perf/loadgen_schedule.h"

enum { LOADGEN_NOTES = 1 << 20, LOADGEN_TEXT_MAX = 640 };

/** What can be wrong. X(name, text) */
#define LOADGEN_WRONGS(X) \
    X(CHECKSUM, "checksum") \
    X(LINK, "link") \
    X(UNKNOWN, "answers_nothing_sent") \
    X(ACKNOWLEDGEMENT, "acknowledgement") \
    X(SEQUENCE, "sequence") \
    X(COOKIE, "cookie") \
    X(FLAGS, "flags") \
    X(WINDOW, "window") \
    X(OPTIONS, "options") \
    X(PADDING, "padding") \
    X(TEXT, "text") \
    X(CODE, "code") \
    X(TICKET, "ticket") \
    X(CHANGED, "changed") \
    X(SIDE, "side") \
    X(TWICE, "twice")

enum loadgen_wrong {
#define X(name, text) LOADGEN_WRONG_##name,
    LOADGEN_WRONGS(X)
#undef X
        LOADGEN_N_WRONGS,
    LOADGEN_RIGHT = LOADGEN_N_WRONGS,
};

const char *loadgen_check_wrong_text(enum loadgen_wrong wrong);

/** What a frame was found to be. */
enum loadgen_found {
    LOADGEN_FOUND_STEP,    /**< an answer to which the client has something to say */
    LOADGEN_FOUND_ANSWER,  /**< one to which it has not */
    LOADGEN_FOUND_PASSED,  /**< forwarded, as it was */
    LOADGEN_FOUND_LATE,    /**< right, but of a trial before this one */
    LOADGEN_FOUND_FOREIGN, /**< none of ours */
    LOADGEN_FOUND_WRONG,
};

/** Of one trial. */
struct loadgen_tally {
    uint64_t begun[LOADGEN_N_KINDS];
    uint64_t expected[LOADGEN_N_KINDS]; /**< of them, those that must end as they should */
    uint64_t completed[LOADGEN_N_KINDS];
    uint64_t passed[LOADGEN_N_KINDS]; /**< came out of the other port, expected or not */
    uint64_t steps[LOADGEN_N_STEPS];
    uint64_t wrong[LOADGEN_N_WRONGS];
    uint64_t n_wrong;
    uint64_t n_repeated;  /**< the same answer again: the appliance's cure for loss */
    uint64_t n_guessed;   /**< forged or mutated segments that hit a cookie: 6e-5 of the forged ones, by chance */
    uint64_t n_late;      /**< answers to a trial before this one */
    uint64_t n_foreign;   /**< frames that are nobody's answer */
    uint64_t n_mutants;   /**< answers to frames of which we do not know what they became */
    uint64_t n_forgotten; /**< judged without the notebook */
    struct histogram syn_ack_ns;  /**< from when the SYN was due */
    struct histogram reply_ns;    /**< from the segment to its answer */
    struct histogram dialogue_ns; /**< from when the SYN was due to the last answer */
    struct histogram passed_ns;   /**< from when the frame was due to the other port */
};

struct loadgen_note {
    uint64_t index_1; /**< index + 1; 0: none */
    uint64_t said_ns;
    uint32_t hash;        /**< low half of the event's */
    uint32_t server_next; /**< sequence number */
    uint8_t kind;
    uint8_t list;
    uint8_t step; /**< the next that is to be heard; of what passes: 1, it has */
    bool listed;
};

struct loadgen_check {
    const struct loadgen_options *options;
    const struct loadgen_schedule *schedule;
    struct loadgen_note *notes; /**< owned */
    struct loadgen_tally tally;
    uint64_t n_begun;     /**< of all trials */
    uint64_t first;       /**< of this trial */
    double start_ns;      /**< when it was due */
    double interval_ns;   /**< between two */
    uint64_t time_s;      /**< since 1970: the caller sets it now and then */
    const char *expected; /**< of the last wrong frame, for a person; "" when there is nothing to say */
    char text[LOADGEN_TEXT_MAX];
    char greeting[LOADGEN_TEXT_MAX];
    char ehlo[LOADGEN_TEXT_MAX];
};

/** @return 0 or BL_ENOMEM. The two are borrowed. */
int loadgen_check_init(struct loadgen_check *check, const struct loadgen_options *options,
                       const struct loadgen_schedule *schedule);
void loadgen_check_fini(struct loadgen_check *check);

/** A trial begins: the tally is empty. */
void loadgen_check_start(struct loadgen_check *check, double start_ns, double interval_ns);

/** The next event, which has the number n_begun, was sent. */
void loadgen_check_begin(struct loadgen_check *check, const struct loadgen_event *event, uint64_t now_ns);

/** A frame that came in on the internet's side. After FOUND_STEP @p heard and @p step say what to go on with. */
enum loadgen_found loadgen_check_wan(struct loadgen_check *check, const uint8_t *frame, size_t length, uint64_t now_ns,
                                     struct loadgen_heard *heard, enum loadgen_step *step, enum loadgen_wrong *wrong);

/** One that came in on the servers' side. */
enum loadgen_found loadgen_check_lan(struct loadgen_check *check, const uint8_t *frame, size_t length, uint64_t now_ns,
                                     enum loadgen_wrong *wrong);

#endif
