/* Plan files: how a cache stores each layer's keys and values, as JSON that `mlxcel calibrate` writes and that a cache
 * mode may name instead of a mode. docs/evidence.md has the format. */
#ifndef MX_CACHE_PLAN_FILE_H
#define MX_CACHE_PLAN_FILE_H

#include "base/error.h"
#include "base/str.h"
#include "cache/mode.h"

struct mx_kv_plan_file {
    struct mx_kv_layers layers;
    uint32_t recent, sink; /* protections, tokens */
    enum mx_center center;
    double predicted_kl, measured_kl; /* nats; negative: not known */
    uint64_t bytes_per_token;         /* 0: not known */
};

/* Reads a file's text, or fails with one line that `name` begins: no JSON, no plan, another version, a layer of a form
 * that nobody knows. Whether a model can hold it mx_kv_resolve says. */
mx_status mx_kv_plan_file_parse(struct mx_kv_plan_file *file, const char *text, size_t length, const char *name,
                                struct mx_error *err);
mx_status mx_kv_plan_file_read(struct mx_kv_plan_file *file, const char *path, struct mx_error *err);

/* The file's text, appended; `model` is its name, for people. */
mx_status mx_kv_plan_file_print(const struct mx_kv_plan_file *file, const char *model, struct mx_str *out,
                                struct mx_error *err);

/* A cache mode by its name, or by a plan file: a text with a slash, or that ends in ".json". Sets options->mode, and of
 * a plan its layers and, where they are still at their defaults, its protections. */
mx_status mx_kv_options_take(struct mx_kv_options *options, const char *mode_or_file, struct mx_error *err);

#endif
