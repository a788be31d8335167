/* The hash of the weights is kept beside what tells a file unchanged: device, inode, size, and both of its times. The
 * time of change (ctime) can't be set by hand, so a file that was written to is read again. */
#include "model/identity.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "base/file.h"
#include "base/json.h"
#include "base/user_cache.h"
#include "model/block.h"

enum {
    CONFIG_LIMIT = 64 << 20,
    CHUNK = 4 << 20, /* bytes that are hashed at a time */
};

/* --- the description --- */

/* Members that no computation depends on: names, versions, tokens that end a text, what training did. */
static const char *const idle[] = {
    "_name_or_path",   "architectures",     "attention_dropout",
    "auto_map",        "bos_token_id",      "dtype",
    "embd_pdrop",      "eos_token_id",      "finetuning_task",
    "hidden_dropout",  "id2label",          "initializer_range",
    "label2id",        "output_attentions", "output_hidden_states",
    "pad_token_id",    "resid_pdrop",       "return_dict",
    "tokenizer_class", "torch_dtype",       "transformers_version",
    "use_cache",
};

static bool is_idle(const char *key)
{
    for (size_t i = 0; i < sizeof idle / sizeof *idle; i++) {
        if (strcmp(key, idle[i]) == 0) return true;
    }
    return false;
}

static uint64_t hash_text(const char *text, uint64_t seed)
{
    return XXH3_64bits_withSeed(text, strlen(text), seed);
}

enum { TEXT = 1, NUMBER, TRUTH, LIST, OBJECT };

uint64_t mx_config_hash(const cJSON *config)
{
    const cJSON *item;
    uint64_t hash = 0;
    if (cJSON_IsString(config)) return hash_text(config->valuestring, TEXT);
    if (cJSON_IsBool(config)) return XXH3_64bits_withSeed(&(char){(char)cJSON_IsTrue(config)}, 1, TRUTH);
    if (cJSON_IsNumber(config)) {
        const double value = config->valuedouble + 0.0; /* -0 is 0 */
        return XXH3_64bits_withSeed(&value, sizeof value, NUMBER);
    }
    if (cJSON_IsArray(config)) {
        hash = LIST;
        cJSON_ArrayForEach (item, config) {
            const uint64_t inner = mx_config_hash(item);
            hash = XXH3_64bits_withSeed(&inner, sizeof inner, hash);
        }
        return hash;
    }
    cJSON_ArrayForEach (item, config) { /* a sum, so that the order does not matter */
        if (!cJSON_IsNull(item) && item->string && !is_idle(item->string))
            hash += hash_text(item->string, mx_config_hash(item));
    }
    return XXH3_64bits_withSeed(&hash, sizeof hash, OBJECT);
}

mx_status mx_config_hash_file(const char *directory, uint64_t *hash, struct mx_error *err)
{
    static const struct mx_json_rules rules = {.allow_nan = true};
    char *path = mx_path_join(directory, "config.json");
    cJSON *root = NULL;
    if (!path) return mx_fail_memory(err, "a path", strlen(directory));
    const mx_status status = mx_json_read_file(&root, path, CONFIG_LIMIT, &rules, err);
    if (status == MX_OK) *hash = mx_config_hash(root);
    cJSON_Delete(root);
    free(path);
    return status;
}

/* --- the weights --- */

struct chunk {
    const uint8_t *data;
    size_t bytes;
    uint64_t hash;
};

/* The tensors of one file, in chunks. */
struct hashing {
    struct chunk *chunks;
    size_t count;
};

static void hash_chunk(void *context, int piece, int worker)
{
    (void)worker;
    struct chunk *chunk = &((struct hashing *)context)->chunks[piece];
    chunk->hash = XXH3_64bits(chunk->data, chunk->bytes);
}

/* Tensors [first, last) of the checkpoint, which are those of one file. */
struct file {
    const struct mx_checkpoint *checkpoint;
    size_t first, last;
};

static size_t list_chunks(const struct file *file, struct chunk *chunks)
{
    size_t count = 0;
    for (size_t i = file->first; i < file->last; i++) {
        const struct mx_tensor *tensor = mx_checkpoint_tensor(file->checkpoint, i);
        for (size_t at = 0; at < tensor->bytes; at += CHUNK, count++) {
            const size_t bytes = tensor->bytes - at < CHUNK ? tensor->bytes - at : CHUNK;
            if (chunks) chunks[count] = (struct chunk){.data = tensor->data + at, .bytes = bytes};
        }
    }
    return count;
}

static mx_status hash_file(const struct file *file, struct mx_pool *pool, const struct mx_progress *progress,
                           uint64_t *hash, struct mx_error *err)
{
    enum { AT_A_TIME = 64 };
    const size_t count = list_chunks(file, NULL);
    struct chunk *chunks = malloc((count + 1) * sizeof *chunks);
    if (!chunks) return mx_fail_memory(err, "the weights' hashes", count * sizeof *chunks);
    list_chunks(file, chunks);
    *hash = 0;
    for (size_t i = 0; i < count; i += AT_A_TIME) {
        struct hashing hashing = {chunks + i, count - i < AT_A_TIME ? count - i : AT_A_TIME};
        if (mx_progress_interrupted(progress)) {
            free(chunks);
            return mx_fail(err, MX_ERR_INTERRUPTED, "interrupted");
        }
        mx_pool_run(pool, (int)hashing.count, hash_chunk, &hashing);
        mx_progress_report(progress, "hashing the weights", (double)(i + hashing.count) / (double)count);
    }
    for (size_t i = 0; i < count; i++) *hash = XXH3_64bits_withSeed(&chunks[i].hash, sizeof chunks[i].hash, *hash);
    for (size_t i = file->first; i < file->last; i++) {
        const struct mx_tensor *tensor = mx_checkpoint_tensor(file->checkpoint, i);
        const uint64_t named = hash_text(tensor->name, (uint64_t)tensor->storage);
        *hash = XXH3_64bits_withSeed(tensor->shape, (size_t)tensor->rank * sizeof *tensor->shape, *hash ^ named);
    }
    free(chunks);
    return MX_OK;
}

/* What the file looks like while nobody writes to it; empty if it can't be asked. */
static void describe_file(const char *path, char text[256])
{
    struct stat stat_of;
    *text = '\0';
    if (stat(path, &stat_of) != 0) return;
    snprintf(text, 256, "weights 1 %llx %llx %lld %lld.%09ld %lld.%09ld", (unsigned long long)stat_of.st_dev,
             (unsigned long long)stat_of.st_ino, (long long)stat_of.st_size, (long long)stat_of.st_mtim.tv_sec,
             stat_of.st_mtim.tv_nsec, (long long)stat_of.st_ctim.tv_sec, stat_of.st_ctim.tv_nsec);
}

static bool read_kept(const char *path, const char *described, uint64_t *hash)
{
    char *data;
    size_t length;
    const size_t size = strlen(described);
    if (mx_file_read(path, 4096, &data, &length, NULL) != MX_OK) return false;
    unsigned long long kept;
    const bool good =
        length > size && memcmp(data, described, size) == 0 && sscanf(data + size, " = %16llx", &kept) == 1;
    if (good) *hash = kept;
    free(data);
    return good;
}

/* The hash of one file's tensors: the kept one where the file is as it was. */
static mx_status file_hash(const struct file *file, struct mx_pool *pool, const struct mx_progress *progress,
                           uint64_t *hash, struct mx_error *err)
{
    const char *path = mx_checkpoint_tensor(file->checkpoint, file->first)->file;
    char described[256], after[256], name[64], kept[MX_USER_CACHE_PATH], line[320];
    char *whole = realpath(path, NULL);
    describe_file(path, described);
    snprintf(name, sizeof name, "weights-%016llx", (unsigned long long)hash_text(whole ? whole : path, 0));
    free(whole);
    const bool can_keep = *described && mx_user_cache_path(kept, name);
    if (can_keep && read_kept(kept, described, hash)) return MX_OK;
    MX_TRY(hash_file(file, pool, progress, hash, err));
    describe_file(path, after);
    if (can_keep && strcmp(described, after) == 0) {
        const int length = snprintf(line, sizeof line, "%s = %016llx\n", described, (unsigned long long)*hash);
        (void)mx_file_write(kept, line, (size_t)length, NULL);
    }
    return MX_OK;
}

mx_status mx_model_identity(const struct mx_model *model, struct mx_pool *pool, const struct mx_progress *progress,
                            uint64_t *identity, struct mx_error *err)
{
    const size_t count = mx_checkpoint_tensor_count(model->checkpoint);
    *identity = model->config_hash;
    for (size_t first = 0, last; first < count; first = last) {
        const char *path = mx_checkpoint_tensor(model->checkpoint, first)->file;
        for (last = first + 1; last < count; last++) {
            if (strcmp(mx_checkpoint_tensor(model->checkpoint, last)->file, path) != 0) break;
        }
        const struct file file = {model->checkpoint, first, last};
        uint64_t hash;
        MX_TRY(file_hash(&file, pool, progress, &hash, err));
        *identity = XXH3_64bits_withSeed(&hash, sizeof hash, *identity);
    }
    return MX_OK;
}
