/* Runs a fuzz target once on each file of a folder: the corpus as a plain test, without a fuzzer. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay(const char *path)
{
    struct mx_error err;
    char *bytes;
    size_t length;
    if (mx_file_read(path, 1 << 26, &bytes, &length, &err) != MX_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    LLVMFuzzerTestOneInput((const uint8_t *)bytes, length);
    free(bytes);
    return 0;
}

int main(int argc, char **argv)
{
    DIR *stream = argc == 2 ? opendir(argv[1]) : NULL;
    if (!stream) {
        fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 2;
    }
    int files = 0, bad = 0;
    for (const struct dirent *entry; (entry = readdir(stream));) {
        if (entry->d_name[0] == '.') continue;
        char *path = mx_path_join(argv[1], entry->d_name);
        bad += path ? replay(path) : 1;
        free(path);
        files++;
    }
    closedir(stream);
    printf("replay: %d passed, %d failed, 0 skipped\n", files - bad, bad);
    return bad || !files;
}
