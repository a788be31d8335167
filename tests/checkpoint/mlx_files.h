/* Files that MLX wrote: in tests/data/mlx, or where the folder of references is. */
#ifndef MX_TESTS_CHECKPOINT_MLX_FILES_H
#define MX_TESTS_CHECKPOINT_MLX_FILES_H

#include "support.h"

#include "base/file.h"
#include "checkpoint/safetensors.h"

static struct mx_error err;

struct file {
    struct mx_map map;
    struct mx_arena arena;
    struct mx_safetensors header;
};

static inline bool open_file(struct file *file, const char *name)
{
    char path[256];
    *file = (struct file){0};
    snprintf(path, sizeof path, "tests/data/mlx/%s", name);
    if (!mx_is_file(path)) {
        if (!shared_fixtures()) return false;
        snprintf(path, sizeof path, "%s/mlx/%s", shared_fixtures(), name);
    }
    assert_ok(mx_map_open(&file->map, path, &err));
    assert_ok(mx_safetensors_read(&file->header, &file->arena, path, file->map.data, file->map.length, &err));
    return true;
}

static inline void close_file(struct file *file)
{
    mx_map_close(&file->map);
    mx_arena_free(&file->arena);
}

static inline const struct mx_tensor *find(const struct file *file, const char *prefix, const char *part)
{
    char name[128];
    snprintf(name, sizeof name, "%s.%s", prefix, part);
    for (size_t i = 0; i < file->header.count; i++) {
        if (strcmp(file->header.tensors[i].name, name) == 0) return &file->header.tensors[i];
    }
    fail_msg("%s is missing", name);
    return NULL;
}

/* The rows of a stack [E, rows, cols] one below the other. */
static inline size_t row_count(const struct mx_tensor *tensor)
{
    return tensor->elements / tensor->shape[tensor->rank - 1];
}

#endif
