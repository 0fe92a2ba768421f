/* What a control plane answers, as the command line reads it: the first byte says which of the five answers, the rest is
 * the message. Held: no crash, no leak, and every string that came through ends inside the message's limits. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "controlplane/cli/client_codec.h"
#include "controlplane/cli/client_codec_rejects.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_result(const uint8_t *data, size_t size)
{
    struct bl_result result;

    if (bl_client_codec_decode_result(data, size, &result, NULL) != BL_OK)
        return;
    for (size_t i = 0; i < result.n_items; i++) {
        assert(strlen(result.items[i].detail) <= size);
        assert(bl_client_codec_outcome_text(result.items[i].outcome)[0] != '\0');
        assert(bl_client_codec_refusal_text(result.items[i].refusal)[0] != '\0');
    }
    bl_client_codec_free_result(&result);
}

static void read_lookup(const uint8_t *data, size_t size)
{
    struct bl_lookup lookup;

    if (bl_client_codec_decode_lookup(data, size, &lookup, NULL) != BL_OK)
        return;
    assert(strlen(lookup.prefix) <= size);
    for (size_t i = 0; i < lookup.n_layers; i++) {
        const struct bl_layer *layer = &lookup.layers[i];

        assert(strlen(layer->prefix) + strlen(layer->source) + strlen(layer->reason) + strlen(layer->actor) <= size);
        assert(bl_client_codec_layer_text(layer->kind)[0] != '\0');
    }
    bl_client_codec_free_lookup(&lookup);
}

static void read_status(const uint8_t *data, size_t size)
{
    struct bl_status status;

    if (bl_client_codec_decode_status(data, size, &status, NULL) != BL_OK)
        return;
    assert(strlen(status.version) + strlen(status.write_fault) <= size);
    for (size_t i = 0; i < status.n_dataplanes; i++) {
        const struct bl_status_dataplane *dataplane = &status.dataplanes[i];

        assert(strlen(dataplane->name) + strlen(dataplane->version) <= size);
        for (size_t j = 0; j < dataplane->n_counters; j++)
            assert(strlen(dataplane->counters[j].name) <= size);
    }
    bl_client_codec_free_status(&status);
}

static void read_rejects(const uint8_t *data, size_t size)
{
    struct bl_rejects_page page;

    if (bl_client_codec_decode_rejects(data, size, &page, NULL) != BL_OK)
        return;
    for (size_t i = 0; i < page.n_lines; i++) {
        const struct bl_rejects_line *line = &page.lines[i];

        assert(strlen(line->source) + strlen(line->destination) + strlen(line->reason) + strlen(line->listing) +
                   strlen(line->listing_source) + strlen(line->dataplane) <=
               size);
    }
    bl_client_codec_free_rejects(&page);
}

static void read_top(const uint8_t *data, size_t size)
{
    struct bl_top top;

    if (bl_client_codec_decode_top(data, size, &top, NULL) != BL_OK)
        return;
    for (size_t i = 0; i < top.n_entries; i++)
        assert(strlen(top.entries[i].prefix) + strlen(top.entries[i].source) <= size);
    bl_client_codec_free_top(&top);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    switch (data[0] % 5) {
    case 0:
        read_result(data + 1, size - 1);
        break;
    case 1:
        read_lookup(data + 1, size - 1);
        break;
    case 3:
        read_rejects(data + 1, size - 1);
        break;
    case 4:
        read_top(data + 1, size - 1);
        break;
    default:
        read_status(data + 1, size - 1);
        break;
    }
    return 0;
}
