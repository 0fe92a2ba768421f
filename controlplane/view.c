/* A forked child that walks the list; see view.h. The pipe holds frames: a struct frame, then its texts. */
#define _GNU_SOURCE /* close_range, pipe2, F_SETPIPE_SZ */
#include "controlplane/view.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PIPE_BYTES = 1 << 20, BUFFER_BYTES = 64 << 10, TEXTS = 5, TEXT_AS_BEFORE = -1 };

enum frame_type { FRAME_LAYER = 1, FRAME_ANSWER = 2, FRAME_END = 3 };

/* Both ends are one program: its layout is its own. Of an answer: texts 0 and 1 are actor and session, 2 is the data. */
struct frame {
    uint32_t type;
    int32_t text_bytes[TEXTS]; /* source, reason, url, actor, self_delists; TEXT_AS_BEFORE: the last layer's */
    struct bl_prefix prefix;
    uint8_t kind;
    uint8_t action;
    bool self_service;
    uint16_t code;
    uint64_t serial;
    int64_t observed_at_ms;
    int64_t expires_at_ms;
    int64_t suppress_until_ms;
    uint64_t sequence;
    uint64_t request_hash;
};

/* ---- The child ---- */

struct child {
    int pipe;
    size_t n;
    const char *texts[TEXTS]; /* of the last layer: interned, so that the same text is the same pointer */
    uint8_t buffer[BUFFER_BYTES];
};

static void flush(struct child *child)
{
    size_t done = 0;

    while (done < child->n) {
        ssize_t n = write(child->pipe, child->buffer + done, child->n - done);

        if (n < 0 && errno == EINTR)
            continue;
        /* The reader has gone. */
        if (n <= 0)
            _exit(1);
        done += (size_t)n;
    }
    child->n = 0;
}

static void put(struct child *child, const void *data, size_t length)
{
    const uint8_t *bytes = data;

    while (length != 0) {
        size_t n = BUFFER_BYTES - child->n < length ? BUFFER_BYTES - child->n : length;

        memcpy(child->buffer + child->n, bytes, n);
        child->n += n;
        bytes += n;
        length -= n;
        if (child->n == BUFFER_BYTES)
            flush(child);
    }
}

static int put_layer(void *context, const struct bl_list_layer *layer)
{
    struct child *child = context;
    const struct bl_effect_attributes *attributes = &layer->attributes;
    const char *texts[TEXTS] = {attributes->source, attributes->reason, attributes->url, attributes->actor,
                                attributes->self_delists};
    struct frame frame;

    memset(&frame, 0, sizeof(frame));
    frame.type = FRAME_LAYER;
    frame.prefix = layer->prefix;
    frame.kind = (uint8_t)layer->kind;
    frame.action = attributes->action;
    frame.self_service = attributes->self_service;
    frame.code = attributes->code;
    frame.serial = attributes->serial;
    frame.observed_at_ms = attributes->observed_at_ms;
    frame.expires_at_ms = attributes->expires_at_ms;
    frame.suppress_until_ms = attributes->suppress_until_ms;
    for (int i = 0; i < TEXTS; i++) {
        bool as_before = texts[i] != NULL && texts[i] == child->texts[i];

        frame.text_bytes[i] = as_before ? TEXT_AS_BEFORE : texts[i] == NULL ? 0 : (int32_t)strlen(texts[i]);
        child->texts[i] = texts[i];
    }
    put(child, &frame, sizeof(frame));
    for (int i = 0; i < TEXTS; i++)
        if (frame.text_bytes[i] > 0)
            put(child, texts[i], (size_t)frame.text_bytes[i]);
    return 0;
}

static int put_answer(void *context, const struct bl_answer *answer)
{
    struct child *child = context;
    struct frame frame;

    memset(&frame, 0, sizeof(frame));
    frame.type = FRAME_ANSWER;
    frame.text_bytes[0] = (int32_t)strlen(answer->actor);
    frame.text_bytes[1] = (int32_t)strlen(answer->session);
    frame.text_bytes[2] = (int32_t)answer->length;
    frame.serial = answer->serial;
    frame.sequence = answer->sequence;
    frame.request_hash = answer->request_hash;
    put(child, &frame, sizeof(frame));
    put(child, answer->actor, (size_t)frame.text_bytes[0]);
    put(child, answer->session, (size_t)frame.text_bytes[1]);
    put(child, answer->data, answer->length);
    return 0;
}

static _Noreturn void walk(int pipe, pid_t parent, const struct bl_list_state *state, const struct bl_answers *answers)
{
    struct child child = {.pipe = pipe, .n = 0};
    struct frame frame;

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    if (pipe > 0)
        (void)close_range(0, (unsigned)pipe - 1, 0);
    (void)close_range((unsigned)pipe + 1, ~0U, 0);
    (void)bl_list_state_each_layer(state, put_layer, &child);
    if (answers != NULL)
        (void)bl_answers_each(answers, put_answer, &child);
    memset(&frame, 0, sizeof(frame));
    frame.type = FRAME_END;
    put(&child, &frame, sizeof(frame));
    flush(&child);
    _exit(0);
}

/* ---- The reader ---- */

/* Texts that were handed out; the newest block first. */
struct block {
    struct block *next;
    size_t n_used;
    size_t n_bytes;
    char data[];
};

enum { BLOCK_BYTES = 32 << 10 };

struct bl_view {
    int pipe;
    pid_t child;
    struct block *blocks;
    char *texts[TEXTS]; /* of the last layer */
    struct bl_list_layer layer;
    struct bl_answer answer;
    struct bl_class classes[BL_CLASS_COUNT];
    size_t at;
    size_t n;
    uint8_t buffer[BUFFER_BYTES];
};

int bl_view_open(struct bl_view **out, const struct bl_list_state *state, const struct bl_answers *answers,
                 struct bl_error_detail *detail)
{
    struct bl_view *view = calloc(1, sizeof(*view));
    pid_t parent = getpid();
    int ends[2];

    if (view == NULL)
        return BL_ENOMEM;
    if (pipe2(ends, O_CLOEXEC) != 0) {
        free(view);
        return bl_error_set(detail, BL_EIO, "no pipe for a view of the list: %s", strerror(errno));
    }
    (void)fcntl(ends[1], F_SETPIPE_SZ, PIPE_BYTES); /* fewer switches; what the system allows will do */
    memcpy(view->classes, bl_list_state_classes(state), sizeof(view->classes));
    view->child = _Fork();
    if (view->child == 0)
        walk(ends[1], parent, state, answers);
    (void)close(ends[1]);
    view->pipe = ends[0];
    if (view->child < 0) {
        int cause = errno;

        bl_view_close(view);
        return bl_error_set(detail, BL_ENOMEM, "no process for a view of the list: %s", strerror(cause));
    }
    *out = view;
    return BL_OK;
}

static int take(struct bl_view *view, void *out, size_t length)
{
    uint8_t *bytes = out;

    while (length != 0) {
        size_t n = view->n - view->at < length ? view->n - view->at : length;

        if (n == 0) {
            ssize_t got = read(view->pipe, view->buffer, BUFFER_BYTES);

            if (got < 0 && errno == EINTR)
                continue;
            if (got <= 0)
                return BL_EIO;
            view->at = 0;
            view->n = (size_t)got;
            continue;
        }
        memcpy(bytes, view->buffer + view->at, n);
        view->at += n;
        bytes += n;
        length -= n;
    }
    return BL_OK;
}

static char *allocate(struct bl_view *view, size_t n_bytes)
{
    struct block *block = view->blocks;

    if (block == NULL || block->n_bytes - block->n_used < n_bytes) {
        size_t n_block = n_bytes < BLOCK_BYTES ? BLOCK_BYTES : n_bytes;

        block = malloc(sizeof(*block) + n_block);
        if (block == NULL)
            return NULL;
        *block = (struct block){view->blocks, 0, n_block};
        view->blocks = block;
    }
    block->n_used += n_bytes;
    return block->data + block->n_used - n_bytes;
}

static void free_blocks(struct block *block)
{
    while (block != NULL) {
        struct block *next = block->next;

        free(block);
        block = next;
    }
}

/* What the next layer may share is kept; without memory all is. */
void bl_view_forget(struct bl_view *view)
{
    struct block *old = view->blocks;
    char *texts[TEXTS];

    view->blocks = NULL;
    for (int i = 0; i < TEXTS; i++) {
        size_t n_bytes = view->texts[i] == NULL ? 0 : strlen(view->texts[i]) + 1;

        texts[i] = n_bytes == 0 ? NULL : allocate(view, n_bytes);
        if (texts[i] != NULL) {
            memcpy(texts[i], view->texts[i], n_bytes);
        } else if (n_bytes != 0) {
            free_blocks(view->blocks);
            view->blocks = old;
            return;
        }
    }
    memcpy(view->texts, texts, sizeof(texts));
    free_blocks(old);
}

static int take_text(struct bl_view *view, int32_t length, char **text)
{
    if (length == TEXT_AS_BEFORE)
        return BL_OK;
    *text = allocate(view, (size_t)length + 1);
    if (*text == NULL)
        return BL_ENOMEM;
    (*text)[length] = '\0';
    return take(view, *text, (size_t)length);
}

static void fill_layer(struct bl_view *view, const struct frame *frame)
{
    view->layer = (struct bl_list_layer){
        .kind = (enum bl_effect_kind)frame->kind,
        .prefix = frame->prefix,
        .attributes = {.source = view->texts[0],
                       .reason = view->texts[1],
                       .url = view->texts[2],
                       .actor = view->texts[3],
                       .self_delists = view->texts[4],
                       .serial = frame->serial,
                       .observed_at_ms = frame->observed_at_ms,
                       .expires_at_ms = frame->expires_at_ms,
                       .suppress_until_ms = frame->suppress_until_ms,
                       .code = frame->code,
                       .action = frame->action,
                       .self_service = frame->self_service},
    };
}

static void fill_answer(struct bl_view *view, const struct frame *frame)
{
    view->answer = (struct bl_answer){
        .actor = view->texts[0],
        .session = view->texts[1],
        .sequence = frame->sequence,
        .request_hash = frame->request_hash,
        .serial = frame->serial,
        .data = (const uint8_t *)view->texts[2],
        .length = (size_t)frame->text_bytes[2],
    };
}

int bl_view_next(struct bl_view *view, const struct bl_list_layer **layer, const struct bl_answer **answer)
{
    struct frame frame;
    int error = take(view, &frame, sizeof(frame));

    *layer = NULL;
    *answer = NULL;
    if (error != BL_OK || frame.type == FRAME_END)
        return error;
    for (int i = 0; i < TEXTS && error == BL_OK; i++)
        error = take_text(view, frame.text_bytes[i], &view->texts[i]);
    if (error != BL_OK)
        return error;
    if (frame.type == FRAME_LAYER) {
        fill_layer(view, &frame);
        *layer = &view->layer;
    } else {
        fill_answer(view, &frame);
        *answer = &view->answer;
    }
    return 1;
}

const struct bl_class *bl_view_classes(const struct bl_view *view)
{
    return view->classes;
}

void bl_view_close(struct bl_view *view)
{
    if (view->child > 0) {
        (void)kill(view->child, SIGKILL);
        while (waitpid(view->child, NULL, 0) < 0 && errno == EINTR)
            continue;
    }
    (void)close(view->pipe);
    free_blocks(view->blocks);
    free(view);
}
