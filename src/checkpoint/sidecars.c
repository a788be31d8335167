/* Files beside the weights. */
#include "checkpoint/sidecars.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/str.h"

enum { CONFIG_LIMIT = 16 << 20 };

/* What is copied, by the end or the start of its name. Weights in any form are not. */
static const char *const copied_endings[] = {".json", ".jinja", ".model", ".txt", ".tiktoken", ".py"};
static const char *const copied_starts[] = {"LICENSE", "LICENCE", "NOTICE", "USE_POLICY"};
static const char *const left_endings[] = {".index.json"};

static bool is_copied(const char *name)
{
    if (name[0] == '.' || strcmp(name, "config.json") == 0) return false;
    if (mx_ends_with_any(name, left_endings, sizeof left_endings / sizeof *left_endings)) return false;
    for (size_t i = 0; i < sizeof copied_starts / sizeof *copied_starts; i++) {
        if (strncmp(name, copied_starts[i], strlen(copied_starts[i])) == 0) return true;
    }
    return mx_ends_with_any(name, copied_endings, sizeof copied_endings / sizeof *copied_endings);
}

static mx_status copy_file(struct mx_checkpoint_writer *writer, const char *source, const char *name,
                           struct mx_error *err)
{
    struct mx_map map = {0};
    char *path = mx_path_join(source, name);
    if (!path) return mx_fail_memory(err, name, strlen(name));
    mx_status status = MX_OK;
    if (mx_is_file(path)) {
        status = mx_map_open(&map, path, err);
        if (status == MX_OK) status = mx_checkpoint_writer_file(writer, name, map.data, map.length, err);
        mx_map_close(&map);
    }
    free(path);
    return status;
}

mx_status mx_copy_sidecars(struct mx_checkpoint_writer *writer, const char *source, struct mx_error *err)
{
    DIR *stream = opendir(source);
    if (!stream) return mx_fail(err, MX_ERR_IO, "%s: %s", source, strerror(errno));
    mx_status status = MX_OK;
    for (const struct dirent *entry; status == MX_OK && (entry = readdir(stream));) {
        if (is_copied(entry->d_name)) status = copy_file(writer, source, entry->d_name, err);
    }
    closedir(stream);
    return status;
}

/* The place of the value of member `key` of the outermost object in valid JSON text; length if there is none. Keys
 * spelled with escapes are not recognized. */
static size_t find_value(const char *text, size_t length, const char *key)
{
    const size_t key_length = strlen(key);
    int depth = 0;
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '{' || text[i] == '[') depth++;
        if (text[i] == '}' || text[i] == ']') depth--;
        if (text[i] != '"') continue;
        const size_t start = ++i;
        while (text[i] != '"') i += text[i] == '\\' ? 2 : 1;
        size_t after = i + 1 + strspn(text + i + 1, " \t\r\n");
        if (depth != 1 || text[after] != ':' || i - start != key_length || memcmp(text + start, key, key_length) != 0) {
            continue;
        }
        after++;
        return after + strspn(text + after, " \t\r\n");
    }
    return length;
}

mx_status mx_config_with_quantization(struct mx_str *out, const char *config, size_t length, const char *name,
                                      const char *object, struct mx_error *err)
{
    static const char *const keys[] = {"quantization", "quantization_config"};
    cJSON *root;
    const struct mx_json_rules rules = {.allow_nan = true};
    MX_TRY(mx_json_parse(&root, config, length, name, &rules, err));
    const bool good = cJSON_IsObject(root) && !mx_json_get_set(root, keys[0]) && !mx_json_get_set(root, keys[1]);
    const bool empty = !root->child;
    cJSON_Delete(root);
    if (!good) return mx_fail(err, MX_ERR_FORMAT, "%s: must be an object without quantization", name);
    size_t nulls[2];
    for (int i = 0; i < 2; i++) nulls[i] = find_value(config, length, keys[i]);
    size_t end = length;
    while (config[end - 1] != '}') end--;
    end--; /* at the closing brace; before it, the last character of the last member */
    while (end && strchr(" \t\r\n", config[end - 1])) end--;
    for (size_t i = 0; i < end; i++) {
        if (i == nulls[0] || i == nulls[1]) {
            mx_str_puts(out, object);
            i += strlen("null") - 1;
        } else {
            mx_str_putc(out, config[i]);
        }
    }
    const char *comma = empty ? "" : ",";
    for (int i = 0; i < 2; i++) {
        if (nulls[i] < length) continue;
        mx_str_printf(out, "%s\n  \"%s\": %s", comma, keys[i], object);
        comma = ",";
    }
    mx_str_puts(out, "\n}\n");
    return mx_str_failed(out) ? mx_fail_memory(err, name, length) : MX_OK;
}

/* {"group_size": 64, "bits": 4, "mode": "affine", "model.layers.0.mlp.gate": {"group_size": 64, "bits": 8}} */
static void quantization_text(const struct mx_quant *quant, const struct mx_plan *plan, struct mx_str *text)
{
    mx_str_printf(text, "{\n    \"group_size\": %d,\n    \"bits\": %d,\n    \"mode\": \"%s\"", quant->group,
                  quant->bits, mx_quant_mode_name(quant->mode));
    for (size_t i = 0; i < plan->job_count; i++) {
        const struct mx_plan_job *job = &plan->jobs[i];
        if (!job->override) continue;
        mx_str_puts(text, ",\n    ");
        mx_json_quote(text, job->module);
        mx_str_printf(text, ": {\"group_size\": %d, \"bits\": %d}", job->quant.group, job->quant.bits);
    }
    mx_str_puts(text, "\n  }");
}

mx_status mx_write_quantized_config(struct mx_checkpoint_writer *writer, const char *source,
                                    const struct mx_quant *quant, const struct mx_plan *plan, struct mx_error *err)
{
    struct mx_str text = {0}, object = {0};
    char *config = NULL, *path = mx_path_join(source, "config.json");
    quantization_text(quant, plan, &object);
    size_t length = 0;
    mx_status status = path && !mx_str_failed(&object) ? MX_OK : mx_fail_memory(err, "config.json", 0);
    if (status == MX_OK) status = mx_file_read(path, CONFIG_LIMIT, &config, &length, err);
    if (status == MX_OK) status = mx_config_with_quantization(&text, config, length, path, mx_str_text(&object), err);
    if (status == MX_OK) status = mx_checkpoint_writer_file(writer, "config.json", text.data, text.length, err);
    free(config);
    free(path);
    mx_str_free(&object);
    mx_str_free(&text);
    return status;
}
