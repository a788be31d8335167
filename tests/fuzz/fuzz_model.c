/* Fuzz target: whole models. A tiny model of tests/data/families or tests/data/weights gets its config, its header and
 * its weights changed; if it still opens, it runs a few tokens in some mode, with marks, is cut back, saved, the saved
 * text changed (with a checksum that is right again), loaded, and goes on. What is refused must be refused with a
 * message; what is accepted must be sound.
 *
 * The input is a list of choices. When it ends, choices follow from a hash of it, so that short inputs reach all steps.
 */
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/file.h"
#include "base/json.h"
#include "base/random.h"
#include "cache/sequence.h"
#include "cache/size.h"
#include "model/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FAMILIES "tests/data/families"
#define WEIGHTS "tests/data/weights" /* quantized ones */
#define FOLDER "/tmp/mlxcel-fuzz-model-XXXXXX"

enum { MAX_FAMILIES = 256, MAX_BYTES = 64 << 20, MAX_TOKENS = 160, HEADER_AT = 8, CHECKSUM_AT = 16, LENGTH_AT = 40 };

/* ---- choices ---- */

struct choices {
    const uint8_t *at, *end;
    struct mx_random random;
};

static unsigned choose(struct choices *choices, unsigned count)
{
    const unsigned byte =
        choices->at < choices->end ? *choices->at++ : (unsigned)(mx_random_u64(&choices->random) & 255);
    return count > 256 ? (byte * 256 + (unsigned)(mx_random_u64(&choices->random) & 255)) % count : byte % count;
}

static bool one_in(struct choices *choices, unsigned count)
{
    return choose(choices, count) == 0;
}

/* ---- the models ---- */

struct family {
    char *config, *weights;
    size_t config_size, weights_size;
};

static struct family families[MAX_FAMILIES];
static unsigned family_count;
static char folder[] = FOLDER;
static struct mx_pool *pool;

static void path_in(char path[128], const char *name)
{
    snprintf(path, 128, "%s/%s", folder, name);
}

static void clean_up(void)
{
    static const char *const names[] = {"config.json", "model.safetensors", "saved"};
    char path[128];
    for (int i = 0; i < 3; i++) {
        path_in(path, names[i]);
        unlink(path);
    }
    rmdir(folder);
    mx_pool_close(pool);
    for (unsigned i = 0; i < family_count; i++) {
        free(families[i].config);
        free(families[i].weights);
    }
}

static void read_families(const char *parent)
{
    struct mx_error err;
    DIR *stream = opendir(parent);
    if (!stream) abort();
    for (const struct dirent *entry; (entry = readdir(stream)) && family_count < MAX_FAMILIES;) {
        struct family *family = &families[family_count];
        char path[512];
        if (entry->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "%s/%s/config.json", parent, entry->d_name);
        if (mx_file_read(path, 1 << 20, &family->config, &family->config_size, &err) != MX_OK) abort();
        snprintf(path, sizeof path, "%s/%s/model.safetensors", parent, entry->d_name);
        if (mx_file_read(path, 1 << 22, &family->weights, &family->weights_size, &err) != MX_OK) abort();
        family_count++;
    }
    closedir(stream);
}

static void start(void)
{
    struct mx_error err;
    if (!mkdtemp(folder) || mx_pool_open(&pool, 1, &err) != MX_OK) abort();
    read_families(FAMILIES);
    read_families(WEIGHTS);
    atexit(clean_up);
}

/* Not mx_file_write, which waits for the disk. */
static void put(const char *name, const void *bytes, size_t size)
{
    char path[128];
    path_in(path, name);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(bytes, 1, size, file) != size || fclose(file) != 0) abort();
}

/* ---- changes ---- */

static cJSON *other_value(struct choices *choices, const cJSON *old)
{
    static const double odd[] = {0, 1, 2, 3, -1, 7, 16, 64, 255, 4096, 65536, 1e-30, 1e9, 1e30, 0.5, 4294967296.0};
    static const char *const words[] = {"full_attention",
                                        "sliding_attention",
                                        "chunked_attention",
                                        "linear_attention",
                                        "yarn",
                                        "dynamic",
                                        "llama3",
                                        "longrope",
                                        "silu",
                                        "gelu",
                                        "relu2",
                                        "xielu",
                                        "llama",
                                        "mixtral",
                                        "phi3",
                                        "gpt_neox"};
    const double number = cJSON_IsNumber(old) ? old->valuedouble : 4;
    switch (choose(choices, 12)) {
    case 0: return cJSON_CreateNull();
    case 1: return cJSON_CreateBool(choose(choices, 2));
    case 2: return cJSON_CreateString(words[choose(choices, sizeof words / sizeof *words)]);
    case 3: return cJSON_CreateArray();
    case 4: return cJSON_CreateObject();
    case 5: return cJSON_CreateNumber(number + 1);
    case 6: return cJSON_CreateNumber(number - 1);
    case 7: return cJSON_CreateNumber(number * 2);
    case 8: return cJSON_CreateNumber(floor(number / 2));
    default: return cJSON_CreateNumber(odd[choose(choices, sizeof odd / sizeof *odd)]);
    }
}

/* A field that the config may lack, so that kinds of layers appear that its type doesn't have. */
static void add_field(struct choices *choices, cJSON *root)
{
    static const char *const fields[] = {"num_experts",
                                         "num_experts_per_tok",
                                         "num_local_experts",
                                         "moe_intermediate_size",
                                         "sliding_window",
                                         "sliding_window_pattern",
                                         "layer_types",
                                         "head_dim",
                                         "num_key_value_heads",
                                         "partial_rotary_factor",
                                         "attention_chunk_size",
                                         "num_kv_shared_layers",
                                         "attention_bias",
                                         "tie_word_embeddings",
                                         "shared_expert_intermediate_size",
                                         "kv_lora_rank",
                                         "attn_logit_softcapping",
                                         "final_logit_softcapping",
                                         "no_rope_layers",
                                         "hidden_act"};
    const char *field = fields[choose(choices, sizeof fields / sizeof *fields)];
    cJSON *value = other_value(choices, NULL);
    cJSON_DeleteItemFromObjectCaseSensitive(root, field);
    cJSON_AddItemToObject(root, field, value);
}

/* Replaces a member somewhere, or drops it. */
static void change_member(struct choices *choices, cJSON *root)
{
    cJSON *parent = root, *item = NULL;
    for (int depth = 0; depth < 4; depth++) {
        const int count = cJSON_GetArraySize(parent);
        if (!count) return;
        item = cJSON_GetArrayItem(parent, (int)choose(choices, (unsigned)count));
        if (!item->child || one_in(choices, 4)) break;
        parent = item;
    }
    if (one_in(choices, 10))
        cJSON_Delete(cJSON_DetachItemViaPointer(parent, item));
    else
        cJSON_ReplaceItemViaPointer(parent, item, other_value(choices, item));
}

/* The text with up to `most` changes; the caller frees. */
static char *changed_json(struct choices *choices, const char *text, size_t length, unsigned most)
{
    cJSON *root = cJSON_ParseWithLength(text, length);
    if (!root) abort();
    for (unsigned i = choose(choices, most + 1); i > 0; i--) {
        /* Members are replaced through their parents, which know them by place: names stay. */
        if (one_in(choices, 3))
            add_field(choices, root);
        else
            change_member(choices, root);
    }
    char *out = cJSON_PrintUnformatted(root);
    cJSON_Delete(root);
    if (!out) abort();
    return out;
}

static void damage(struct choices *choices, char *bytes, size_t size, unsigned most)
{
    static const uint8_t patterns[] = {0x00, 0xff, 0x7f, 0x80};
    for (unsigned i = choose(choices, most + 1); i > 0 && size; i--) {
        const size_t at = (size_t)(mx_random_u64(&choices->random) % size), count = choose(choices, 16) + 1u;
        for (size_t k = at; k < at + count && k < size; k++)
            bytes[k] = (char)patterns[choose(choices, sizeof patterns)];
    }
}

static void write_weights(struct choices *choices, const struct family *family)
{
    uint64_t header;
    memcpy(&header, family->weights, sizeof header);
    const char *text = family->weights + HEADER_AT, *body = text + header;
    const size_t body_size = family->weights_size - HEADER_AT - (size_t)header;
    char *changed = one_in(choices, 3) ? changed_json(choices, text, (size_t)header, 2) : strndup(text, (size_t)header);
    const uint64_t length = changed ? strlen(changed) : 0;
    char *file = malloc(HEADER_AT + (size_t)length + body_size);
    if (!changed || !file) abort();
    memcpy(file, &length, HEADER_AT);
    memcpy(file + HEADER_AT, changed, (size_t)length);
    memcpy(file + HEADER_AT + length, body, body_size);
    if (one_in(choices, 3)) damage(choices, file + HEADER_AT + length, body_size, 3);
    put("model.safetensors", file, HEADER_AT + (size_t)length + body_size);
    free(changed);
    free(file);
}

/* ---- the run ---- */

struct run {
    struct choices *choices;
    const struct mx_model *model;
    struct mx_workspace *workspace;
    struct mx_kv_plan_options plan;
    int32_t tokens[MAX_TOKENS];
};

static void take(void *context, size_t segment, size_t token, size_t count, float *logits)
{
    const struct run *run = context;
    (void)segment;
    (void)token;
    for (size_t i = 0; i < count * mx_model_arch(run->model)->vocab; i++)
        if (!isfinite(logits[i])) abort(); /* they are never handed out */
}

/* Feeds n of the run's tokens; false if that was refused, which it must be with a message. */
static bool feed(struct run *run, struct mx_sequence *sequence, size_t n)
{
    struct mx_error err = {0};
    const struct mx_logits_sink sink = {take, run};
    const struct mx_segment segment = {
        .sequence = sequence, .tokens = run->tokens, .n = n, .logits = 1, .decode = one_in(run->choices, 2)};
    if (mx_model_forward(run->model, run->workspace, &segment, 1, &sink, NULL, &err) == MX_OK) return true;
    if (!err.message[0]) abort();
    return false;
}

static void cut_back(struct run *run, struct mx_sequence *sequence)
{
    struct mx_error err = {0};
    const uint64_t length = mx_sequence_length(sequence), to = choose(run->choices, (unsigned)length + 1);
    const uint64_t nearest = mx_sequence_nearest(sequence, to);
    if (nearest > to || mx_sequence_truncate(sequence, nearest, &err) != MX_OK) abort();
    if (mx_sequence_length(sequence) != nearest) abort();
}

/* Changes a saved text, and gives it the checksum of what it then is. */
static void change_saved(struct run *run, const char *path)
{
    struct mx_error err;
    char *bytes;
    size_t size;
    if (mx_file_read(path, MAX_BYTES, &bytes, &size, &err) != MX_OK) return;
    if (size < LENGTH_AT + 8) abort();
    if (one_in(run->choices, 3)) size -= choose(run->choices, (unsigned)(size < 64 ? size : 64));
    const size_t head = size < 256 ? size : 256;
    damage(run->choices, bytes, one_in(run->choices, 2) ? head : size, 3);
    if (size >= CHECKSUM_AT + 8) {
        static const uint64_t none = 0;
        memcpy(bytes + CHECKSUM_AT, &none, sizeof none);
        const uint64_t checksum = XXH3_64bits(bytes, size);
        memcpy(bytes + CHECKSUM_AT, &checksum, sizeof checksum);
    }
    put("saved", bytes, size);
    free(bytes);
}

static void save_and_load(struct run *run, struct mx_sequence *sequence)
{
    struct mx_error err = {0};
    struct mx_sequence *other;
    char path[128];
    int32_t *tokens = NULL;
    const uint64_t fingerprint = mx_model_fingerprint(run->model);
    path_in(path, "saved");
    if (!mx_sequence_length(sequence)) return;
    if (mx_sequence_save(sequence, path, fingerprint, run->tokens, &err) != MX_OK) abort();
    const bool changed = !one_in(run->choices, 4);
    if (changed) change_saved(run, path);
    if (mx_sequence_open_alone(&other, mx_model_arch(run->model), &run->plan, &err) != MX_OK) abort();
    const mx_status status = mx_sequence_load(other, path, fingerprint, &tokens, &err);
    if (status != MX_OK && (!changed || !err.message[0] || mx_sequence_length(other))) abort();
    if (status == MX_OK && one_in(run->choices, 2)) cut_back(run, other);
    if (status == MX_OK) (void)feed(run, other, 1 + choose(run->choices, 24));
    (void)mx_sequence_step_bytes(other);
    free(tokens);
    mx_sequence_close(other);
}

/* In some mode, with some context and chunk. */
static void run_model(struct choices *choices, const struct mx_model *model)
{
    struct mx_error err = {0};
    const struct mx_arch *arch = mx_model_arch(model);
    struct mx_kv_options options = mx_kv_options_default();
    options.mode = (enum mx_mode)choose(choices, MX_MODE_COUNT);
    options.force = one_in(choices, 2);
    options.recent = one_in(choices, 2) ? (int32_t)choose(choices, 9) * 16 : -1;
    options.sink = one_in(choices, 2) ? (int32_t)choose(choices, 5) * 16 : -1;
    options.boundary_v = (int32_t)choose(choices, 3);
    options.center = (enum mx_center)choose(choices, 3);
    options.quantize_immediately = one_in(choices, 8);
    const uint32_t chunk = 1 + choose(choices, 80), n = 1 + choose(choices, MAX_TOKENS);
    const enum mx_cpu_level cpu = (enum mx_cpu_level)choose(choices, (unsigned)mx_cpu_detect() + 1);
    const struct mx_workspace_options space = {.chunk = chunk, .rows = 1, .cpu = cpu, .pool = pool};
    struct run run = {.choices = choices, .model = model, .plan = {.key_bias = mx_model_key_bias(model), .cpu = cpu}};
    run.plan.context = n + choose(choices, 600);
    run.plan.marks = (n + chunk) % (MX_MARKS_MOST + 2); /* more than there may be, now and then */
    for (uint32_t i = 0; i < MAX_TOKENS; i++) run.tokens[i] = (int32_t)(i * 37 % arch->vocab);
    if (mx_kv_resolve(&run.plan.setup, &options, arch, &err) != MX_OK) return;
    if (mx_cache_bytes(arch, &run.plan.setup, run.plan.context) > MAX_BYTES) return;
    if (mx_workspace_bytes(arch, chunk, 1, 1) > MAX_BYTES) return;
    struct mx_sequence *sequence;
    if (mx_sequence_open_alone(&sequence, arch, &run.plan, &err) != MX_OK) {
        if (!err.message[0]) abort();
        return;
    }
    if (mx_workspace_open(&run.workspace, arch, &space, &err) != MX_OK) abort();
    bool fed = true;
    for (size_t done = 0, part; fed && done < n; done += part) { /* with a mark behind each part */
        part = n - done < 1 + n / 3 ? n - done : 1 + n / 3;
        fed = feed(&run, sequence, part);
        if (fed) mx_sequence_mark(sequence);
    }
    if (fed) {
        if (one_in(choices, 2)) cut_back(&run, sequence);
        save_and_load(&run, sequence);
        (void)feed(&run, sequence, 1);
    }
    mx_workspace_close(run.workspace);
    mx_sequence_close(sequence);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!family_count) start();
    struct choices choices = {.at = data, .end = data + size, .random = {XXH3_64bits(data, size)}};
    const struct family *family = &families[choose(&choices, family_count)];
    char *config = changed_json(&choices, family->config, family->config_size, 3);
    put("config.json", config, strlen(config));
    free(config);
    write_weights(&choices, family);
    struct mx_model *model;
    struct mx_error err = {0};
    if (mx_model_open(&model, folder, NULL, &err) == MX_OK) {
        run_model(&choices, model);
        mx_model_close(model);
    } else if (!err.message[0]) {
        abort();
    }
    return 0;
}
