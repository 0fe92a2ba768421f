/* The planted leak of test_portal_secrecy.py, for LD_PRELOAD: whatever binds the text BL_PLANT_TEXT to a statement takes
 * 100 µs longer. So a portal's answer tells, by its time, whether a form was about that address. */
#define _GNU_SOURCE /* RTLD_NEXT */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { DELAY_NS = 100000 };

int sqlite3_bind_text(void *statement, int index, const char *text, int length, void (*release)(void *));

static long long now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

int sqlite3_bind_text(void *statement, int index, const char *text, int length, void (*release)(void *))
{
    static int (*real)(void *, int, const char *, int, void (*)(void *));
    const char *planted = getenv("BL_PLANT_TEXT");

    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "sqlite3_bind_text");
    if (planted != NULL && text != NULL && strcmp(text, planted) == 0) {
        long long end = now_ns() + DELAY_NS;

        while (now_ns() < end)
            ;
    }
    return real(statement, index, text, length, release);
}
