/* Feeds the data plane frames of every shape on both sides at once, and checks that what comes out is what went in: each
 * frame that has to pass, to the bit and in order, no other, and no frame that has to be kept.
 *
 *   wire_frames [--seed N] [--count N] [--capture FILE] FOLDER
 *
 * Speaks pcap through four named pipes in FOLDER (wan.in, lan.in, wan.out, lan.out): net_pcap's files. Until a line comes
 * on standard input fillers flow, so that a data plane can take in its list; then --count frames a side, of wire_shapes.c
 * or, over and over, of a capture; then fillers until the last frame is out. A data plane that loses one waits for
 * nothing: the next one shows it. Prints counts and hashes; exit 0 all well, 1 not, 2 usage.
 *
 * Threads: a writer and a checker for each direction. They share no frame: the checker makes each one again. */
#include <argp.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/wire_shapes.h"

enum {
    PIPE_BYTES = 1 << 20,
    BUFFER_BYTES = 256 << 10,
    SHAPES_MAX = 64,
    LOOK_AHEAD = 512, /* frames, to say what became of one */
    FILLERS_AT_ONCE = 64,
    FILLER_PAUSE_US = 200,
    FILE_HEADER_BYTES = 24,
    RECORD_HEADER_BYTES = 16,
};

/* A whole capture in memory; offsets[n] is the end. */
struct capture {
    uint8_t *bytes;
    size_t *offsets;
    size_t n;
};

static struct {
    uint64_t seed;
    uint64_t n_frames;
    const char *folder;
    struct capture capture;
    bool go;
    bool failed;
    unsigned n_done; /* checkers that saw their last frame */
} plan = {.seed = 1, .n_frames = 100000};

struct side {
    enum wire_direction direction;
    const char *in;
    const char *out;
    uint64_t n_by_shape[SHAPES_MAX]; /* those that passed or were kept as they had to */
    uint64_t n_passed;
    uint64_t n_kept;
    uint64_t n_answers;
    uint64_t n_bytes;
    uint64_t hash_in;
    uint64_t hash_out;
};

static void fail(const struct side *side, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void fail(const struct side *side, const char *format, ...)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    va_list arguments;

    pthread_mutex_lock(&lock);
    printf("FAILED %s to %s: ", side->in, side->out);
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    printf("\n");
    fflush(stdout);
    pthread_mutex_unlock(&lock);
    __atomic_store_n(&plan.failed, true, __ATOMIC_RELAXED);
}

static bool is_over(void)
{
    return __atomic_load_n(&plan.failed, __ATOMIC_RELAXED) || __atomic_load_n(&plan.n_done, __ATOMIC_RELAXED) == 2;
}

static void make(enum wire_direction direction, uint64_t number, struct wire_frame *out)
{
    const struct capture *capture = &plan.capture;
    size_t i;

    if (capture->n == 0) {
        wire_make(plan.seed, direction, number, out);
        return;
    }
    i = number % capture->n;
    out->shape = 0;
    out->touched = false;
    out->length = capture->offsets[i + 1] - capture->offsets[i];
    memcpy(out->bytes, capture->bytes + capture->offsets[i], out->length);
}

/* FNV-1a over words (Fowler, Noll, Vo): the frames' bytes, lengths and order. */
static uint64_t hash(uint64_t so_far, const uint8_t *bytes, size_t length)
{
    const uint64_t prime = 0x100000001b3;
    uint64_t word;

    so_far = (so_far ^ length) * prime;
    for (; length >= 8; length -= 8, bytes += 8) {
        memcpy(&word, bytes, 8);
        so_far = (so_far ^ word) * prime;
    }
    while (length-- > 0)
        so_far = (so_far ^ *bytes++) * prime;
    return so_far;
}

/* What goes in. */

struct writer {
    int fd;
    size_t n_bytes;
    uint8_t bytes[BUFFER_BYTES];
};

static bool flush(struct writer *writer)
{
    size_t at = 0;

    while (at < writer->n_bytes) {
        ssize_t n = write(writer->fd, writer->bytes + at, writer->n_bytes - at);

        if (n <= 0)
            return false;
        at += (size_t)n;
    }
    writer->n_bytes = 0;
    return true;
}

static bool write_frame(struct writer *writer, const uint8_t *bytes, size_t length)
{
    const uint32_t header[4] = {0, 0, (uint32_t)length, (uint32_t)length};

    if (writer->n_bytes + sizeof(header) + length > BUFFER_BYTES && !flush(writer))
        return false;
    memcpy(writer->bytes + writer->n_bytes, header, sizeof(header));
    memcpy(writer->bytes + writer->n_bytes + sizeof(header), bytes, length);
    writer->n_bytes += sizeof(header) + length;
    return true;
}

static bool write_fillers(struct writer *writer, enum wire_direction direction)
{
    uint8_t filler[64];
    size_t length = wire_make_filler(direction, filler);

    for (int i = 0; i < FILLERS_AT_ONCE; i++)
        if (!write_frame(writer, filler, length))
            return false;
    usleep(FILLER_PAUSE_US);
    return flush(writer);
}

static int open_pipe(const char *name, int flags)
{
    char path[4096];
    int fd;

    snprintf(path, sizeof(path), "%s/%s", plan.folder, name);
    fd = open(path, flags | O_CLOEXEC);
    if (fd < 0) {
        perror(path);
        exit(2);
    }
    (void)fcntl(fd, F_SETPIPE_SZ, PIPE_BYTES);
    return fd;
}

static bool write_all(struct writer *writer, const struct side *side, struct wire_frame *frame)
{
    static const uint32_t header[] = {0xa1b2c3d4, 2 | 4 << 16, 0, 0, 65535, 1};

    memcpy(writer->bytes, header, sizeof(header));
    writer->n_bytes = sizeof(header);
    while (!__atomic_load_n(&plan.go, __ATOMIC_ACQUIRE))
        if (is_over() || !write_fillers(writer, side->direction))
            return false;
    for (uint64_t i = 0; i < plan.n_frames; i++) {
        make(side->direction, i, frame);
        if (!write_frame(writer, frame->bytes, frame->length))
            return false;
    }
    while (!is_over())
        if (!write_fillers(writer, side->direction))
            return false;
    return true;
}

static void *run_writer(void *argument)
{
    const struct side *side = argument;
    struct writer *writer = calloc(1, sizeof(*writer));
    struct wire_frame *frame = calloc(1, sizeof(*frame));

    if (writer == NULL || frame == NULL)
        abort();
    writer->fd = open_pipe(side->in, O_WRONLY);
    if (!write_all(writer, side, frame) && !is_over())
        fail(side, "the data plane reads no more");
    close(writer->fd);
    free(frame);
    free(writer);
    return NULL;
}

/* What comes out. */

struct reader {
    int fd;
    size_t at;
    size_t end;
    uint8_t bytes[BUFFER_BYTES];
};

/* The next n bytes, valid until the next call; NULL at the end. */
static const uint8_t *take(struct reader *reader, size_t n)
{
    if (n > BUFFER_BYTES)
        return NULL;
    if (reader->end - reader->at < n) {
        memmove(reader->bytes, reader->bytes + reader->at, reader->end - reader->at);
        reader->end -= reader->at;
        reader->at = 0;
    }
    while (reader->end - reader->at < n) {
        ssize_t got = read(reader->fd, reader->bytes + reader->end, BUFFER_BYTES - reader->end);

        if (got <= 0)
            return NULL;
        reader->end += (size_t)got;
    }
    reader->at += n;
    return reader->bytes + reader->at - n;
}

static const uint8_t *read_frame(struct reader *reader, size_t *length)
{
    const uint8_t *header = take(reader, RECORD_HEADER_BYTES);
    uint32_t lengths[2];

    if (header == NULL)
        return NULL;
    memcpy(lengths, header + 8, 8);
    if (lengths[0] != lengths[1])
        return NULL;
    *length = lengths[0];
    return take(reader, lengths[0]);
}

static bool same(const struct wire_frame *frame, const uint8_t *bytes, size_t length)
{
    return frame->length == length && memcmp(frame->bytes, bytes, length) == 0;
}

/* Says what is wrong about a frame that came out where frame @p number was to come. */
static void explain(const struct side *side, uint64_t number, const uint8_t *bytes, size_t length)
{
    struct wire_frame *frame = calloc(1, sizeof(*frame));
    uint64_t first = number > LOOK_AHEAD ? number - LOOK_AHEAD : 0;
    char shape[64];
    size_t at = 0;

    if (frame == NULL)
        abort();
    make(side->direction, number, frame);
    snprintf(shape, sizeof(shape), "%s", wire_shape_name(frame->shape));
    for (uint64_t i = first; i < number + LOOK_AHEAD && i < plan.n_frames; i++) {
        make(side->direction, i, frame);
        if (!same(frame, bytes, length))
            continue;
        fail(side, "frame %" PRIu64 " (%s) %s, where frame %" PRIu64 " (%s) was expected", i,
             wire_shape_name(frame->shape), frame->touched ? "had to be kept and came out" : "came out", number, shape);
        free(frame);
        return;
    }
    make(side->direction, number, frame);
    while (at < length && at < frame->length && bytes[at] == frame->bytes[at])
        at++;
    if (length == frame->length || at > WIRE_MAC_AT + 6)
        fail(side, "frame %" PRIu64 " (%s) of %zu bytes was changed at byte %zu: %zu bytes came out", number, shape,
             frame->length, at, length);
    else
        fail(side, "a frame of %zu bytes that nobody sent; frame %" PRIu64 " (%s) was expected", length, number, shape);
    free(frame);
}

/* Goes on to the next frame that has to come out; counts those that have to be kept as kept: when one comes out, it is not
 * the frame that is then expected. */
static uint64_t advance(struct side *side, uint64_t number, struct wire_frame *frame)
{
    for (; number < plan.n_frames; number++) {
        make(side->direction, number, frame);
        if (!frame->touched)
            break;
        side->n_kept++;
        side->n_by_shape[frame->shape]++;
    }
    return number;
}

static bool check(struct side *side, struct reader *reader, struct wire_frame *frame)
{
    uint8_t filler[64];
    size_t filler_length = wire_make_filler(side->direction, filler);
    uint64_t number = advance(side, 0, frame);

    if (take(reader, FILE_HEADER_BYTES) == NULL)
        return false;
    while (number < plan.n_frames) {
        size_t length;
        const uint8_t *bytes = read_frame(reader, &length);

        if (bytes == NULL)
            return false;
        if (same(frame, bytes, length)) {
            side->hash_in = hash(side->hash_in, frame->bytes, frame->length);
            side->hash_out = hash(side->hash_out, bytes, length);
            side->n_passed++;
            side->n_bytes += length;
            side->n_by_shape[frame->shape]++;
            number = advance(side, number + 1, frame);
        } else if (side->direction == WIRE_FROM_LAN && wire_is_answer(bytes, length)) {
            side->n_answers++;
        } else if (length != filler_length || memcmp(bytes, filler, length) != 0) {
            explain(side, number, bytes, length);
            return true;
        } else if (side->n_passed > 0) { /* fillers flow before the first frame and behind the last */
            fail(side, "frame %" PRIu64 " (%s) and all behind it are lost", number, wire_shape_name(frame->shape));
            return true;
        }
    }
    return true;
}

static void *run_checker(void *argument)
{
    struct side *side = argument;
    struct reader *reader = calloc(1, sizeof(*reader));
    struct wire_frame *frame = calloc(1, sizeof(*frame));

    if (reader == NULL || frame == NULL)
        abort();
    reader->fd = open_pipe(side->out, O_RDONLY);
    if (!check(side, reader, frame) && !is_over())
        fail(side, "it ended after %" PRIu64 " frames", side->n_passed);
    __atomic_fetch_add(&plan.n_done, 1, __ATOMIC_RELAXED);
    while (!__atomic_load_n(&plan.failed, __ATOMIC_RELAXED) && take(reader, 1) != NULL)
        ; /* nobody may have to wait for room in a pipe, until the data plane closes it */
    close(reader->fd);
    free(frame);
    free(reader);
    return NULL;
}

/* Reads a capture of Ethernet frames, in this machine's byte order. */
static int load_capture(const char *path, struct capture *capture)
{
    FILE *file = fopen(path, "rbe");
    size_t n_bytes, at = FILE_HEADER_BYTES, to = 0;

    if (file == NULL || fseek(file, 0, SEEK_END) != 0)
        return -1;
    n_bytes = (size_t)ftell(file);
    rewind(file);
    capture->bytes = malloc(n_bytes + 1);
    capture->offsets = calloc(n_bytes / RECORD_HEADER_BYTES + 2, sizeof(*capture->offsets));
    if (capture->bytes == NULL || capture->offsets == NULL || fread(capture->bytes, 1, n_bytes, file) != n_bytes)
        return -1;
    fclose(file);
    while (at + RECORD_HEADER_BYTES <= n_bytes) {
        uint32_t lengths[2];

        memcpy(lengths, capture->bytes + at + 8, 8);
        at += RECORD_HEADER_BYTES;
        if (lengths[0] != lengths[1] || lengths[0] > WIRE_FRAME_MAX || lengths[0] > n_bytes - at)
            return -1; /* a frame that was cut is none */
        memmove(capture->bytes + to, capture->bytes + at, lengths[0]);
        at += lengths[0];
        to += lengths[0];
        capture->offsets[++capture->n] = to;
    }
    return capture->n > 0 ? 0 : -1;
}

static void report(const struct side *sides)
{
    for (int i = 0; i < 2; i++)
        printf("%s: %" PRIu64 " frames, %" PRIu64 " bytes passed, hash in %016" PRIx64 " out %016" PRIx64 "; %" PRIu64
               " kept; %" PRIu64 " answers on this side\n",
               sides[i].out, sides[i].n_passed, sides[i].n_bytes, sides[i].hash_in, sides[i].hash_out, sides[i].n_kept,
               sides[i].n_answers);
    for (unsigned shape = 0; plan.capture.n == 0 && shape < wire_n_shapes(); shape++)
        printf("shape %s: %s %" PRIu64 ", from lan passed %" PRIu64 "\n", wire_shape_name(shape),
               wire_shape_is_touched(shape) ? "kept" : "passed", sides[0].n_by_shape[shape],
               sides[1].n_by_shape[shape]);
}

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
    switch (key) {
    case 's':
        plan.seed = strtoull(argument, NULL, 0);
        return 0;
    case 'n':
        plan.n_frames = strtoull(argument, NULL, 0);
        return 0;
    case 'c':
        if (load_capture(argument, &plan.capture) != 0)
            argp_failure(state, 2, 0, "%s: not a capture of whole frames", argument);
        return 0;
    case ARGP_KEY_ARG:
        plan.folder = argument;
        return 0;
    case ARGP_KEY_END:
        if (plan.folder == NULL)
            argp_usage(state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static void run(struct side *sides)
{
    pthread_t threads[4];

    for (int i = 0; i < 2; i++)
        if (pthread_create(&threads[2 * i], NULL, run_writer, &sides[i]) != 0 ||
            pthread_create(&threads[2 * i + 1], NULL, run_checker, &sides[i]) != 0)
            abort();
    if (getchar() == EOF)
        exit(1); /* whoever started us is gone */
    __atomic_store_n(&plan.go, true, __ATOMIC_RELEASE);
    while (!is_over())
        usleep(1000);
    report(sides);
    printf("%s\n", plan.failed ? "failed" : "done");
    fflush(stdout);
    if (plan.failed)
        exit(1);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
}

int main(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"seed", 's', "N", 0, "Of the frames (default: 1)", 0},
        {"count", 'n', "N", 0, "Frames on each side (default: 100000)", 0},
        {"capture", 'c', "FILE", 0, "Frames of this capture", 0},
        {0},
    };
    static const struct argp parser = {options, parse_option, "FOLDER", NULL, NULL, NULL, NULL};
    static struct side sides[] = {{.direction = WIRE_FROM_WAN, .in = "wan.in", .out = "lan.out"},
                                  {.direction = WIRE_FROM_LAN, .in = "lan.in", .out = "wan.out"}};

    argp_err_exit_status = 2;
    signal(SIGPIPE, SIG_IGN);
    argp_parse(&parser, argc, argv, 0, NULL, NULL);
    run(sides);
    free(plan.capture.bytes);
    free(plan.capture.offsets);
    return 0;
}
