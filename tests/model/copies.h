/* Writing small checkpoints for the tests: copies of a family's reference with something changed. */
#ifndef MX_TESTS_MODEL_COPIES_H
#define MX_TESTS_MODEL_COPIES_H

#include "base/str.h"
#include "checkpoint/checkpoint.h"
#include "model_runs.h"

struct copy {
    char folder[64];
    struct mx_str header, data;
};

static inline void copy_start(struct copy *copy)
{
    *copy = (struct copy){.folder = "/tmp/mlxcel-checks-XXXXXX"};
    assert_non_null(mkdtemp(copy->folder));
    mx_str_putc(&copy->header, '{');
}

static inline void copy_tensor(struct copy *copy, const char *name, const char *storage, int rank, const size_t *shape,
                               const void *data, size_t bytes)
{
    char text[160];
    if (copy->header.length > 1) mx_str_putc(&copy->header, ',');
    mx_str_printf(&copy->header, "\"%s\":{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":[%zu,%zu]}", name, storage,
                  mx_shape_text(rank, shape, text), copy->data.length, copy->data.length + bytes);
    mx_str_append(&copy->data, data, bytes);
}

static inline void copy_finish(struct copy *copy, const char *config)
{
    struct mx_error err;
    mx_str_putc(&copy->header, '}');
    struct mx_str file = {0};
    const uint64_t length = copy->header.length;
    mx_str_append(&file, &length, sizeof length);
    mx_str_append(&file, copy->header.data, copy->header.length);
    mx_str_append(&file, copy->data.data, copy->data.length);
    char path[128];
    snprintf(path, sizeof path, "%.63s/model.safetensors", copy->folder);
    assert_ok(mx_file_write(path, file.data, file.length, &err));
    snprintf(path, sizeof path, "%.63s/config.json", copy->folder);
    assert_ok(mx_file_write(path, config, strlen(config), &err));
    mx_str_free(&file);
    mx_str_free(&copy->header);
    mx_str_free(&copy->data);
}

static inline void copy_remove(struct copy *copy)
{
    char path[128];
    snprintf(path, sizeof path, "%.63s/model.safetensors", copy->folder);
    unlink(path);
    snprintf(path, sizeof path, "%.63s/config.json", copy->folder);
    unlink(path);
    rmdir(copy->folder);
}

static inline struct mx_checkpoint *open_checkpoint(const char *directory)
{
    struct mx_error err;
    struct mx_checkpoint *checkpoint;
    assert_ok(mx_checkpoint_open(&checkpoint, directory, NULL, &err));
    return checkpoint;
}

static inline char *config_of(const char *directory)
{
    struct mx_error err;
    char *path = mx_path_join(directory, "config.json"), *text;
    size_t length;
    assert_ok(mx_file_read(path, 1 << 20, &text, &length, &err));
    free(path);
    return text;
}

/* `text` with the first `from` replaced; frees `text`. */
static inline char *replaced(char *text, const char *from, const char *to)
{
    size_t at = 0;
    while (strncmp(text + at, from, strlen(from)) != 0) assert_true(text[at++] != '\0');
    char *out = NULL;
    assert_true(asprintf(&out, "%.*s%s%s", (int)at, text, to, text + at + strlen(from)) > 0);
    free(text);
    return out;
}

static inline void copy_all(struct copy *copy, const char *directory, const char *rename, const char *to)
{
    struct mx_checkpoint *checkpoint = open_checkpoint(directory);
    for (size_t i = 0; i < mx_checkpoint_tensor_count(checkpoint); i++) {
        const struct mx_tensor *tensor = mx_checkpoint_tensor(checkpoint, i);
        const char *name = rename && strcmp(tensor->name, rename) == 0 ? to : tensor->name;
        copy_tensor(copy, name, mx_storage_name(tensor->storage), tensor->rank, tensor->shape, tensor->data,
                    tensor->bytes);
    }
    mx_checkpoint_close(checkpoint);
}

#endif
