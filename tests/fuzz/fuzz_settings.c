/* bounceline.yaml, read from a file in memory as every program reads it. Held: no crash, no leak; a refusal names the
 * file; what came through can be said in a greeting and in a 550 line, and no list is longer than its array. */
#define _GNU_SOURCE /* memfd_create */

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bounceline/hostname.h"
#include "bounceline/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_url(const char *url)
{
    struct bl_class class = {.code = 606, .action = BL_ACTION_REJECT};

    (void)snprintf(class.url, sizeof(class.url), "%s", url);
    assert(bl_class_validate(&class, NULL) == BL_OK);
}

static void check_settings(const struct bl_settings *settings)
{
    const struct bl_settings_controlplane *controlplane = &settings->controlplane;

    if (settings->dataplane.hostname[0] != '\0')
        assert(bl_hostname_valid(settings->dataplane.hostname));
    assert(settings->dataplane.workers >= 1 && settings->dataplane.workers <= 64);
    assert(settings->dataplane.n_protected_ports >= 1);
    assert(settings->dataplane.n_protected_ports <= BL_SETTINGS_PORTS_MAX);
    if (controlplane->url[0] != '\0')
        check_url(controlplane->url);
    assert(controlplane->n_never_listed <= BL_SETTINGS_PREFIXES_MAX);
    for (uint32_t i = 0; i < controlplane->n_never_listed; i++)
        assert(bl_address_prefix_canonical(&controlplane->never_listed[i]));
    assert(controlplane->n_sources <= BL_SETTINGS_SOURCES_MAX);
    for (uint32_t i = 0; i < controlplane->n_sources; i++) {
        assert(controlplane->sources[i].code >= 606 && controlplane->sources[i].code <= 649);
        if (controlplane->sources[i].url[0] != '\0')
            check_url(controlplane->sources[i].url);
    }
    assert(controlplane->n_actors <= BL_SETTINGS_ACTORS_MAX);
    for (uint32_t i = 0; i < controlplane->n_actors; i++)
        assert(controlplane->actors[i].role != BL_ROLE_NONE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct bl_settings settings;
    struct bl_error_detail detail = {""};
    char path[64];
    int file = memfd_create("bounceline.yaml", MFD_CLOEXEC);

    assert(file >= 0);
    assert(write(file, data, size) == (ssize_t)size);
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
    for (unsigned needed = 0; needed <= 7; needed += 7) {
        if (bl_settings_load(path, needed, &settings, &detail) == BL_OK)
            check_settings(&settings);
        else
            assert(strncmp(detail.text, path, strlen(path)) == 0);
    }
    (void)close(file);
    return 0;
}
