#include "cache/plan_file.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"

enum {
    SCHEMA = 1,
    FILE_LIMIT = 1 << 20,     /* bytes */
    MOST_PROTECTED = 1 << 20, /* tokens */
};

static mx_status read_repr(const cJSON *layer, const char *key, enum mx_repr *repr, struct mx_error *err)
{
    const cJSON *item = mx_json_get(layer, key);
    for (int i = 0; cJSON_IsString(item) && i < MX_REPR_COUNT; i++) {
        if (strcmp(item->valuestring, mx_repr_name((enum mx_repr)i)) != 0) continue;
        *repr = (enum mx_repr)i;
        return MX_OK;
    }
    char found[64];
    return mx_fail(err, MX_ERR_FORMAT, "\"%s\" must be fp16, int8, turbo4 or turbo3, not %s", key,
                   mx_json_describe(item, found, sizeof found));
}

static mx_status read_layers(const cJSON *list, struct mx_kv_layers *layers, struct mx_error *err)
{
    const cJSON *item;
    if (!cJSON_IsArray(list)) return mx_fail(err, MX_ERR_FORMAT, "\"layers\" must be a list");
    cJSON_ArrayForEach (item, list) {
        enum mx_repr k = MX_REPR_FP16, v = MX_REPR_FP16;
        if (layers->count == MX_ARCH_MAX_LAYERS)
            return mx_fail(err, MX_ERR_LIMIT, "more than %d layers", MX_ARCH_MAX_LAYERS);
        mx_status status = read_repr(item, "k", &k, err);
        if (status == MX_OK) status = read_repr(item, "v", &v, err);
        if (status != MX_OK) return mx_fail_prefix(err, "layer %u", layers->count);
        mx_kv_layers_set(layers, layers->count++, (struct mx_kv_pair){k, v});
    }
    return layers->count ? MX_OK : mx_fail(err, MX_ERR_FORMAT, "\"layers\" is empty");
}

static mx_status read_tokens(const cJSON *object, const char *key, uint32_t *tokens, struct mx_error *err)
{
    int64_t value;
    if (!mx_json_whole(mx_json_get(object, key), 0, MOST_PROTECTED, &value))
        return mx_fail(err, MX_ERR_FORMAT, "\"%s\" must be a number of tokens", key);
    *tokens = (uint32_t)value;
    return MX_OK;
}

static mx_status read_protections(const cJSON *object, struct mx_kv_plan_file *file, struct mx_error *err)
{
    MX_TRY(read_tokens(object, "recent", &file->recent, err));
    MX_TRY(read_tokens(object, "sink", &file->sink, err));
    const cJSON *center = mx_json_get(object, "center");
    for (int i = MX_CENTER_OFF; cJSON_IsString(center) && i <= MX_CENTER_AUTO; i++) {
        if (strcmp(center->valuestring, mx_center_name((enum mx_center)i)) != 0) continue;
        file->center = (enum mx_center)i;
        return MX_OK;
    }
    return mx_fail(err, MX_ERR_FORMAT, "\"center\" must be off, on or auto");
}

/* A figure that may be absent. */
static mx_status read_figure(const cJSON *root, const char *key, double *value, struct mx_error *err)
{
    const cJSON *item = mx_json_get_set(root, key);
    *value = -1;
    if (!item) return MX_OK;
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0 && item->valuedouble <= 1e15))
        return mx_fail(err, MX_ERR_FORMAT, "\"%s\" must be a number that is not negative", key);
    *value = item->valuedouble;
    return MX_OK;
}

static mx_status read_plan(const cJSON *root, struct mx_kv_plan_file *file, struct mx_error *err)
{
    int64_t schema;
    double bytes;
    if (!mx_json_whole(mx_json_get(root, "schema"), 1, 1 << 20, &schema) || !mx_json_get(root, "layers"))
        return mx_fail(err, MX_ERR_FORMAT, "not a cache plan: it needs \"schema\" and \"layers\"");
    if (schema != SCHEMA)
        return mx_fail(err, MX_ERR_UNSUPPORTED, "a cache plan of version %d; this program reads %d", (int)schema,
                       SCHEMA);
    const cJSON *model = mx_json_get(root, "fingerprint");
    if (!cJSON_IsString(model) || strlen(model->valuestring) != 16 ||
        strspn(model->valuestring, "0123456789abcdef") != 16)
        return mx_fail(err, MX_ERR_FORMAT, "\"fingerprint\" must be 16 hexadecimal digits, the model's");
    file->layers.model = strtoull(model->valuestring, NULL, 16);
    MX_TRY(read_layers(mx_json_get(root, "layers"), &file->layers, err));
    MX_TRY(read_protections(mx_json_get(root, "protections"), file, err));
    MX_TRY(read_figure(root, "predicted_kl", &file->predicted_kl, err));
    MX_TRY(read_figure(root, "measured_kl", &file->measured_kl, err));
    MX_TRY(read_figure(root, "bytes_per_token", &bytes, err));
    file->bytes_per_token = bytes > 0 ? (uint64_t)bytes : 0;
    return MX_OK;
}

mx_status mx_kv_plan_file_parse(struct mx_kv_plan_file *file, const char *text, size_t length, const char *name,
                                struct mx_error *err)
{
    *file = (struct mx_kv_plan_file){0};
    cJSON *root = NULL;
    MX_TRY(mx_json_parse(&root, text, length, name, NULL, err));
    const mx_status status = read_plan(root, file, err);
    cJSON_Delete(root);
    return status == MX_OK ? MX_OK : mx_fail_prefix(err, "%s", name);
}

mx_status mx_kv_plan_file_read(struct mx_kv_plan_file *file, const char *path, struct mx_error *err)
{
    char *text;
    size_t length;
    MX_TRY(mx_file_read(path, FILE_LIMIT, &text, &length, err));
    const mx_status status = mx_kv_plan_file_parse(file, text, length, path, err);
    free(text);
    return status;
}

static void print_figure(struct mx_str *out, const char *key, double value)
{
    if (value >= 0) mx_str_printf(out, "  \"%s\": %.9g,\n", key, value);
}

mx_status mx_kv_plan_file_print(const struct mx_kv_plan_file *file, const char *model, struct mx_str *out,
                                struct mx_error *err)
{
    cJSON *name = cJSON_CreateString(model);
    char *quoted = name ? cJSON_PrintUnformatted(name) : NULL, plan[MX_KV_PLAN_NAME];
    cJSON_Delete(name);
    if (!quoted) return mx_fail_memory(err, "a plan", strlen(model));
    mx_str_printf(out, "{\n  \"schema\": %d,\n  \"fingerprint\": \"%016" PRIx64 "\",\n  \"model\": %s,\n", SCHEMA,
                  file->layers.model, quoted);
    cJSON_free(quoted);
    mx_str_printf(out, "  \"plan\": \"%s\",\n", mx_kv_layers_name(&file->layers, plan));
    mx_str_printf(out, "  \"protections\": {\"recent\": %u, \"sink\": %u, \"center\": \"%s\"},\n", file->recent,
                  file->sink, mx_center_name(file->center));
    print_figure(out, "predicted_kl", file->predicted_kl);
    print_figure(out, "measured_kl", file->measured_kl);
    if (file->bytes_per_token) mx_str_printf(out, "  \"bytes_per_token\": %" PRIu64 ",\n", file->bytes_per_token);
    mx_str_puts(out, "  \"layers\": [\n");
    for (uint32_t i = 0; i < file->layers.count; i++) {
        const struct mx_kv_pair pair = mx_kv_layers_pair(&file->layers, i);
        mx_str_printf(out, "    {\"k\": \"%s\", \"v\": \"%s\"}%s\n", mx_repr_name(pair.k), mx_repr_name(pair.v),
                      i + 1 < file->layers.count ? "," : "");
    }
    mx_str_puts(out, "  ]\n}\n");
    return mx_str_failed(out) ? mx_fail_memory(err, "a plan", out->length) : MX_OK;
}

mx_status mx_kv_options_take(struct mx_kv_options *options, const char *mode_or_file, struct mx_error *err)
{
    const size_t length = strlen(mode_or_file);
    const bool file = strchr(mode_or_file, '/') || (length > 5 && !strcmp(mode_or_file + length - 5, ".json"));
    struct mx_kv_plan_file plan;
    if (!file) return mx_mode_parse(mode_or_file, &options->mode, err);
    MX_TRY(mx_kv_plan_file_read(&plan, mode_or_file, err));
    options->mode = MX_MODE_PLAN;
    options->layers = plan.layers;
    if (options->recent < 0) options->recent = (int32_t)plan.recent;
    if (options->sink < 0) options->sink = (int32_t)plan.sink;
    if (options->center == MX_CENTER_AUTO) options->center = plan.center;
    return MX_OK;
}
