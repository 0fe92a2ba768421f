/* The numbers of classes; see list_class.h. */
#include "controlplane/list_class.h"

#include <stdlib.h>
#include <string.h>

void bl_list_class_fini(struct bl_list_classes *classes)
{
    free(classes->undo);
    memset(classes, 0, sizeof(*classes));
}

int bl_list_class_reserve(struct bl_list_classes *classes)
{
    size_t n_max = classes->n_undo_max * 2 + 8;
    struct bl_list_class_change *undo;

    if (classes->n_undo < classes->n_undo_max)
        return BL_OK;
    undo = realloc(classes->undo, n_max * sizeof(*undo));
    if (undo == NULL)
        return BL_ENOMEM;
    classes->undo = undo;
    classes->n_undo_max = n_max;
    return BL_OK;
}

/* 62 compares: the code differs first, nearly always. A number is in use as long as it has a code, with or without
 * listings: a restored table has none yet. */
uint8_t bl_list_class_find(const struct bl_list_classes *classes, const struct bl_class *class)
{
    for (uint8_t i = BL_CLASS_FIRST; i <= BL_CLASS_LAST; i++)
        if (classes->table[i].code != 0 && bl_class_equal(&classes->table[i], class))
            return i;
    return 0;
}

/* The one place where the table changes once it is in use, so that none of it escapes undo. */
static void set(struct bl_list_classes *classes, uint8_t class_id, const struct bl_class *class)
{
    classes->undo[classes->n_undo++] =
        (struct bl_list_class_change){classes->changed, classes->table[class_id], class_id};
    classes->table[class_id] = *class;
}

uint8_t bl_list_class_take(struct bl_list_classes *classes, const struct bl_class *class)
{
    for (uint8_t i = BL_CLASS_FIRST; i <= BL_CLASS_LAST; i++) {
        if (classes->table[i].code != 0)
            continue;
        set(classes, i, class);
        /* Also when it means what it meant before it was freed: who follows was not told that it was. */
        classes->changed |= UINT64_C(1) << i;
        return i;
    }
    return 0;
}

/* Not a change for those who follow: no entry has this number any more. */
void bl_list_class_clear(struct bl_list_classes *classes, uint8_t class_id)
{
    static const struct bl_class none;

    set(classes, class_id, &none);
}

void bl_list_class_undo(struct bl_list_classes *classes)
{
    const struct bl_list_class_change *last = &classes->undo[--classes->n_undo];

    classes->table[last->class_id] = last->before;
    classes->changed = last->changed;
}

uint64_t bl_list_class_commit(struct bl_list_classes *classes)
{
    uint64_t changed = classes->changed;

    classes->changed = 0;
    classes->n_undo = 0;
    return changed;
}

/* A log may be of other settings than ours: only what the data plane could not take is refused. */
static int check(const struct bl_class *class)
{
    if (class->code < BL_CLASS_CODE_MIN || class->code > BL_CLASS_CODE_MAX || class->action < BL_ACTION_REJECT ||
        class->action > BL_ACTION_MONITOR)
        return BL_EINVAL;
    return memchr(class->url, '\0', sizeof(class->url)) == NULL ? BL_EINVAL : BL_OK;
}

int bl_list_class_restore(struct bl_list_classes *classes, const struct bl_class table[BL_CLASS_COUNT])
{
    if (table[BL_CLASS_NONE].code != 0 || table[BL_CLASS_EXEMPT].code != 0 || bl_list_class_count(classes) != 0)
        return BL_EINVAL;
    for (uint8_t i = BL_CLASS_FIRST; i <= BL_CLASS_LAST; i++) {
        if (table[i].code == 0)
            continue;
        /* Two numbers of one meaning: the next listing would have a choice, and the fold be no fold. */
        if (check(&table[i]) != BL_OK || bl_list_class_find(classes, &table[i]) != 0) {
            memset(classes->table, 0, sizeof(classes->table));
            return BL_EINVAL;
        }
        classes->table[i] = table[i];
    }
    return BL_OK;
}

uint32_t bl_list_class_count(const struct bl_list_classes *classes)
{
    uint32_t n = 0;

    for (uint8_t i = BL_CLASS_FIRST; i <= BL_CLASS_LAST; i++)
        n += classes->table[i].code != 0;
    return n;
}
