/* The reader of list files (bounceline import) takes any bytes in every format. The first byte says where the input is
 * cut, the second which format it is said to be (0 or too large: detected), its high bit whether host bits are cut; the
 * rest is the file, perhaps in gzip. Held: the cut changes nothing, entries are sorted, unique and canonical, no hole is
 * left, and each is read back from its text. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "controlplane/cli/gunzip.h"
#include "controlplane/cli/list_file.h"
#include "controlplane/cli/list_format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int take(void *context, const char *data, size_t length, struct bl_error_detail *detail)
{
    return bl_list_file_feed(context, data, length, detail);
}

/* @return what reading came to: too much, or broken gzip, is an end like another. */
static int read_in_two(struct bl_list_file *file, const uint8_t *data, size_t length, size_t cut, uint8_t how)
{
    const char *text = (const char *)data;
    struct bl_gunzip gunzip;
    size_t n_formats = 0;
    int error;

    while (bl_list_format_table[n_formats] != NULL)
        n_formats++;
    bl_list_file_init(file);
    file->now_s = 1790000000;
    file->mask_host_bits = (how & 0x80) != 0;
    if ((how & 0x7f) != 0 && (size_t)(how & 0x7f) <= n_formats)
        file->format = bl_list_format_table[(how & 0x7f) - 1];
    bl_gunzip_init(&gunzip, take, file);
    error = bl_gunzip_feed(&gunzip, text, cut, NULL);
    if (error == BL_OK)
        error = bl_gunzip_feed(&gunzip, text + cut, length - cut, NULL);
    if (error == BL_OK)
        error = bl_gunzip_end(&gunzip, NULL);
    if (error == BL_OK)
        error = bl_list_file_end(file, NULL);
    bl_gunzip_fini(&gunzip);
    return error;
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

        assert(bl_address_prefix_canonical(prefix) && !file->entries[i].excluded && !file->entries[i].bare_ipv6);
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
    int error;

    if (size < 2)
        return 0;
    error = read_in_two(&whole, data + 2, size - 2, 0, data[1]);
    assert(read_in_two(&cut, data + 2, size - 2, data[0] % (size - 1), data[1]) == error);
    if (error == BL_OK) {
        check_same(&whole, &cut);
        if (bl_list_file_finish(&whole, 64) == BL_OK)
            check_finished(&whole);
    }
    bl_list_file_fini(&whole);
    bl_list_file_fini(&cut);
    return 0;
}
