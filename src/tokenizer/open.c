/* Finding a tokenizer's file and what kind it is, and opening it with what stands beside it. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/str.h"
#include "tokenizer/around.h"
#include "tokenizer/internal.h"
#include "tokenizer/tokenizer.h"

enum { MAX_CONFIG = 64 << 20 }; /* bytes of tokenizer_config.json and added_tokens.json */

const char *mx_tokenizer_file(const char *directory)
{
    /* Not sentencepiece.bpe.model: the tokenizers that call it so number its pieces anew. */
    static const char *const names[] = {"tokenizer.json", "tokenizer.model", "spiece.model", "tekken.json"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *path = mx_path_join(directory, names[i]);
        const bool there = path && mx_is_file(path);
        free(path);
        if (there) return names[i];
    }
    return NULL;
}

/* A JSON file of a folder; *root is NULL if it is not there. */
static mx_status read_beside(const char *directory, const char *name, cJSON **root, struct mx_error *err)
{
    static const struct mx_json_rules rules = {.allow_nan = true, .allow_duplicates = true};
    *root = NULL;
    char *path = mx_path_join(directory, name);
    if (!path) return mx_fail_memory(err, name, 0);
    const mx_status status = mx_is_file(path) ? mx_json_read_file(root, path, MAX_CONFIG, &rules, err) : MX_OK;
    free(path);
    return status;
}

/* By its first character, or else its name. */
static bool is_json(const char *path, const char *data, size_t length)
{
    size_t at = 0;
    while (at < length && (data[at] == ' ' || data[at] == '\t' || data[at] == '\r' || data[at] == '\n')) at++;
    return (at < length && data[at] == '{') || mx_ends_with(path, ".json");
}

static mx_status load(struct mx_tokenizer *tokenizer, const char *path, const struct mx_beside *beside,
                      struct mx_error *err)
{
    struct mx_map map;
    MX_TRY(mx_map_open(&map, path, err));
    const char *data = map.data ? (const char *)map.data : "";
    mx_status status;
    if (!is_json(path, data, map.length)) {
        status = mx_tokenizer_load_sentencepiece(tokenizer, data, map.length, path, beside, err);
    } else if (mx_is_tekken(data, map.length)) {
        status = mx_tokenizer_load_tekken(tokenizer, data, map.length, path, beside, err);
    } else {
        status = mx_tokenizer_load(tokenizer, data, map.length, path, err);
        if (status == MX_OK) status = mx_around_apply(tokenizer, beside->config, NULL, "tokenizer_config.json", err);
    }
    mx_map_close(&map);
    return status;
}

static mx_status open_file(struct mx_tokenizer *tokenizer, const char *path, const char *directory,
                           struct mx_error *err)
{
    struct mx_beside beside = {0};
    mx_status status = read_beside(directory, "tokenizer_config.json", &beside.config, err);
    if (status == MX_OK) status = read_beside(directory, "added_tokens.json", &beside.added, err);
    if (status == MX_OK) status = load(tokenizer, path, &beside, err);
    cJSON_Delete(beside.config);
    cJSON_Delete(beside.added);
    return status;
}

/* The folder that a file lies in; the caller frees. */
static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash) return mx_strndup(".", 1);
    return slash == path ? mx_strndup("/", 1) : mx_strndup(path, (size_t)(slash - path));
}

mx_status mx_tokenizer_open(struct mx_tokenizer **tokenizer, const char *path, struct mx_error *err)
{
    *tokenizer = NULL;
    const bool is_folder = mx_is_directory(path);
    const char *name = is_folder ? mx_tokenizer_file(path) : NULL;
    if (is_folder && !name)
        return mx_fail(err, MX_ERR_IO, "%s: neither tokenizer.json nor tokenizer.model nor tekken.json is there", path);
    char *file = is_folder ? mx_path_join(path, name) : mx_strndup(path, strlen(path));
    char *folder = is_folder ? mx_strndup(path, strlen(path)) : folder_of(path);
    struct mx_tokenizer *made = calloc(1, sizeof *made);
    const mx_status status =
        file && folder && made ? open_file(made, file, folder, err) : mx_fail_memory(err, "a tokenizer", sizeof *made);
    free(file);
    free(folder);
    if (status == MX_OK)
        *tokenizer = made;
    else
        mx_tokenizer_close(made);
    return status;
}
