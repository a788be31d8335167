/* Small safetensors files and folders for the tests of this floor. */
#ifndef MX_TESTS_CHECKPOINT_FILES_H
#define MX_TESTS_CHECKPOINT_FILES_H

#include "support.h"

#include "base/file.h"
#include "base/str.h"

/* The bytes of a file: the header's length, the header, `data_bytes` bytes 0, 1, 2, ... Free with mx_str_free. */
static inline struct mx_str safetensors_bytes(const char *header, size_t data_bytes)
{
    struct mx_str bytes = {0};
    const uint64_t length = strlen(header);
    for (int i = 0; i < 8; i++) mx_str_putc(&bytes, (char)(length >> 8 * i));
    mx_str_puts(&bytes, header);
    for (size_t i = 0; i < data_bytes; i++) mx_str_putc(&bytes, (char)i);
    return bytes;
}

/* A fresh folder under the temporary directory; the caller frees the path. */
static inline char *make_folder(void)
{
    const char *base = getenv("TMPDIR");
    struct mx_str path = {0};
    mx_str_printf(&path, "%s/mlxcel-test-XXXXXX", base && *base ? base : "/tmp");
    assert_non_null(mkdtemp(path.data));
    return path.data;
}

static inline void put_file(const char *folder, const char *name, const void *bytes, size_t length)
{
    struct mx_error error;
    char *path = mx_path_join(folder, name);
    if (mx_file_write(path, bytes, length, &error) != MX_OK) fail_msg("%s", error.message);
    free(path);
}

static inline void put_text(const char *folder, const char *name, const char *text)
{
    put_file(folder, name, text, strlen(text));
}

static inline void put_safetensors(const char *folder, const char *name, const char *header, size_t data_bytes)
{
    struct mx_str bytes = safetensors_bytes(header, data_bytes);
    put_file(folder, name, bytes.data, bytes.length);
    mx_str_free(&bytes);
}

/* One tensor of a file that put_tensors writes: data one after the other, in order. */
struct tensor_row {
    const char *name, *dtype, *shape;
    size_t bytes;
};

static inline void put_tensors(const char *folder, const char *name, const struct tensor_row *rows, size_t count)
{
    struct mx_str header = {0};
    size_t end = 0;
    for (size_t i = 0; i < count; i++) {
        mx_str_printf(&header, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":[%zu,%zu]}", i ? "," : "{",
                      rows[i].name, rows[i].dtype, rows[i].shape, end, end + rows[i].bytes);
        end += rows[i].bytes;
    }
    mx_str_putc(&header, '}');
    put_safetensors(folder, name, header.data, end);
    mx_str_free(&header);
}
#define PUT_TENSORS(folder, name, rows) put_tensors(folder, name, rows, sizeof(rows) / sizeof *(rows))

/* Removes the folder with everything in it, and frees the path. */
static inline void remove_folder(char *folder)
{
    struct mx_str command = {0};
    mx_str_printf(&command, "rm -rf '%s'", folder);
    assert_int_equal(system(command.data), 0);
    mx_str_free(&command);
    free(folder);
}

#endif
