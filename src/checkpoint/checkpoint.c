/* Directories of shards: finding the files, mapping them, looking tensors up by name.
 * Next: weights.c makes matrices of the tensors, survey.c sums them up. */
#include "checkpoint/checkpoint.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/json.h"
#include "base/str.h"
#include "checkpoint/checkpoint_impl.h"
#include "checkpoint/place.h"

enum {
    SHARD_LIMIT = 100000,
    CONFIG_LIMIT = 16 << 20, /* bytes of a config.json */
    INDEX_LIMIT = 256 << 20, /* bytes of an index */
    TENSOR_LIMIT = 1 << 28,
};

static const char suffix[] = ".safetensors";

/* What MLX loads: model*.safetensors. Where there is none, any name will do: consolidated.safetensors of Mistral's own
 * layout, or whatever the index calls them. An adapter's weights are never the model's. */
enum naming { USUAL, ANY_NAME, NAMINGS };

static bool is_shard_name(const char *name, enum naming naming)
{
    if (!mx_ends_with(name, suffix) || strlen(name) < sizeof suffix) return false;
    if (naming == USUAL) return strncmp(name, "model", 5) == 0;
    return name[0] != '.' && strncmp(name, "adapter", 7) != 0;
}

static char *arena_path(struct mx_arena *arena, const char *directory, const char *name)
{
    char *path = mx_path_join(directory, name);
    char *copy = path ? mx_arena_strndup(arena, path, strlen(path)) : NULL;
    free(path);
    return copy;
}

bool mx_checkpoint_present(const char *directory)
{
    DIR *stream = opendir(directory);
    if (!stream) return false;
    bool found = false;
    for (const struct dirent *entry; !found && (entry = readdir(stream));)
        found = is_shard_name(entry->d_name, ANY_NAME);
    closedir(stream);
    return found;
}

static int compare_shards(const void *a, const void *b)
{
    const struct mx_shard *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static const struct mx_shard *find_shard(const struct mx_checkpoint *checkpoint, const char *name)
{
    const struct mx_shard key = {.name = name};
    return bsearch(&key, checkpoint->shards, checkpoint->shard_count, sizeof key, compare_shards);
}

/* Fills shards[] with names and paths. */
static mx_status add_shards(struct mx_checkpoint *checkpoint, DIR *stream, enum naming naming, struct mx_error *err)
{
    const char *directory = checkpoint->directory;
    size_t capacity = 0;
    for (const struct dirent *entry; (entry = readdir(stream));) {
        if (!is_shard_name(entry->d_name, naming)) continue;
        if (checkpoint->shard_count == SHARD_LIMIT) {
            return mx_fail(err, MX_ERR_LIMIT, "%s: more than %d shards", directory, SHARD_LIMIT);
        }
        if (checkpoint->shard_count == capacity) {
            const size_t wider = capacity ? 2 * capacity : 8;
            struct mx_shard *shards = mx_arena_array(&checkpoint->arena, wider, sizeof *shards);
            if (!shards) return mx_fail_memory(err, directory, wider * sizeof *shards);
            if (capacity) memcpy(shards, checkpoint->shards, capacity * sizeof *shards);
            checkpoint->shards = shards;
            capacity = wider;
        }
        struct mx_shard *shard = &checkpoint->shards[checkpoint->shard_count];
        shard->name = mx_arena_strndup(&checkpoint->arena, entry->d_name, strlen(entry->d_name));
        shard->path = arena_path(&checkpoint->arena, directory, entry->d_name);
        if (!shard->name || !shard->path) return mx_fail_memory(err, directory, strlen(entry->d_name));
        checkpoint->shard_count++;
    }
    return MX_OK;
}

static mx_status list_shards(struct mx_checkpoint *checkpoint, DIR *stream, struct mx_error *err)
{
    for (int naming = USUAL; naming < NAMINGS && !checkpoint->shard_count; naming++) {
        rewinddir(stream);
        MX_TRY(add_shards(checkpoint, stream, (enum naming)naming, err));
    }
    if (!checkpoint->shard_count) {
        return mx_fail(err, MX_ERR_IO, "%s: no weights here (looked for *.safetensors)", checkpoint->directory);
    }
    qsort(checkpoint->shards, checkpoint->shard_count, sizeof *checkpoint->shards, compare_shards);
    return MX_OK;
}

static void shard_name(int number, int total, char name[64])
{
    snprintf(name, 64, "model-%05d-of-%05d%s", number, total, suffix);
}

/* Where shards count themselves (model-00001-of-00003), each one's neighbours must be there too. *complete: all files
 * belong to one such count. */
static mx_status check_neighbours(const struct mx_checkpoint *checkpoint, bool *complete, struct mx_error *err)
{
    *complete = true;
    for (size_t i = 0; i < checkpoint->shard_count; i++) {
        int number, total;
        char wanted[64] = "";
        const char *name = checkpoint->shards[i].name;
        if (sscanf(name, "model-%5d-of-%5d", &number, &total) == 2) shard_name(number, total, wanted);
        if (strcmp(name, wanted) != 0) {
            *complete = false;
            continue;
        }
        *complete &= (size_t)total == checkpoint->shard_count;
        for (int other = number - 1; other <= number + 1; other += 2) {
            shard_name(other, total, wanted);
            if (other < 1 || other > total || find_shard(checkpoint, wanted)) continue;
            return mx_fail(err, MX_ERR_IO, "%s: the shard %s is missing; fetch it", checkpoint->directory, wanted);
        }
    }
    return MX_OK;
}

static size_t slot_of(const struct mx_checkpoint *checkpoint, const char *name)
{
    size_t slot = XXH3_64bits(name, strlen(name)) & checkpoint->slot_mask;
    while (checkpoint->slots[slot] && strcmp(checkpoint->tensors[checkpoint->slots[slot] - 1]->name, name) != 0) {
        slot = (slot + 1) & checkpoint->slot_mask;
    }
    return slot;
}

static mx_status index_tensors(struct mx_checkpoint *checkpoint, struct mx_error *err)
{
    size_t count = 0;
    for (size_t i = 0; i < checkpoint->shard_count; i++) count += checkpoint->shards[i].header.count;
    if (count > TENSOR_LIMIT) {
        return mx_fail(err, MX_ERR_LIMIT, "%s: more than %d tensors", checkpoint->directory, TENSOR_LIMIT);
    }
    size_t slots = 16;
    while (slots < 2 * count) slots *= 2;
    checkpoint->tensors = mx_arena_array(&checkpoint->arena, count, sizeof *checkpoint->tensors);
    checkpoint->slots = mx_arena_array(&checkpoint->arena, slots, sizeof *checkpoint->slots);
    checkpoint->slot_mask = slots - 1;
    if (!checkpoint->tensors || !checkpoint->slots) return mx_fail_memory(err, "the index of tensors", slots * 12);
    for (size_t i = 0; i < checkpoint->shard_count; i++) {
        const struct mx_safetensors *header = &checkpoint->shards[i].header;
        for (size_t j = 0; j < header->count; j++) {
            const struct mx_tensor *tensor = &header->tensors[j];
            const size_t slot = slot_of(checkpoint, tensor->name);
            if (checkpoint->slots[slot]) {
                return mx_fail(err, MX_ERR_FORMAT,
                               "%s: tensor \"%.100s\" is also in %s: the folder mixes two models; remove one",
                               tensor->file, tensor->name, checkpoint->tensors[checkpoint->slots[slot] - 1]->file);
            }
            checkpoint->tensors[checkpoint->count++] = tensor;
            checkpoint->slots[slot] = (uint32_t)checkpoint->count;
        }
    }
    return MX_OK;
}

/* The index is not needed to find anything, and a stale one hides nothing. It is asked one question: does it place a
 * tensor that was not found into a file that is not there? */
static mx_status check_index(const struct mx_checkpoint *checkpoint, struct mx_error *err)
{
    char *path = mx_path_join(checkpoint->directory, "model.safetensors.index.json");
    if (!path) return mx_fail_memory(err, checkpoint->directory, 0);
    cJSON *root = NULL;
    const struct mx_json_rules rules = {.allow_nan = true, .allow_duplicates = true};
    mx_status status = MX_OK;
    if (mx_is_file(path) && mx_json_read_file(&root, path, INDEX_LIMIT, &rules, NULL) == MX_OK) {
        const cJSON *place;
        cJSON_ArrayForEach (place, mx_json_get(root, "weight_map")) {
            if (!place->string || !cJSON_IsString(place) || mx_checkpoint_find(checkpoint, place->string)) continue;
            if (find_shard(checkpoint, place->valuestring)) continue;
            status = mx_fail(err, MX_ERR_IO, "%s: tensor \"%.100s\" is in %.100s, which is not there; fetch it", path,
                             place->string, place->valuestring);
            break;
        }
    }
    cJSON_Delete(root);
    free(path);
    return status;
}

static mx_status read_quantization(struct mx_checkpoint *checkpoint, const cJSON *config, struct mx_error *err)
{
    char *path = mx_path_join(checkpoint->directory, "config.json");
    if (!path) return mx_fail_memory(err, checkpoint->directory, 0);
    cJSON *own = NULL;
    mx_status status = MX_OK;
    if (!config && mx_is_file(path)) {
        const struct mx_json_rules rules = {.allow_nan = true};
        status = mx_json_read_file(&own, path, CONFIG_LIMIT, &rules, err);
        config = own;
    }
    if (status == MX_OK && config) {
        status = mx_quantization_read(&checkpoint->quantization, &checkpoint->arena, config, path, err);
    }
    cJSON_Delete(own);
    free(path);
    return status;
}

static mx_status load(struct mx_checkpoint *checkpoint, const char *directory, const cJSON *config,
                      struct mx_error *err)
{
    checkpoint->directory = mx_arena_strndup(&checkpoint->arena, directory, strlen(directory));
    if (!checkpoint->directory) return mx_fail_memory(err, directory, strlen(directory));
    DIR *stream = opendir(directory);
    if (!stream) {
        return mx_fail(err, MX_ERR_IO, "%s: %s", directory,
                       errno == ENOTDIR ? "is a file; give the folder that holds it" : strerror(errno));
    }
    const mx_status listed = list_shards(checkpoint, stream, err);
    closedir(stream);
    MX_TRY(listed);
    bool complete;
    MX_TRY(check_neighbours(checkpoint, &complete, err));
    MX_TRY(read_quantization(checkpoint, config, err));
    for (size_t i = 0; i < checkpoint->shard_count; i++) {
        struct mx_shard *shard = &checkpoint->shards[i];
        unsigned long long bytes;
        if (mx_is_lfs_pointer(shard->path, &bytes)) {
            return mx_fail(err, MX_ERR_IO, "%s: a git-lfs pointer, not the weights; git lfs pull fetches them",
                           shard->path);
        }
        MX_TRY(mx_map_open(&shard->map, shard->path, err));
        MX_TRY(mx_safetensors_read(&shard->header, &checkpoint->arena, shard->path, shard->map.data, shard->map.length,
                                   err));
    }
    MX_TRY(index_tensors(checkpoint, err));
    return complete ? MX_OK : check_index(checkpoint, err); /* an index of many shards takes as long as their headers */
}

mx_status mx_checkpoint_load(struct mx_checkpoint **out, const char *directory, const cJSON *config,
                             struct mx_error *err)
{
    *out = NULL;
    struct mx_checkpoint *checkpoint = calloc(1, sizeof *checkpoint);
    if (!checkpoint) return mx_fail_memory(err, directory, sizeof *checkpoint);
    const mx_status status = load(checkpoint, directory, config, err);
    if (status != MX_OK) {
        mx_checkpoint_close(checkpoint);
        return status;
    }
    *out = checkpoint;
    return MX_OK;
}

mx_status mx_checkpoint_open(struct mx_checkpoint **out, const char *directory, const cJSON *config,
                             struct mx_error *err)
{
    MX_TRY(mx_checkpoint_load(out, directory, config, err));
    const struct mx_quantization *quantization = &(*out)->quantization;
    const struct mx_tensor *strange = NULL;
    for (size_t i = 0; i < (*out)->count && !strange; i++)
        if ((*out)->tensors[i]->storage == MX_STORAGE_OTHER) strange = (*out)->tensors[i];
    mx_status status = MX_OK;
    if (quantization->kind == MX_QUANT_FOREIGN && !quantization->scheme.runs) {
        status = mx_fail(err, MX_ERR_UNSUPPORTED,
                         "%s: its weights are quantized by \"%.40s\", which cannot be run; take the original "
                         "model, or an MLX conversion of it",
                         directory, quantization->method);
    } else if (strange) {
        status = mx_fail(err, MX_ERR_UNSUPPORTED, "%s: tensor \"%.100s\": unknown dtype \"%s\"", strange->file,
                         strange->name, strange->dtype);
    }
    if (status == MX_OK) return MX_OK;
    mx_checkpoint_close(*out);
    *out = NULL;
    return status;
}

void mx_checkpoint_close(struct mx_checkpoint *checkpoint)
{
    if (!checkpoint) return;
    for (size_t i = 0; i < checkpoint->shard_count; i++) mx_map_close(&checkpoint->shards[i].map);
    mx_arena_free(&checkpoint->arena);
    free(checkpoint);
}

size_t mx_checkpoint_tensor_count(const struct mx_checkpoint *checkpoint)
{
    return checkpoint->count;
}

const struct mx_tensor *mx_checkpoint_tensor(const struct mx_checkpoint *checkpoint, size_t index)
{
    return checkpoint->tensors[index];
}

size_t mx_checkpoint_index(const struct mx_checkpoint *checkpoint, const char *name)
{
    const uint32_t entry = checkpoint->slots[slot_of(checkpoint, name)];
    return entry ? entry - 1 : checkpoint->count;
}

const struct mx_tensor *mx_checkpoint_find(const struct mx_checkpoint *checkpoint, const char *name)
{
    const size_t index = mx_checkpoint_index(checkpoint, name);
    return index < checkpoint->count ? checkpoint->tensors[index] : NULL;
}

const struct mx_quantization *mx_checkpoint_quantization(const struct mx_checkpoint *checkpoint)
{
    return &checkpoint->quantization;
}

size_t mx_checkpoint_mapped_bytes(const struct mx_checkpoint *checkpoint)
{
    size_t bytes = 0;
    for (size_t i = 0; i < checkpoint->shard_count; i++) bytes += checkpoint->shards[i].map.length;
    return bytes;
}
