/* Finding the place of place.h. */
#include "checkpoint/place.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clean.h"
#include "base/file.h"
#include "base/json.h"
#include "base/str.h"

enum {
    SMALL_LIMIT = 1 << 20, /* bytes of refs/main, adapter_config.json */
    POINTER_LIMIT = 1024,  /* bytes of a git-lfs pointer, by its specification */
    TOLD = 6,              /* names told of a folder without a model */
};

/* Files that make a folder a model, the best first. */
static const struct {
    const char *name;
    enum mx_place_kind kind;
} marks[] = {
    {"config.json", MX_PLACE_CONFIG},
    {"params.json", MX_PLACE_CONFIG},
    {"model_index.json", MX_PLACE_PIPELINE},
};

bool mx_is_lfs_pointer(const char *path, unsigned long long *bytes)
{
    static const char version[] = "version https://git-lfs.github.com/spec/";
    char text[POINTER_LIMIT + 1];
    struct stat stat_;
    *bytes = 0;
    if (stat(path, &stat_) != 0 || !S_ISREG(stat_.st_mode) || stat_.st_size > POINTER_LIMIT) return false;
    FILE *file = fopen(path, "re");
    if (!file) return false;
    const size_t length = fread(text, 1, POINTER_LIMIT, file);
    fclose(file);
    text[length] = '\0';
    if (strncmp(text, version, sizeof version - 1) != 0) return false;
    const char *size = strstr(text, "\nsize ");
    if (size) *bytes = strtoull(size + 6, NULL, 10);
    return true;
}

/* The last part of a path, without slashes behind it. */
static void last_part(const char *path, size_t length, const char **start, size_t *part)
{
    while (length > 1 && path[length - 1] == '/') length--;
    size_t first = length;
    while (first > 0 && path[first - 1] != '/') first--;
    *start = path + first;
    *part = length - first;
}

/* "org/name" of a folder models--org--name anywhere on the path; false if there is none. */
static bool name_of_cache(const char *path, char *name, size_t size)
{
    static const char mark[] = "models--";
    const char *found = NULL;
    for (const char *at = strstr(path, mark); at; at = strstr(at + 1, mark))
        if (at == path || at[-1] == '/') found = at;
    if (!found) return false;
    const char *from = found + sizeof mark - 1;
    struct mx_str text = {0};
    for (; *from && *from != '/'; from++) {
        if (from[0] == '-' && from[1] == '-') {
            mx_str_putc(&text, '/');
            from++;
        } else {
            mx_str_putc(&text, *from);
        }
    }
    const bool good = text.length > 0 && !mx_str_failed(&text);
    if (good) mx_clean_copy(name, size, mx_str_text(&text));
    mx_str_free(&text);
    return good;
}

static void set_name(struct mx_place *place, const char *path)
{
    static const char *const plain[] = {"/config.json", "/params.json", "/model_index.json"};
    if (name_of_cache(path, place->name, sizeof place->name)) return;
    size_t length = strlen(path);
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        if (mx_ends_with(path, plain[i])) length = strlen(path) - strlen(plain[i]);
    const char *start;
    size_t part;
    last_part(path, length, &start, &part);
    char *text = mx_strndup(start, part);
    mx_clean_copy(place->name, sizeof place->name, text ? text : "");
    free(text);
    if (strcmp(place->name, ".") != 0 && strcmp(place->name, "..") != 0 && place->name[0]) return;
    char *absolute = realpath(place->folder ? place->folder : ".", NULL);
    if (absolute) {
        last_part(absolute, strlen(absolute), &start, &part);
        mx_clean_copy(place->name, sizeof place->name, start);
    }
    free(absolute);
}

static mx_status finish(struct mx_place *place, enum mx_place_kind kind, const char *folder, const char *file,
                        const char *given, struct mx_error *err)
{
    *place = (struct mx_place){.kind = kind};
    place->file = mx_strndup(file, strlen(file));
    if (folder) place->folder = mx_strndup(folder, strlen(folder));
    if (!place->file || (folder && !place->folder)) {
        mx_place_free(place);
        return mx_fail_memory(err, "a path", strlen(file));
    }
    set_name(place, given);
    return MX_OK;
}

void mx_place_free(struct mx_place *place)
{
    free(place->file);
    free(place->folder);
    *place = (struct mx_place){0};
}

/* A part of a split series ("NAME-00002-of-00005.gguf"): its number, else 0. */
static int part_of_series(const char *name)
{
    const size_t length = strlen(name);
    static const char form[] = "-00000-of-00000.gguf";
    if (length < sizeof form) return 0;
    const char *tail = name + length - (sizeof form - 1);
    for (size_t i = 0; i < sizeof form - 1; i++) {
        const bool digit = tail[i] >= '0' && tail[i] <= '9';
        if (form[i] == '0' ? !digit : tail[i] != form[i]) return 0;
    }
    return atoi(tail + 1);
}

/* What a folder holds, as far as it matters here. */
struct contents {
    size_t entries, ggufs; /* files of one series count once */
    char gguf[256];        /* the first by name */
    char told[TOLD][64];
    size_t told_count;
};

static mx_status look(struct contents *contents, const char *folder, struct mx_error *err)
{
    *contents = (struct contents){0};
    DIR *stream = opendir(folder);
    if (!stream) return mx_fail(err, MX_ERR_IO, "%s: %s", folder, strerror(errno));
    for (const struct dirent *entry; (entry = readdir(stream));) {
        const char *name = entry->d_name;
        if (name[0] == '.') continue;
        contents->entries++;
        if (contents->told_count < TOLD) mx_clean_copy(contents->told[contents->told_count++], 64, name);
        /* A projector of images (mmproj) lies beside the model, as a model of its own. */
        if (!mx_ends_with(name, ".gguf") || part_of_series(name) > 1 || strstr(name, "mmproj")) continue;
        if (strlen(name) >= sizeof contents->gguf) continue;
        contents->ggufs++;
        if (!contents->gguf[0] || strcmp(name, contents->gguf) < 0) memcpy(contents->gguf, name, strlen(name) + 1);
    }
    closedir(stream);
    return MX_OK;
}

/* "models--org--name": the snapshot that refs/main names, else the only one. */
static mx_status find_snapshot(const char *folder, char **snapshot, struct mx_error *err)
{
    *snapshot = NULL;
    char *snapshots = mx_path_join(folder, "snapshots"), *refs = mx_path_join(folder, "refs/main");
    mx_status status = snapshots && refs ? MX_OK : mx_fail_memory(err, "a path", strlen(folder));
    if (status == MX_OK && mx_is_directory(snapshots)) {
        char *text = NULL;
        size_t length = 0;
        if (mx_is_file(refs) && mx_file_read(refs, SMALL_LIMIT, &text, &length, NULL) == MX_OK) {
            text[strcspn(text, "\r\n \t")] = '\0';
            if (text[0] && !strchr(text, '/') && text[0] != '.') *snapshot = mx_path_join(snapshots, text);
            if (*snapshot && !mx_is_directory(*snapshot)) {
                char shown[80];
                status =
                    mx_fail(err, MX_ERR_IO, "%s: refs/main names the snapshot %s, which is not there; fetch it again",
                            folder, mx_clean_copy(shown, sizeof shown, text));
            }
        } else {
            struct contents contents;
            status = look(&contents, snapshots, err);
            if (status == MX_OK && contents.entries == 1) *snapshot = mx_path_join(snapshots, contents.told[0]);
            if (status == MX_OK && contents.entries != 1)
                status = mx_fail(err, MX_ERR_IO, "%s: no refs/main, and %zu snapshots: give one of their folders",
                                 folder, contents.entries);
        }
        free(text);
    }
    free(snapshots);
    free(refs);
    if (status != MX_OK) {
        free(*snapshot);
        *snapshot = NULL;
    }
    return status;
}

/* An adapter (PEFT, or mlx-lm's adapters) is no model: its base is. */
static mx_status check_adapter(const char *folder, struct mx_error *err)
{
    char *path = mx_path_join(folder, "adapter_config.json");
    if (!path) return mx_fail_memory(err, "a path", strlen(folder));
    mx_status status = MX_OK;
    if (mx_is_file(path)) {
        cJSON *root = NULL;
        const struct mx_json_rules rules = {.allow_nan = true};
        char base[128] = "";
        if (mx_json_read_file(&root, path, SMALL_LIMIT, &rules, NULL) == MX_OK) {
            const cJSON *item = mx_json_get(root, "base_model_name_or_path");
            if (!cJSON_IsString(item)) item = mx_json_get(root, "model");
            if (cJSON_IsString(item)) mx_clean_copy(base, sizeof base, item->valuestring);
        }
        cJSON_Delete(root);
        status = base[0] ? mx_fail(err, MX_ERR_IO,
                                   "%s: an adapter, not a model; its base is %s: give that one's folder", folder, base)
                         : mx_fail(err, MX_ERR_IO,
                                   "%s: an adapter, not a model; give the folder of the model that it "
                                   "adapts",
                                   folder);
    }
    free(path);
    return status;
}

static mx_status fail_empty(const char *folder, const struct contents *contents, struct mx_error *err)
{
    static const char looked[] = "no model here: looked for config.json, params.json, *.gguf, model_index.json and "
                                 "snapshots/";
    if (!contents->entries) return mx_fail(err, MX_ERR_IO, "%s: %s; the folder is empty", folder, looked);
    struct mx_str list = {0};
    for (size_t i = 0; i < contents->told_count; i++) mx_str_printf(&list, "%s%s", i ? ", " : "", contents->told[i]);
    if (contents->entries > contents->told_count)
        mx_str_printf(&list, " and %zu more", contents->entries - contents->told_count);
    const mx_status status = mx_fail(err, MX_ERR_IO, "%s: %s; there is %s", folder, looked, mx_str_text(&list));
    mx_str_free(&list);
    return status;
}

static mx_status find_in_folder(struct mx_place *place, const char *folder, const char *given, struct mx_error *err)
{
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        char *file = mx_path_join(folder, marks[i].name);
        if (!file) return mx_fail_memory(err, "a path", strlen(folder));
        const bool there = mx_is_there(file); /* if it is no file, or a link into nowhere, the reader says so */
        const mx_status status = there ? finish(place, marks[i].kind, folder, file, given, err) : MX_OK;
        free(file);
        if (there) return status;
    }
    char *snapshot;
    MX_TRY(find_snapshot(folder, &snapshot, err));
    if (snapshot) {
        const mx_status status = find_in_folder(place, snapshot, given, err);
        free(snapshot);
        return status;
    }
    MX_TRY(check_adapter(folder, err));
    struct contents contents;
    MX_TRY(look(&contents, folder, err));
    if (!contents.ggufs) return fail_empty(folder, &contents, err);
    if (contents.ggufs > 1)
        return mx_fail(err, MX_ERR_IO, "%s: holds %zu models (%s and others): give one of the .gguf files", folder,
                       contents.ggufs, contents.gguf);
    char *file = mx_path_join(folder, contents.gguf);
    if (!file) return mx_fail_memory(err, "a path", strlen(folder));
    const mx_status status = finish(place, MX_PLACE_GGUF, folder, file, given, err);
    free(file);
    return status;
}

/* "https://huggingface.co/org/name..." or "org/name", of the characters that ids have. */
static bool hub_id(const char *path, char id[128])
{
    static const char *const hosts[] = {
        "https://huggingface.co/", "http://huggingface.co/", "huggingface.co/", "https://hf.co/", "hf.co/", "hf://"};
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    bool url = false;
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts && !url; i++) {
        const size_t length = strlen(hosts[i]);
        if (strncmp(path, hosts[i], length) != 0) continue;
        path += length;
        url = true;
    }
    const size_t org = strspn(path, letters);
    if (!org || path[org] != '/' || path[0] == '.') return false;
    const size_t name = strspn(path + org + 1, letters);
    const char end = path[org + 1 + name];
    if (!name || org + name > 110 || (url ? !strchr("/?#", end) : end != '\0')) return false;
    snprintf(id, 128, "%.*s", (int)(org + 1 + name), path);
    return true;
}

static mx_status fail_missing(const char *path, struct mx_error *err)
{
    const int reason = errno;
    char id[128];
    if (hub_id(path, id))
        return mx_fail(err, MX_ERR_IO,
                       "%s: not a folder here, and nothing is downloaded; hf download %s fetches it from the Hugging "
                       "Face Hub (add --include '*.json' for the config alone)",
                       path, id);
    if (strstr(path, "://"))
        return mx_fail(err, MX_ERR_IO, "%s: an address; nothing is downloaded: fetch it, then give its folder", path);
    return mx_fail(err, MX_ERR_IO, "%s: cannot open: %s", path, strerror(reason));
}

mx_status mx_place_find(struct mx_place *place, const char *path, struct mx_error *err)
{
    struct stat stat_;
    unsigned long long bytes;
    *place = (struct mx_place){0};
    if (stat(path, &stat_) != 0) return fail_missing(path, err);
    if (S_ISDIR(stat_.st_mode)) return find_in_folder(place, path, path, err);
    const char *start;
    size_t part;
    last_part(path, strlen(path), &start, &part);
    if (mx_is_lfs_pointer(path, &bytes))
        return mx_fail(err, MX_ERR_FORMAT, "%s: a git-lfs pointer, not the file; git lfs pull fetches it", path);
    if (mx_ends_with(path, ".gguf")) return finish(place, MX_PLACE_GGUF, NULL, path, path, err);
    if (mx_ends_with(path, ".safetensors"))
        return mx_fail(err, MX_ERR_FORMAT, "%s: weights; give the folder that holds them and their config.json", path);
    if (!strcmp(start, "adapter_config.json")) {
        char *folder = mx_strndup(path, (size_t)(start - path));
        const mx_status status = folder ? check_adapter(folder[0] ? folder : ".", err) : MX_OK;
        free(folder);
        MX_TRY(status);
    }
    return finish(place, strcmp(start, "model_index.json") ? MX_PLACE_CONFIG : MX_PLACE_PIPELINE, NULL, path, path,
                  err);
}

mx_status mx_place_folder(char **folder, const char *path, struct mx_error *err)
{
    static const char *const names[] = {"config.json", "tokenizer.json", "tokenizer.model", "tekken.json"};
    *folder = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *file = mx_path_join(path, names[i]);
        if (!file) return mx_fail_memory(err, "a path", strlen(path));
        const bool there = mx_is_file(file) || mx_is_directory(file);
        free(file);
        if (!there) continue;
        *folder = mx_strndup(path, strlen(path));
        return *folder ? MX_OK : mx_fail_memory(err, "a path", strlen(path));
    }
    struct mx_place place;
    MX_TRY(mx_place_find(&place, path, err));
    mx_status status = MX_OK;
    if (place.kind == MX_PLACE_GGUF)
        status = mx_fail(err, MX_ERR_UNSUPPORTED,
                         "%s: inspect and recommend read GGUF; to run the model, give its safetensors folder", path);
    else if (place.kind == MX_PLACE_PIPELINE)
        status =
            mx_fail(err, MX_ERR_UNSUPPORTED, "%s: an image or video model; the engine runs decoders of text", path);
    else if (!place.folder)
        status = mx_fail(err, MX_ERR_ARGUMENT, "%s: is a file; give the folder that contains it", path);
    else {
        *folder = place.folder;
        place.folder = NULL;
    }
    mx_place_free(&place);
    return status;
}
