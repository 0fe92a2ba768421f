/* The effective set in chunks; see sync_snapshot.h. */
#include "controlplane/sync_snapshot.h"

#include <stdlib.h>
#include <string.h>

/* A slice, and what its chunk says besides. */
struct slice {
    struct bl_codec_sync_part part;
    struct bl_class classes[BL_CLASS_COUNT];
    struct bl_list_change entries[BL_SYNC_SNAPSHOT_SLICE];
};

/* Under the read lock. The digest is that of all chunks when nothing changed since the deltas that were sent; if
 * something did, they come first, and one more chunk, of nothing, after them. */
static void read_slice(struct bl_sync_snapshot *snapshot, const struct bl_list_state *state, uint64_t sent,
                       struct slice *slice)
{
    struct bl_codec_sync_part *part = &slice->part;
    struct bl_list_counts counts;

    bl_list_state_count(state, &counts);
    snapshot->read_serial = bl_list_state_serial(state);
    *part = (struct bl_codec_sync_part){
        .epoch = bl_list_state_epoch(state),
        .serial = snapshot->n_chunks == 0 ? snapshot->read_serial : sent,
        .chunk = snapshot->n_chunks,
        .classes_mask = UINT64_MAX,
        .entries = slice->entries,
        .n_entries_all = counts.n_effective_ipv4 + counts.n_effective_ipv6,
        .digest = bl_list_state_digest(state),
    };
    if (snapshot->n_chunks == 0) {
        memcpy(slice->classes, bl_list_state_classes(state), sizeof(slice->classes));
        part->classes = slice->classes;
    }
    if (!snapshot->cursor.ended)
        part->n_entries = bl_list_state_read_entries(state, &snapshot->cursor, slice->entries, BL_SYNC_SNAPSHOT_SLICE);
    part->last = snapshot->cursor.ended && part->serial == snapshot->read_serial;
}

int bl_sync_snapshot_next(struct bl_sync_snapshot *snapshot, struct bl_store *store, uint64_t sent, bool *last,
                          struct bl_frames **chunk)
{
    struct slice *slice;
    int error;

    if (snapshot->n_chunks != 0 && sent < snapshot->read_serial)
        return BL_EAGAIN;
    slice = malloc(sizeof(*slice));
    if (slice == NULL)
        return BL_ENOMEM;
    (void)pthread_rwlock_rdlock(&store->lock);
    read_slice(snapshot, store->state, sent, slice);
    (void)pthread_rwlock_unlock(&store->lock);
    *last = slice->part.last;
    error = bl_frames_create_chunk(chunk, &slice->part);
    snapshot->n_chunks++;
    free(slice);
    return error;
}
