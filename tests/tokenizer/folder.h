/* A folder that a test makes and fills. For one test program: everything is static. */
#ifndef MX_TESTS_TOKENIZER_FOLDER_H
#define MX_TESTS_TOKENIZER_FOLDER_H

#include "support.h"

#include "base/file.h"

static char folder[] = "/tmp/mlxcel-folder-XXXXXX";

static inline void write_bytes(const char *name, const void *bytes, size_t length)
{
    struct mx_error err;
    char *path = mx_path_join(folder, name);
    assert_ok(mx_file_write(path, bytes, length, &err));
    free(path);
}

static inline void write_file(const char *name, const char *text)
{
    write_bytes(name, text, strlen(text));
}

static inline void remove_file(const char *name)
{
    char *path = mx_path_join(folder, name);
    unlink(path);
    free(path);
}

#endif
