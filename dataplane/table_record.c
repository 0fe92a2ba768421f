/* The patch that is being recorded; see table_state.h. */
#include "dataplane/table_state.h"

#include <stdlib.h>
#include <string.h>

/* Words that a new patch has room for: some hosts. */
enum { ROOM_FIRST = 256 };

struct bl_table_patch *bl_table_record_create(const struct bl_table *master, size_t room)
{
    struct bl_table_patch *patch = malloc(sizeof(*patch) + room * sizeof(uint64_t));

    if (patch == NULL)
        return NULL;
    *patch = (struct bl_table_patch){
        .epoch = master->epoch,
        .seal = master->seal,
        .generation = master->generation,
        .from_serial = master->serial,
    };
    return patch;
}

void bl_table_record_drop(struct bl_table_build *build)
{
    free(build->record.patch);
    build->record.patch = NULL;
    build->record.room = 0;
    build->record.moved = true;
}

/* @return false when there is none and the recording was given up. */
static bool make_room(struct bl_table_build *build, size_t n_words)
{
    struct bl_table_record *record = &build->record;
    struct bl_table_patch *patch;
    size_t room;

    if (record->patch != NULL && record->room - record->patch->n_words >= n_words)
        return true;
    if (record->patch == NULL) {
        room = n_words + ROOM_FIRST;
        patch = bl_table_record_create(build->master, room);
    } else {
        room = 2 * record->room + n_words;
        patch = realloc(record->patch, sizeof(*patch) + room * sizeof(uint64_t));
    }
    if (patch == NULL) {
        bl_table_record_drop(build);
        return false;
    }
    record->patch = patch;
    record->room = room;
    return true;
}

void bl_table_record_open(struct bl_table_build *build)
{
    struct bl_table_record *record = &build->record;

    if (record->moved || !make_room(build, 1))
        return;
    record->group = record->patch->n_words++;
    record->patch->words[record->group] = 0;
}

void bl_table_record_write(struct bl_table_build *build, const void *place, size_t n)
{
    struct bl_table_record *record = &build->record;
    size_t first = (size_t)((const uint8_t *)place - (const uint8_t *)build->master) / sizeof(uint64_t);
    size_t end = ((size_t)((const uint8_t *)place - (const uint8_t *)build->master) + n + 7) / sizeof(uint64_t);
    struct bl_table_patch *patch;

    if (record->moved || !make_room(build, 1 + end - first))
        return;
    patch = record->patch;
    patch->words[patch->n_words++] = first | (uint64_t)(end - first) << BL_TABLE_LAYOUT_WRITE_SHIFT;
    memcpy(patch->words + patch->n_words, (const uint64_t *)build->master + first, (end - first) * sizeof(uint64_t));
    patch->n_words += end - first;
}

/* A patch that has half the block's bytes costs a worker more than the copy of the block that the main core makes. */
void bl_table_record_close(struct bl_table_build *build)
{
    struct bl_table_record *record = &build->record;
    struct bl_table_patch *patch = record->patch;

    if (record->moved)
        return;
    patch->words[record->group] = patch->n_words - record->group - 1;
    if (patch->words[record->group] == 0)
        patch->n_words = record->group;
    if (patch->n_words * sizeof(uint64_t) > build->areas.end / 2)
        bl_table_record_drop(build);
}
