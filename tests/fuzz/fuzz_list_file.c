/* The list file's parser (bounceline import) takes any bytes. The first byte says where the input is cut; the rest is the
 * file. Held: the cut changes nothing, entries are sorted, unique and canonical, and each is read back from its text. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "controlplane/cli/list_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_in_two(struct bl_list_file *file, const char *text, size_t length, size_t cut)
{
    bl_list_file_init(file);
    assert(bl_list_file_feed(file, text, cut, NULL) == BL_OK);
    assert(bl_list_file_feed(file, text + cut, length - cut, NULL) == BL_OK);
    assert(bl_list_file_end(file, NULL) == BL_OK);
}

static void check_same(const struct bl_list_file *a, const struct bl_list_file *b)
{
    assert(a->n_lines == b->n_lines && a->n_bad == b->n_bad && a->n_entries == b->n_entries);
    for (size_t i = 0; i < a->n_entries; i++)
        assert(bl_address_prefix_compare(&a->entries[i].prefix, &b->entries[i].prefix) == 0);
    for (size_t i = 0; i < a->n_bad && i < BL_LIST_FILE_BAD_SHOWN; i++)
        assert(a->bad[i].line == b->bad[i].line && strcmp(a->bad[i].cause.text, b->bad[i].cause.text) == 0);
}

static void check_finished(const struct bl_list_file *file)
{
    for (size_t i = 0; i < file->n_entries; i++) {
        const struct bl_prefix *prefix = &file->entries[i].prefix;
        struct bl_prefix again;
        char text[BL_ADDRESS_TEXT_MAX];

        assert(bl_address_prefix_canonical(prefix));
        assert(i == 0 || bl_address_prefix_compare(&file->entries[i - 1].prefix, prefix) < 0);
        assert(file->entries[i].line >= 1 && file->entries[i].line <= file->n_lines);
        assert(bl_address_parse_prefix(bl_address_format_prefix(prefix, text), 64, &again, NULL) == BL_OK);
        assert(bl_address_prefix_compare(prefix, &again) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bl_list_file whole;
    struct bl_list_file cut;
    const char *text = (const char *)data + 1;

    if (size == 0)
        return 0;
    read_in_two(&whole, text, size - 1, 0);
    read_in_two(&cut, text, size - 1, data[0] % size);
    check_same(&whole, &cut);
    bl_list_file_finish(&whole, 64);
    check_finished(&whole);
    bl_list_file_fini(&whole);
    bl_list_file_fini(&cut);
    return 0;
}
