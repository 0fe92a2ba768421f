/* Reading the log beside the writer, and waiting for it to grow; see store.h. */
#include "controlplane/store.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "controlplane/clock.h"

/* How long who was woken sleeps on: it finds what came meanwhile, too. */
enum { GATHER_MS = 5 };

/* Ends a read that has enough; no error of the log's. */
enum { ENOUGH = 1 };

/* Copies; data holds an offset until the slice is whole, since the memory moves. */
static int take_record(void *context, const struct bl_log_blob *record)
{
    struct bl_store_slice *slice = context;

    if (slice->n_bytes + record->length > slice->n_allocated) {
        size_t n_allocated = slice->n_bytes + record->length + BL_STORE_SLICE_BYTES;
        uint8_t *memory = realloc(slice->memory, n_allocated);

        if (memory == NULL)
            return BL_ENOMEM;
        slice->memory = memory;
        slice->n_allocated = n_allocated;
    }
    memcpy(slice->memory + slice->n_bytes, record->data, record->length);
    slice->records[slice->n++] = (struct bl_log_blob){record->serial, NULL, record->length};
    slice->n_bytes += record->length;
    return slice->n == BL_STORE_SLICE_RECORDS || slice->n_bytes >= BL_STORE_SLICE_BYTES ? ENOUGH : BL_OK;
}

static int read_locked(struct bl_store *store, uint64_t serial, bool back, struct bl_store_slice *slice,
                       uint64_t *first, struct bl_error_detail *detail)
{
    *first = bl_log_first(store->log);
    if (serial > bl_log_serial(store->log))
        return BL_EAGAIN;
    if (serial < *first)
        return BL_ENOENT;
    return back ? bl_log_read_back(store->log, serial, take_record, slice, detail)
                : bl_log_read(store->log, serial, take_record, slice, detail);
}

int bl_store_read(struct bl_store *store, uint64_t serial, bool back, struct bl_store_slice *slice, uint64_t *first,
                  struct bl_error_detail *detail)
{
    uint8_t *data;
    int error;

    slice->n = 0;
    slice->n_bytes = 0;
    (void)pthread_mutex_lock(&store->reader_lock);
    (void)pthread_mutex_lock(&store->log_lock);
    error = read_locked(store, serial, back, slice, first, detail);
    (void)pthread_mutex_unlock(&store->log_lock);
    (void)pthread_mutex_unlock(&store->reader_lock);
    data = slice->memory;
    for (size_t i = 0; i < slice->n; i++) {
        slice->records[i].data = data;
        data += slice->records[i].length;
    }
    return error == ENOUGH ? BL_OK : error;
}

/* After a record of a large import the memory would stay with every watcher. */
void bl_store_slice_fini(struct bl_store_slice *slice)
{
    free(slice->memory);
    memset(slice, 0, sizeof(*slice));
}

void bl_store_move_head(struct bl_store *store, uint64_t serial)
{
    bool waiting;

    (void)pthread_mutex_lock(&store->head_lock);
    store->head = serial;
    waiting = store->n_waiting != 0;
    (void)pthread_mutex_unlock(&store->head_lock);
    if (waiting)
        (void)pthread_cond_broadcast(&store->moved);
}

uint64_t bl_store_await(struct bl_store *store, uint64_t serial, int64_t timeout_ms)
{
    static const struct timespec gather = {.tv_nsec = GATHER_MS * 1000000L};
    int64_t until_ms = bl_clock_monotonic_ms() + timeout_ms;
    struct timespec until = {.tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000};
    bool waited = false;
    uint64_t head;

    (void)pthread_mutex_lock(&store->head_lock);
    store->n_waiting++;
    while (store->head <= serial && pthread_cond_timedwait(&store->moved, &store->head_lock, &until) == 0)
        waited = true;
    store->n_waiting--;
    head = store->head;
    (void)pthread_mutex_unlock(&store->head_lock);
    if (waited && head > serial)
        (void)nanosleep(&gather, NULL);
    return head;
}
