/* Writes a checkpoint of random weights for any config that the engine runs, to measure speed at real sizes without a
 * download. Codes are drawn directly, with scales that give each matrix the variance 1 / columns, so that activations
 * and logits stay finite; the text that such a model makes is noise.
 *
 *     make-checkpoint qwen3-0.6b -o /tmp/qwen                     4 bits in groups of 64
 *     make-checkpoint llama-3.2-1b -o /tmp/llama --bits 6 --group-size 32
 *     make-checkpoint gpt-oss-20b -o /tmp/gpt-oss --mxfp4
 *     make-checkpoint path/to/config.json -o DIR --bf16
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/half.h"
#include "base/json.h"
#include "base/random.h"
#include "base/units.h"
#include "checkpoint/quantization.h"
#include "checkpoint/sidecars.h"
#include "checkpoint/writer.h"
#include "config/names.h"

static const struct {
    const char *name, *config;
} presets[] = {
#include "presets.inc"
    /* DeepSeek-V2-Lite with 9 of its 27 layers: a latent of 512, 64 experts. */
    {"deepseek-v2-lite",
     "{\"model_type\": \"deepseek_v2\", \"num_hidden_layers\": 9, \"hidden_size\": 2048, \"num_attention_heads\": 16, "
     "\"kv_lora_rank\": 512, \"q_lora_rank\": null, \"qk_nope_head_dim\": 128, \"qk_rope_head_dim\": 64, "
     "\"v_head_dim\": 128, \"intermediate_size\": 10944, \"moe_intermediate_size\": 1408, \"n_routed_experts\": 64, "
     "\"n_shared_experts\": 2, \"num_experts_per_tok\": 6, \"first_k_dense_replace\": 1, \"norm_topk_prob\": false, "
     "\"routed_scaling_factor\": 1.0, \"topk_method\": \"greedy\", \"vocab_size\": 102400, "
     "\"max_position_embeddings\": 163840, \"rms_norm_eps\": 1e-06, \"rope_theta\": 10000, \"rope_scaling\": "
     "{\"type\": "
     "\"yarn\", \"factor\": 40, \"original_max_position_embeddings\": 4096, \"beta_fast\": 32, \"beta_slow\": 1, "
     "\"mscale\": 0.707, \"mscale_all_dim\": 0.707}, \"hidden_act\": \"silu\", \"tie_word_embeddings\": false, "
     "\"torch_dtype\": \"bfloat16\"}"},
};

/* ---- which tensors ---- */

enum fill { FILL_CODES, FILL_SCALES, FILL_POWERS, FILL_BIASES, FILL_WEIGHTS, FILL_ONES, FILL_ZEROS };

struct tensors {
    const struct mx_arch *arch;
    struct mx_quant quant; /* bits 0: all in bf16 */
    struct mx_arena arena;
    struct mx_output *outputs;
    struct filling {
        enum fill fill;
        size_t cols; /* of the matrix */
        int bits;
    } * fillings;
    size_t count, capacity;
    uint64_t parameters;
    bool failed; /* memory ran out */
};

/* NAME is "MODULE" + "PART". A leading size of 0 is left out. */
static void add(struct tensors *t, const char *module, const char *part, enum mx_storage storage, size_t experts,
                size_t rows, size_t cols, struct filling filling)
{
    if (t->count == t->capacity) {
        const size_t wider = t->capacity ? 2 * t->capacity : 1024;
        struct mx_output *outputs = realloc(t->outputs, wider * sizeof *outputs);
        if (outputs) t->outputs = outputs;
        struct filling *fillings = realloc(t->fillings, wider * sizeof *fillings);
        if (fillings) t->fillings = fillings;
        t->failed |= !outputs || !fillings;
        if (t->failed) return;
        t->capacity = wider;
    }
    char name[512];
    snprintf(name, sizeof name, "%s%s", module, part);
    struct mx_output *output = &t->outputs[t->count];
    *output = (struct mx_output){.name = mx_arena_strndup(&t->arena, name, strlen(name)), .storage = storage};
    const size_t sizes[] = {experts, rows, cols};
    for (int i = 0; i < 3; i++) {
        if (sizes[i]) output->shape[output->rank++] = sizes[i];
    }
    t->failed |= !output->name;
    t->fillings[t->count++] = filling;
}

static void add_vector(struct tensors *t, const char *module, const char *part, size_t length, enum fill fill)
{
    add(t, module, part, MX_STORAGE_BF16, 0, 0, length, (struct filling){fill, length, 0});
    t->parameters += length;
}

/* A matrix, or a stack of them if experts is not 0. */
static void add_matrix(struct tensors *t, const char *module, size_t experts, size_t rows, size_t cols, bool quantized)
{
    const int bits = t->quant.bits;
    const size_t group = (size_t)t->quant.group;
    t->parameters += (experts ? experts : 1) * rows * cols;
    if (quantized) {
        const size_t words = cols / 32 * (size_t)bits, groups = cols / group;
        add(t, module, ".weight", MX_STORAGE_U32, experts, rows, words, (struct filling){FILL_CODES, cols, bits});
        if (t->quant.mode == MX_QUANT_MXFP4) {
            add(t, module, ".scales", MX_STORAGE_U8, experts, rows, groups, (struct filling){FILL_POWERS, cols, bits});
            return;
        }
        add(t, module, ".scales", MX_STORAGE_BF16, experts, rows, groups, (struct filling){FILL_SCALES, cols, bits});
        add(t, module, ".biases", MX_STORAGE_BF16, experts, rows, groups, (struct filling){FILL_BIASES, cols, bits});
    } else {
        add(t, module, ".weight", MX_STORAGE_BF16, experts, rows, cols, (struct filling){FILL_WEIGHTS, cols, 0});
    }
}

/* There is no checkpoint yet. */
static bool has_none(const void *context, const char *module)
{
    (void)context;
    (void)module;
    return false;
}

/* The name that MLX would read: stacked rather than one by one, not fused if there is a choice. */
static bool name_of(const struct mx_arch *arch, const struct mx_name_world *world, const struct mx_tensor_spec *spec,
                    struct mx_tensor_source *source)
{
    for (unsigned i = 0; mx_tensor_source(arch, world, spec, i, source); i++)
        if (!source->each || !spec->count) return true;
    return mx_tensor_source(arch, world, spec, 0, source);
}

static bool was_added(const struct tensors *t, const char *module)
{
    const size_t length = strlen(module);
    for (size_t i = t->count; i-- > 0 && t->count - i < 64;) {
        const char *name = t->outputs[i].name;
        if (name && !strncmp(name, module, length) && !strcmp(name + length, ".weight")) return true;
    }
    return false;
}

/* One matrix, a stack, or one for each of `count`. A quantized matrix is stored by rows, whatever the family does with
 * others. */
static void add_matrices(struct tensors *t, const struct mx_tensor_source *source, uint32_t count, size_t rows,
                         size_t cols, bool bias)
{
    const bool quantized = t->quant.bits && cols % (size_t)t->quant.group == 0;
    const bool transposed = source->transposed && !source->bare && !quantized; /* as NAME.weight */
    const size_t height = transposed ? cols : rows, width = transposed ? rows : cols;
    char module[MX_NAME_SIZE];
    if (source->flat) {
        add_matrix(t, source->module, 0, count * height, width, quantized);
    } else if (source->each) {
        for (uint32_t i = 0; i < count; i++) {
            mx_name_expert(module, source->module, i);
            add_matrix(t, module, 0, height, width, quantized);
            if (bias) add_vector(t, module, ".bias", rows, FILL_ZEROS);
        }
    } else {
        add_matrix(t, source->module, count, height, width, quantized);
    }
    if (bias && !source->each) add_vector(t, source->module, ".bias", (count ? count : 1) * rows, FILL_ZEROS);
}

/* A small array: a vector of zeros, or small matrices of random weights; in several tensors where the name says so,
 * which share its rows. */
static void add_floats(struct tensors *t, const char *module, const char *bare, size_t rows, size_t cols, bool bias)
{
    char part[MX_NAME_SIZE];
    unsigned parts = 1;
    while (mx_name_part(part, module, parts)) parts++;
    const size_t share = (rows + parts - 1) / parts;
    for (unsigned i = 0; mx_name_part(part, module, i); i++) {
        add_vector(t, part, bare, (i + 1 < parts ? share : rows - (parts - 1) * share) * cols,
                   cols > 1 ? FILL_WEIGHTS : FILL_ZEROS);
        if (t->failed) return;
        t->fillings[t->count - 1].cols = cols;
    }
    if (bias) add_vector(t, module, ".bias", rows, FILL_ZEROS);
}

static mx_status add_tensor(void *context, const struct mx_tensor_spec *spec)
{
    struct tensors *t = context;
    const struct mx_name_world world = mx_names_world(t->arch, has_none, NULL);
    struct mx_tensor_source source;
    if (spec->repeated) return MX_OK;
    if (t->failed || !name_of(t->arch, &world, spec, &source)) return MX_ERR_UNSUPPORTED;
    const size_t rows = (size_t)source.rows, cols = (size_t)spec->cols;
    const char *bare = strstr(source.module, "_bias") || strstr(source.module, ".bias") ? "" : ".weight";
    if (source.fused && was_added(t, source.module)) return MX_OK; /* with another part */
    switch (spec->kind) {
    case MX_TENSOR_MATRIX: add_matrices(t, &source, spec->count, rows, cols, spec->bias); break;
    case MX_TENSOR_NORM:
        add_vector(t, source.module, ".weight", rows,
                   spec->offset && t->arch->norm_offset != 0 ? FILL_ZEROS : FILL_ONES);
        if (spec->bias) add_vector(t, source.module, ".bias", rows, FILL_ZEROS);
        break;
    case MX_TENSOR_FLOATS: add_floats(t, source.module, bare, rows, cols, spec->bias); break;
    }
    return MX_OK;
}

static mx_status list_tensors(struct tensors *t, struct mx_error *err)
{
    const struct mx_arch *arch = t->arch;
    if (!arch->runnable) return mx_fail(err, MX_ERR_UNSUPPORTED, "%s: %s", arch->model_type, arch->not_runnable);
    if (mx_tensors_each(arch, add_tensor, t) != MX_OK && !t->failed)
        return mx_fail(err, MX_ERR_UNSUPPORTED, "%s: a tensor has no name", arch->model_type);
    return t->failed ? mx_fail_memory(err, "the list of tensors", t->count * sizeof *t->outputs) : MX_OK;
}

/* ---- their numbers ---- */

enum { CHUNK = 1 << 20, TABLE = 1 << 16 };

struct filler {
    struct mx_random random;
    uint16_t *chunk;   /* CHUNK bytes */
    uint16_t *uniform; /* [TABLE]: bf16 numbers with mean 0 and the variance of the matrix at hand */
};

/* Uniform codes in [0, n] have the standard deviation n / sqrt(12). A scale differs from its neighbours by up to a
 * quarter, so that a kernel that mixes groups up is caught; the bias centres the codes. */
static uint16_t random_scale(struct mx_random *random, const struct filling *filling)
{
    const float n = (float)((1 << filling->bits) - 1), wanted = sqrtf(12 / (float)filling->cols) / n;
    return mx_bf16_from_f32(-wanted * (0.875f + 0.25f * mx_random_unit(random)));
}

/* The same in powers of two (E8M0), for codes whose root mean square is 2.93 (E2M1): the one below what is wanted, or
 * the one above. */
static uint8_t random_power(struct mx_random *random, const struct filling *filling)
{
    const float wanted = -log2f(2.93f * sqrtf((float)filling->cols));
    return (uint8_t)(127 + floorf(wanted + mx_random_unit(random)));
}

static void fill_chunk(struct filler *filler, const struct filling *filling, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        switch (filling->fill) {
        case FILL_SCALES: filler->chunk[i] = random_scale(&filler->random, filling); break;
        case FILL_POWERS:
            filler->chunk[i] = random_power(&filler->random, filling);
            filler->chunk[i] |= (uint16_t)(random_power(&filler->random, filling) << 8);
            break;
        case FILL_BIASES: filler->chunk[i] = mx_bf16_from_f32(sqrtf(12 / (float)filling->cols) / 2); break;
        case FILL_ONES: filler->chunk[i] = mx_bf16_from_f32(1); break;
        default: filler->chunk[i] = 0; break;
        }
    }
    uint64_t *words = (uint64_t *)filler->chunk;
    if (filling->fill != FILL_CODES && filling->fill != FILL_WEIGHTS) return;
    for (size_t i = 0; i < (count + 3) / 4; i++) words[i] = mx_random_u64(&filler->random);
    if (filling->fill == FILL_CODES) return;
    for (size_t i = 0; i < count; i++) filler->chunk[i] = filler->uniform[filler->chunk[i]];
}

static mx_status write_numbers(struct mx_checkpoint_writer *writer, const struct tensors *t, uint64_t seed,
                               struct mx_error *err)
{
    struct filler filler = {.random = {seed}, .chunk = malloc(CHUNK), .uniform = malloc(TABLE * sizeof(uint16_t))};
    mx_status status = filler.chunk && filler.uniform ? MX_OK : mx_fail_memory(err, "a buffer", CHUNK);
    for (size_t i = 0; i < t->count && status == MX_OK; i++) {
        const float width = sqrtf(12 / (float)t->fillings[i].cols);
        for (int k = 0; t->fillings[i].fill == FILL_WEIGHTS && k < TABLE; k++) {
            filler.uniform[k] = mx_bf16_from_f32(((float)k / TABLE - 0.5f) * width);
        }
        for (size_t left = mx_output_bytes(&t->outputs[i]); left && status == MX_OK;) {
            const size_t bytes = left < CHUNK ? left : CHUNK;
            fill_chunk(&filler, &t->fillings[i], (bytes + 1) / 2);
            status = mx_checkpoint_writer_write(writer, filler.chunk, bytes, err);
            left -= bytes;
        }
    }
    free(filler.chunk);
    free(filler.uniform);
    return status;
}

static mx_status write_config(struct mx_checkpoint_writer *writer, const char *config, const struct mx_quant *quant,
                              struct mx_error *err)
{
    if (!quant->bits) return mx_checkpoint_writer_file(writer, "config.json", config, strlen(config), err);
    char object[100];
    snprintf(object, sizeof object, "{\"group_size\": %d, \"bits\": %d, \"mode\": \"%s\"}", quant->group, quant->bits,
             mx_quant_mode_name(quant->mode));
    struct mx_str text = {0};
    mx_status status = mx_config_with_quantization(&text, config, strlen(config), "config.json", object, err);
    if (status == MX_OK) status = mx_checkpoint_writer_file(writer, "config.json", text.data, text.length, err);
    mx_str_free(&text);
    return status;
}

static mx_status write_checkpoint(const struct tensors *t, const char *config, const char *directory, uint64_t seed,
                                  struct mx_error *err)
{
    struct mx_checkpoint_writer *writer;
    MX_TRY(mx_checkpoint_writer_open(&writer, directory, t->outputs, t->count, MX_SHARD_BYTES, t->parameters, err));
    mx_status status = write_numbers(writer, t, seed, err);
    if (status == MX_OK) status = write_config(writer, config, &t->quant, err);
    if (status == MX_OK) return mx_checkpoint_writer_commit(writer, err);
    mx_checkpoint_writer_abort(writer);
    return status;
}

/* ---- the command ---- */

static mx_status make(const char *config, const char *name, const char *directory, const struct mx_quant *quant,
                      uint64_t seed, struct mx_error *err)
{
    struct mx_arch arch = {0};
    struct tensors t = {.arch = &arch, .quant = *quant};
    const struct mx_json_rules rules = {.allow_nan = true};
    cJSON *root;
    MX_TRY(mx_json_parse(&root, config, strlen(config), name, &rules, err));
    mx_status status = mx_arch_from_json(&arch, root, name, err);
    cJSON_Delete(root);
    if (status == MX_OK) status = list_tensors(&t, err);
    if (status == MX_OK) status = write_checkpoint(&t, config, directory, seed, err);
    if (status == MX_OK) {
        char bytes[16], count[32];
        uint64_t total = 0;
        for (size_t i = 0; i < t.count; i++) total += mx_output_bytes(&t.outputs[i]);
        printf("%s: %s parameters, %s\n", directory, mx_format_count(t.parameters, count),
               mx_format_bytes(total, bytes));
    }
    mx_arch_free(&arch);
    mx_arena_free(&t.arena);
    free(t.outputs);
    free(t.fillings);
    return status;
}

static int usage(void)
{
    fputs("usage: make-checkpoint PRESET|CONFIG.json -o DIR [--bits B] [--group-size G] [--mxfp4] [--bf16] "
          "[--seed N]\n"
          "presets:",
          stderr);
    for (size_t i = 0; i < sizeof presets / sizeof *presets; i++) fprintf(stderr, " %s", presets[i].name);
    fputs("\n", stderr);
    return 2;
}

int main(int argc, char **argv)
{
    const char *what = NULL, *directory = NULL;
    struct mx_quant quant = {MX_QUANT_AFFINE, 4, 64};
    struct mx_error err = {0};
    int64_t seed = 1, value = 0;
    bool plain = false;
    for (int i = 1; i < argc; i++) {
        const char *next = i + 1 < argc ? argv[i + 1] : "";
        mx_status status = MX_OK;
        if (strcmp(argv[i], "--bf16") == 0) {
            plain = true;
            continue;
        } else if (strcmp(argv[i], "--mxfp4") == 0) {
            quant = mx_quant_default(MX_QUANT_MXFP4);
            continue;
        } else if (argv[i][0] != '-') {
            what = argv[i];
            continue;
        } else if (strcmp(argv[i], "-o") == 0) {
            directory = next;
        } else if (strcmp(argv[i], "--bits") == 0) {
            status = mx_parse_whole(next, argv[i], 2, 8, &value, &err);
            quant.bits = (int)value;
        } else if (strcmp(argv[i], "--group-size") == 0) {
            status = mx_parse_whole(next, argv[i], 32, 128, &value, &err);
            quant.group = (int)value;
        } else if (strcmp(argv[i], "--seed") == 0) {
            status = mx_parse_whole(next, argv[i], 0, INT64_MAX / 2, &seed, &err);
        } else {
            return usage();
        }
        if (status != MX_OK) {
            fprintf(stderr, "make-checkpoint: %s\n", err.message);
            return 2;
        }
        i++;
    }
    if (!what || !directory || !*directory || !mx_quant_valid(&quant)) return usage();
    if (plain) quant = (struct mx_quant){0};
    const char *config = NULL;
    char *text = NULL;
    size_t length;
    for (size_t i = 0; i < sizeof presets / sizeof *presets; i++) {
        if (strcmp(what, presets[i].name) == 0) config = presets[i].config;
    }
    mx_status status = MX_OK;
    if (!config) {
        status = mx_file_read(what, 16 << 20, &text, &length, &err);
        config = text;
    }
    if (status == MX_OK) status = make(config, what, directory, &quant, (uint64_t)seed, &err);
    free(text);
    if (status != MX_OK) fprintf(stderr, "make-checkpoint: %s\n", err.message);
    return status != MX_OK;
}
