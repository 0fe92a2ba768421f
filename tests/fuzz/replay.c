/* Runs a fuzzer's input function over every file of a folder: each fuzzer's corpus is an ordinary test.
 *
 *   fuzz_<parser> FOLDER
 *
 * Each input lies in a heap block of its size, so that ASan sees a byte read too far. A folder without a file is a
 * failure: a corpus that got lost must not look like one that passed. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PATH_BYTES_MAX = 4096 };

static int run_bytes(FILE *file, const char *path, size_t size)
{
    uint8_t *data = malloc(size != 0 ? size : 1);
    int failed = 0;

    if (data == NULL || fread(data, 1, size, file) != size) {
        (void)fprintf(stderr, "replay: %s: can't be read\n", path);
        failed = 1;
    } else {
        (void)LLVMFuzzerTestOneInput(data, size);
    }
    free(data);
    return failed;
}

static int run_file(const char *path, size_t size)
{
    FILE *file = fopen(path, "rb");
    int failed;

    if (file == NULL) {
        perror(path);
        return 1;
    }
    failed = run_bytes(file, path, size);
    (void)fclose(file);
    return failed;
}

int main(int argc, char **argv)
{
    const struct dirent *entry;
    unsigned n_files = 0;
    int failed = 0;
    DIR *folder;

    if (argc != 2) {
        (void)fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 2;
    }
    folder = opendir(argv[1]);
    if (folder == NULL) {
        perror(argv[1]);
        return 1;
    }
    while ((entry = readdir(folder)) != NULL) {
        char path[PATH_BYTES_MAX];
        struct stat status;

        (void)snprintf(path, sizeof(path), "%s/%s", argv[1], entry->d_name);
        if (stat(path, &status) != 0 || !S_ISREG(status.st_mode))
            continue;
        failed |= run_file(path, (size_t)status.st_size);
        n_files++;
    }
    (void)closedir(folder);
    (void)printf("%u inputs\n", n_files);
    if (n_files == 0)
        (void)fprintf(stderr, "replay: %s: no input in it\n", argv[1]);
    return n_files == 0 ? 1 : failed;
}
