/* See loadgen_check.h. */
#include "perf/loadgen_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bounceline/error.h"
#include "perf/loadgen_text.h"

enum { SERVER_WINDOW = 8192, SERVER_MSS = 1220, LATE_WINDOWS = 4, NO_NOTE_STEP = 0xff };

static const char reply_sender_ok[] = "250 2.1.0 Sender OK\r\n";
static const char reply_bye[] = "221 2.0.0 Bye\r\n";

static const char *const wrong_texts[] = {
#define X(name, text) text,
    LOADGEN_WRONGS(X)
#undef X
};

const char *loadgen_check_wrong_text(enum loadgen_wrong wrong)
{
    return wrong_texts[wrong];
}

int loadgen_check_init(struct loadgen_check *check, const struct loadgen_options *options,
                       const struct loadgen_schedule *schedule)
{
    memset(check, 0, sizeof(*check));
    check->options = options;
    check->schedule = schedule;
    check->notes = malloc(LOADGEN_NOTES * sizeof(*check->notes));
    if (check->notes != NULL)
        memset(check->notes, 0, LOADGEN_NOTES * sizeof(*check->notes)); /* now, not page by page in the run */
    snprintf(check->greeting, sizeof(check->greeting), "220 %s ESMTP\r\n", options->hostname);
    snprintf(check->ehlo, sizeof(check->ehlo),
             "250-%s\r\n250-SIZE\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-DSN\r\n250 ENHANCEDSTATUSCODES\r\n",
             options->hostname);
    return check->notes != NULL ? BL_OK : BL_ENOMEM;
}

void loadgen_check_fini(struct loadgen_check *check)
{
    free(check->notes);
    check->notes = NULL;
}

void loadgen_check_start(struct loadgen_check *check, double start_ns, double interval_ns)
{
    memset(&check->tally, 0, sizeof(check->tally));
    check->first = check->n_begun;
    check->start_ns = start_ns;
    check->interval_ns = interval_ns;
}

void loadgen_check_begin(struct loadgen_check *check, const struct loadgen_event *event, uint64_t now_ns)
{
    struct loadgen_note *note = &check->notes[event->index % LOADGEN_NOTES];

    *note = (struct loadgen_note){
        .index_1 = event->index + 1,
        .said_ns = now_ns,
        .hash = (uint32_t)event->hash,
        .kind = (uint8_t)event->kind,
        .list = event->list,
        .listed = event->listed,
    };
    check->tally.begun[event->kind]++;
    check->tally.expected[event->kind] += loadgen_schedule_is_expected(event);
    check->n_begun = event->index + 1;
}

/* From when an event was due: late senders do not make fast appliances. */
static uint64_t since_due(const struct loadgen_check *check, uint64_t index, uint64_t now_ns)
{
    double due = check->start_ns + (double)(index - check->first) * check->interval_ns;

    return (double)now_ns > due ? (uint64_t)((double)now_ns - due) : 0;
}

static enum loadgen_found found_wrong(struct loadgen_check *check, enum loadgen_wrong wrong)
{
    check->tally.wrong[wrong]++;
    check->tally.n_wrong++;
    return LOADGEN_FOUND_WRONG;
}

/* The dialogue that a segment answers. @p forgotten is filled, and returned, where the notebook knows no more. */
static struct loadgen_note *find_note(struct loadgen_check *check, const struct loadgen_heard *heard,
                                      struct loadgen_note *forgotten, uint64_t *index, uint32_t *offset)
{
    uint64_t hash = loadgen_client_hash(&check->schedule->key, &heard->ends);
    struct loadgen_note *note;
    struct loadgen_event event;

    if (!loadgen_client_find(hash, heard->acknowledgement - 1, check->n_begun, index, offset))
        return NULL;
    note = &check->notes[*index % LOADGEN_NOTES];
    if (note->index_1 == *index + 1)
        return note->hash == (uint32_t)hash ? note : NULL;
    /* Long ago. */
    for (unsigned i = 0; i < LATE_WINDOWS; i++, *index -= LOADGEN_WINDOW) {
        loadgen_schedule_event(check->schedule, *index, &event);
        if (event.hash == hash) {
            *forgotten =
                (struct loadgen_note){*index + 1, 0, (uint32_t)hash, 0, event.kind, event.list, NO_NOTE_STEP, true};
            return forgotten;
        }
        if (*index < LOADGEN_WINDOW)
            break;
    }
    return NULL;
}

static enum loadgen_wrong judge_text(struct loadgen_check *check, const struct loadgen_heard *heard,
                                     const char *expected, size_t length)
{
    check->expected = expected;
    return heard->payload_bytes == length && memcmp(heard->payload, expected, length) == 0 ? LOADGEN_RIGHT
                                                                                           : LOADGEN_WRONG_TEXT;
}

/* "550 5.7.606 ...": the code, then the ticket's place, then the rest to the letter. */
static enum loadgen_wrong judge_deny(struct loadgen_check *check, const struct loadgen_heard *heard, uint8_t list)
{
    size_t length = loadgen_text_deny(check->options, &heard->ends, check->options->lists[list].code, check->text,
                                      sizeof(check->text));
    char *ticket;

    check->text[length] = '\0';
    check->expected = check->text;
    if (heard->payload_bytes < 11 || memcmp(heard->payload, check->text, 8) != 0)
        return LOADGEN_WRONG_TEXT;
    if (memcmp(heard->payload + 8, check->text + 8, 3) != 0)
        return LOADGEN_WRONG_CODE;
    ticket = strstr(check->text, "************");
    if (ticket != NULL && heard->payload_bytes == length) {
        char *said = (char *)memcpy(ticket, heard->payload + (ticket - check->text), LOADGEN_TICKET_CHARS);

        if (!loadgen_text_is_ticket(check->options, &heard->ends, said, check->time_s))
            return LOADGEN_WRONG_TICKET;
    }
    return judge_text(check, heard, check->text, length);
}

static enum loadgen_wrong judge_payload(struct loadgen_check *check, const struct loadgen_heard *heard,
                                        enum loadgen_step step, uint8_t list)
{
    switch (step) {
    case LOADGEN_STEP_GREETING:
        return judge_text(check, heard, check->greeting, strlen(check->greeting));
    case LOADGEN_STEP_EHLO:
        return judge_text(check, heard, check->ehlo, strlen(check->ehlo));
    case LOADGEN_STEP_MAIL:
        if (!check->options->stage_mail)
            return judge_text(check, heard, reply_sender_ok, sizeof(reply_sender_ok) - 1);
        return judge_deny(check, heard, list);
    case LOADGEN_STEP_RCPT:
        return judge_deny(check, heard, list);
    case LOADGEN_STEP_BYE:
        return judge_text(check, heard, reply_bye, sizeof(reply_bye) - 1);
    default:
        return judge_text(check, heard, "", 0);
    }
}

static uint16_t flags_of(enum loadgen_step step)
{
    switch (step) {
    case LOADGEN_STEP_SYN_ACK:
        return LOADGEN_SYN | LOADGEN_ACK;
    case LOADGEN_STEP_BYE:
        return LOADGEN_PSH | LOADGEN_ACK | LOADGEN_FIN;
    case LOADGEN_STEP_LAST:
        return LOADGEN_ACK | LOADGEN_FIN;
    default:
        return LOADGEN_PSH | LOADGEN_ACK;
    }
}

/* The header of an answer, but for its numbers. */
static enum loadgen_wrong judge_header(const struct loadgen_heard *heard, enum loadgen_step step)
{
    static const uint8_t mss[4] = {2, 4, SERVER_MSS >> 8, SERVER_MSS & 0xff};
    size_t options_bytes = step == LOADGEN_STEP_SYN_ACK ? sizeof(mss) : 0;

    if (heard->flags != flags_of(step) || heard->urgent != 0 || !heard->dont_fragment)
        return LOADGEN_WRONG_FLAGS;
    if (heard->window != SERVER_WINDOW)
        return LOADGEN_WRONG_WINDOW;
    if (heard->options_bytes != options_bytes || memcmp(heard->options, mss, options_bytes) != 0)
        return LOADGEN_WRONG_OPTIONS;
    return heard->padded_with_zeros ? LOADGEN_RIGHT : LOADGEN_WRONG_PADDING;
}

/* The server's numbers go on where they were. */
static enum loadgen_wrong judge_sequence(const struct loadgen_check *check, const struct loadgen_note *note,
                                         const struct loadgen_heard *heard, enum loadgen_step step)
{
    if (step != LOADGEN_STEP_SYN_ACK)
        return heard->sequence == note->server_next ? LOADGEN_RIGHT : LOADGEN_WRONG_SEQUENCE;
    if (check->options->has_cookie_key &&
        !loadgen_text_is_cookie(&check->options->cookie_key, &heard->ends, heard->sequence, check->time_s))
        return LOADGEN_WRONG_COOKIE;
    return LOADGEN_RIGHT;
}

/* The next answer that was waited for has come. */
static void note_step(struct loadgen_check *check, struct loadgen_note *note, const struct loadgen_heard *heard,
                      enum loadgen_step step, uint64_t now_ns)
{
    struct loadgen_tally *tally = &check->tally;
    uint64_t index = note->index_1 - 1;
    uint32_t fin_or_syn = (heard->flags & (LOADGEN_SYN | LOADGEN_FIN)) != 0 ? 1 : 0;

    note->step = (uint8_t)(step + 1);
    note->server_next = heard->sequence + heard->payload_bytes + fin_or_syn;
    tally->steps[step]++;
    if (step == LOADGEN_STEP_SYN_ACK)
        histogram_record(&tally->syn_ack_ns, since_due(check, index, now_ns));
    else
        histogram_record(&tally->reply_ns, now_ns - note->said_ns);
    note->said_ns = now_ns;
    if (step == LOADGEN_STEP_LAST)
        histogram_record(&tally->dialogue_ns, since_due(check, index, now_ns));
    if (step == (note->kind == LOADGEN_KIND_SYN ? LOADGEN_STEP_SYN_ACK : LOADGEN_STEP_LAST))
        tally->completed[note->kind]++;
}

/* An answer to one of our own: everything in it has one right value. */
static enum loadgen_found judge_answer(struct loadgen_check *check, struct loadgen_note *note, uint32_t offset,
                                       const struct loadgen_heard *heard, uint64_t now_ns, enum loadgen_step *step,
                                       enum loadgen_wrong *wrong)
{
    bool known = note->step != NO_NOTE_STEP;
    bool ends = note->kind == LOADGEN_KIND_SYN;

    *step = loadgen_client_step((heard->flags & LOADGEN_SYN) != 0, offset);
    if (*step == LOADGEN_N_STEPS || (known && *step > note->step) || (ends && *step != LOADGEN_STEP_SYN_ACK)) {
        *wrong = LOADGEN_WRONG_ACKNOWLEDGEMENT;
        return found_wrong(check, *wrong);
    }
    *wrong = judge_header(heard, *step);
    if (*wrong == LOADGEN_RIGHT)
        *wrong = judge_payload(check, heard, *step, note->list);
    if (*wrong == LOADGEN_RIGHT && known && *step == note->step)
        *wrong = judge_sequence(check, note, heard, *step);
    if (*wrong != LOADGEN_RIGHT)
        return found_wrong(check, *wrong);
    if (note->index_1 <= check->first) {
        check->tally.n_late++;
        return LOADGEN_FOUND_LATE;
    }
    if (!known)
        check->tally.n_forgotten++;
    else if (*step < note->step)
        check->tally.n_repeated++;
    else
        note_step(check, note, heard, *step, now_ns);
    /* An answer that is older than the last one heard needs no other: what was said to it has arrived. */
    if (ends || *step == LOADGEN_STEP_LAST || (known && *step + 1 < note->step))
        return LOADGEN_FOUND_ANSWER;
    return LOADGEN_FOUND_STEP;
}

/* An answer to none of our dialogues. Of what mutated frames became we know nothing, but that no data may be said to
 * them without a cookie. */
static enum loadgen_found judge_stranger(struct loadgen_check *check, const struct loadgen_heard *heard,
                                         enum loadgen_wrong *wrong)
{
    const unsigned *weights = check->options->weights;

    *wrong = LOADGEN_WRONG_UNKNOWN;
    if ((weights[LOADGEN_KIND_MUTATED] | weights[LOADGEN_KIND_REPLAY]) == 0)
        return found_wrong(check, *wrong);
    if (heard->payload_bytes != 0 || (heard->flags & (LOADGEN_SYN | LOADGEN_RST)) == 0)
        check->tally.n_guessed++;
    else
        check->tally.n_mutants++;
    return LOADGEN_FOUND_ANSWER;
}

/* A frame with our mark, on one of the sides: it must be what was sent, to the bit, and on the right one. */
static enum loadgen_found judge_passed(struct loadgen_check *check, const uint8_t *frame, size_t length, uint64_t index,
                                       bool on_wan, uint64_t now_ns, enum loadgen_wrong *wrong)
{
    struct loadgen_note *note = &check->notes[index % LOADGEN_NOTES];
    uint8_t sent[LOADGEN_FRAME_MAX];
    struct loadgen_event event;

    *wrong = LOADGEN_WRONG_UNKNOWN;
    if (index >= check->n_begun)
        return found_wrong(check, *wrong);
    loadgen_schedule_event(check->schedule, index, &event);
    *wrong = LOADGEN_WRONG_SIDE;
    if ((event.kind == LOADGEN_KIND_LAN) != on_wan)
        return found_wrong(check, *wrong);
    *wrong = LOADGEN_WRONG_CHANGED;
    if (loadgen_schedule_frame(check->schedule, &event, sent) != length || memcmp(sent, frame, length) != 0)
        return found_wrong(check, *wrong);
    *wrong = LOADGEN_WRONG_TWICE;
    if (note->index_1 == index + 1 && note->step != 0)
        return found_wrong(check, *wrong);
    *wrong = LOADGEN_RIGHT;
    if (note->index_1 == index + 1)
        note->step = 1;
    if (index < check->first) {
        check->tally.n_late++;
        return LOADGEN_FOUND_LATE;
    }
    check->tally.passed[event.kind]++;
    check->tally.completed[event.kind] += loadgen_schedule_is_expected(&event);
    histogram_record(&check->tally.passed_ns, since_due(check, index, now_ns));
    return LOADGEN_FOUND_PASSED;
}

static enum loadgen_found found_foreign(struct loadgen_check *check)
{
    check->tally.n_foreign++;
    return LOADGEN_FOUND_FOREIGN;
}

/* From the server to a client in the way of the link; that the ends are ours, find_note has seen. */
static enum loadgen_wrong judge_way(const struct loadgen_check *check, const uint8_t *frame,
                                    const struct loadgen_heard *heard)
{
    const struct loadgen_link *link = &check->options->link;

    if (!heard->checksums_right)
        return LOADGEN_WRONG_CHECKSUM;
    return memcmp(frame, link->client_mac, 6) == 0 && memcmp(frame + 6, link->server_mac, 6) == 0 ? LOADGEN_RIGHT
                                                                                                  : LOADGEN_WRONG_LINK;
}

enum loadgen_found loadgen_check_wan(struct loadgen_check *check, const uint8_t *frame, size_t length, uint64_t now_ns,
                                     struct loadgen_heard *heard, enum loadgen_step *step, enum loadgen_wrong *wrong)
{
    struct loadgen_note forgotten, *note;
    uint64_t index;
    uint32_t offset;

    check->expected = "";
    if (loadgen_schedule_find(check->schedule, frame, length, &index))
        return judge_passed(check, frame, length, index, true, now_ns, wrong);
    if (!loadgen_frame_read(&check->options->link, frame, length, heard))
        return found_foreign(check);
    *wrong = judge_way(check, frame, heard);
    if (*wrong != LOADGEN_RIGHT)
        return found_wrong(check, *wrong);
    note = find_note(check, heard, &forgotten, &index, &offset);
    if (note == NULL)
        return judge_stranger(check, heard, wrong);
    if (note->kind == LOADGEN_KIND_FORGED) {
        check->tally.n_guessed++;
        return LOADGEN_FOUND_ANSWER;
    }
    if (note->kind != LOADGEN_KIND_DIALOGUE && note->kind != LOADGEN_KIND_SYN)
        return judge_stranger(check, heard, wrong);
    return judge_answer(check, note, offset, heard, now_ns, step, wrong);
}

enum loadgen_found loadgen_check_lan(struct loadgen_check *check, const uint8_t *frame, size_t length, uint64_t now_ns,
                                     enum loadgen_wrong *wrong)
{
    struct loadgen_heard heard;
    struct loadgen_ends ends;
    struct loadgen_note *note;
    uint64_t hash, index;
    uint32_t offset;

    check->expected = "";
    if (loadgen_schedule_find(check->schedule, frame, length, &index))
        return judge_passed(check, frame, length, index, false, now_ns, wrong);
    if (loadgen_schedule_is_replayed(check->schedule, frame, length)) {
        check->tally.passed[LOADGEN_KIND_REPLAY]++;
        return LOADGEN_FOUND_PASSED;
    }
    if (!loadgen_frame_read(&check->options->link, frame, length, &heard))
        return found_foreign(check);
    /* A dialogue's segment may not get through. It was read as an answer: its ends come out exchanged. */
    ends = heard.ends;
    ends.client_port = heard.ends.server_port;
    ends.server_port = heard.ends.client_port;
    memcpy(ends.client, heard.ends.server, 16);
    memcpy(ends.server, heard.ends.client, 16);
    hash = loadgen_client_hash(&check->schedule->key, &ends);
    if (!loadgen_client_find(hash, heard.sequence, check->n_begun, &index, &offset))
        return found_foreign(check);
    note = &check->notes[index % LOADGEN_NOTES];
    if (note->index_1 != index + 1 || note->hash != (uint32_t)hash)
        return found_foreign(check);
    *wrong = LOADGEN_WRONG_SIDE;
    return found_wrong(check, *wrong);
}
