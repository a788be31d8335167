/* checkpoint/quantize, and with it plan, writer and sidecars: what is written, and that a failure leaves nothing. */
#include "support.h"

#include <dirent.h>
#include <math.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/json.h"
#include "base/random.h"
#include "checkpoint/affine.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/floats.h"
#include "checkpoint/quantize.h"
#include "checkpoint/sidecars.h"
#include "checkpoint/writer.h"
#include "files.h"

static struct mx_error err;
static char *folder, *source, *target; /* folder/source, folder/target */

static int open_folder(void **state)
{
    folder = make_folder();
    source = mx_path_join(folder, "source");
    target = mx_path_join(folder, "target");
    return 0;
}

static int close_folder(void **state)
{
    remove_folder(folder);
    free(source);
    free(target);
    return 0;
}

/* Writes folder/source with random numbers. */
static void put_source(const char *config, const struct mx_output *outputs, size_t count, size_t shard_bytes)
{
    struct mx_random random = {3};
    struct mx_checkpoint_writer *writer;
    assert_ok(mx_checkpoint_writer_open(&writer, source, outputs, count, shard_bytes, 0, &err));
    for (size_t i = 0; i < count; i++) {
        enum mx_dtype dtype = MX_F32;
        assert_true(mx_storage_float(outputs[i].storage, &dtype));
        const size_t elements = mx_output_bytes(&outputs[i]) / mx_dtype_size(dtype);
        for (size_t k = 0; k < elements; k++) {
            uint8_t bytes[4];
            mx_float_store(bytes, dtype, 0, mx_random_normal(&random));
            assert_ok(mx_checkpoint_writer_write(writer, bytes, mx_dtype_size(dtype), &err));
        }
    }
    assert_ok(mx_checkpoint_writer_file(writer, "config.json", config, strlen(config), &err));
    assert_ok(mx_checkpoint_writer_file(writer, "tokenizer.json", "{}", 2, &err));
    assert_ok(mx_checkpoint_writer_file(writer, "LICENSE.txt", "free", 4, &err));
    assert_ok(mx_checkpoint_writer_file(writer, "old.bin", "weights", 7, &err));
    assert_ok(mx_checkpoint_writer_file(writer, "empty.json", NULL, 0, &err));
    assert_ok(mx_checkpoint_writer_commit(writer, &err));
}
#define PUT_SOURCE(config, outputs) put_source(config, outputs, sizeof(outputs) / sizeof *(outputs), MX_SHARD_BYTES)

/* The rows of `matrix` are what quantizing these rows of the source gives. */
static void check_matrix(const struct mx_matrix *matrix, const struct mx_tensor *tensor, size_t first)
{
    enum mx_dtype stored = MX_F32;
    assert_true(mx_storage_float(tensor->storage, &stored));
    const size_t cols = matrix->cols, groups = cols / (size_t)matrix->group, size = mx_dtype_size(matrix->dtype);
    float *row = malloc(cols * sizeof *row);
    uint8_t *codes = malloc(cols), *scales = malloc(groups * size), *biases = malloc(groups * size);
    for (size_t r = 0; r < matrix->rows; r++) {
        for (size_t c = 0; c < cols; c++) {
            row[c] = mx_float_round(mx_float_load(tensor->data, stored, first + r * cols + c), matrix->dtype);
        }
        assert_true(
            mx_affine_quantize_row(row, cols, matrix->bits, matrix->group, matrix->dtype, codes, scales, biases));
        assert_memory_equal(codes, matrix->data + r * mx_matrix_row_bytes(matrix), mx_matrix_row_bytes(matrix));
        assert_memory_equal(scales, matrix->scales + r * groups * size, groups * size);
        assert_memory_equal(biases, matrix->biases + r * groups * size, groups * size);
    }
    free(row);
    free(codes);
    free(scales);
    free(biases);
}

static void check_module(const struct mx_checkpoint *from, const struct mx_checkpoint *to, const char *tensor_name,
                         int bits, int group)
{
    char module[128];
    struct mx_matrix matrix;
    const struct mx_tensor *tensor = mx_checkpoint_find(from, tensor_name);
    assert_non_null(tensor);
    snprintf(module, sizeof module, "%.*s", (int)(strlen(tensor_name) - strlen(".weight")), tensor_name);
    assert_ok(mx_checkpoint_matrix(to, module, tensor->shape[0], tensor->shape[1], &matrix, &err));
    assert_int_equal(matrix.bits, bits);
    assert_int_equal(matrix.group, group);
    check_matrix(&matrix, tensor, 0);
}

static void check_copied(const struct mx_checkpoint *from, const struct mx_checkpoint *to, const char *name)
{
    const struct mx_tensor *a = mx_checkpoint_find(from, name), *b = mx_checkpoint_find(to, name);
    assert_true(a && b && a->storage == b->storage && a->bytes == b->bytes && a->rank == b->rank);
    assert_memory_equal(a->data, b->data, a->bytes);
}

static bool target_has(const char *name)
{
    char *path = mx_path_join(target, name);
    const bool found = mx_is_file(path);
    free(path);
    return found;
}

/* The text of a file of the target; the caller frees. */
static char *target_text(const char *name)
{
    char *path = mx_path_join(target, name), *text;
    size_t length;
    assert_ok(mx_file_read(path, 1 << 24, &text, &length, &err));
    free(path);
    return text;
}

#define LLAMA_SIZES                                                                                                    \
    "\"hidden_size\": 64, \"intermediate_size\": 128, \"num_attention_heads\": 4, \"num_key_value_heads\": 2, "        \
    "\"num_hidden_layers\": 1, \"vocab_size\": 40, \"max_position_embeddings\": 128, \"rms_norm_eps\": 1e-05"

static const char llama_config[] =
    "{\"model_type\": \"llama\", " LLAMA_SIZES ", \"quantization_config\": null, \"rope_theta\": 500000.0,\n"
    " \"tie_word_embeddings\": false, \"torch_dtype\": \"bfloat16\", \"extra\": NaN}\n";

static const struct mx_output llama[] = {
    {"model.embed_tokens.weight", MX_STORAGE_BF16, 2, {40, 64}},
    {"model.norm.weight", MX_STORAGE_BF16, 1, {64}},
    {"model.layers.0.input_layernorm.weight", MX_STORAGE_BF16, 1, {64}},
    {"model.layers.0.mlp.down_proj.weight", MX_STORAGE_BF16, 2, {64, 128}},
    {"model.layers.0.mlp.up_proj.weight", MX_STORAGE_BF16, 2, {64, 96}},
    {"model.layers.0.self_attn.q_proj.weight", MX_STORAGE_BF16, 2, {64, 64}},
    {"model.layers.0.self_attn.q_proj.bias", MX_STORAGE_BF16, 1, {64}},
    {"model.layers.0.self_attn.rotary_emb.inv_freq", MX_STORAGE_F32, 1, {8}},
    {"lm_head.weight", MX_STORAGE_BF16, 2, {40, 64}},
};

static void writes_what_mlx_lm_would(void **state)
{
    PUT_SOURCE(llama_config, llama);
    struct mx_quantize_result result;
    const struct mx_quantize_options options = {.bits = 4, .group = 64};
    assert_ok(mx_quantize_checkpoint(source, target, &options, NULL, &result, &err));
    assert_int_equal(result.quantized, 4);
    assert_int_equal(result.copied, 4);
    assert_int_equal(result.parameters, 40 * 64 * 2 + 64 * 3 + 64 * 128 + 64 * 96 + 64 * 64);

    struct mx_checkpoint *from, *to;
    assert_ok(mx_checkpoint_open(&from, source, NULL, &err));
    assert_ok(mx_checkpoint_open(&to, target, NULL, &err));
    check_module(from, to, "model.embed_tokens.weight", 4, 64);
    check_module(from, to, "model.layers.0.mlp.down_proj.weight", 4, 64);
    check_module(from, to, "model.layers.0.self_attn.q_proj.weight", 4, 64);
    check_module(from, to, "lm_head.weight", 4, 64);
    check_copied(from, to, "model.norm.weight");
    check_copied(from, to, "model.layers.0.input_layernorm.weight");
    check_copied(from, to, "model.layers.0.self_attn.q_proj.bias");
    check_copied(from, to, "model.layers.0.mlp.up_proj.weight"); /* 96 columns are no multiple of 64 */
    assert_int_equal(mx_checkpoint_tensor_count(to), 4 * 3 + 4);
    assert_null(mx_checkpoint_find(to, "model.layers.0.self_attn.rotary_emb.inv_freq"));
    struct mx_checkpoint_survey survey;
    assert_ok(mx_checkpoint_survey(&survey, target, NULL, &err));
    assert_int_equal(survey.parameters, result.parameters);
    assert_int_equal(survey.bytes, result.bytes);
    mx_checkpoint_close(from);
    mx_checkpoint_close(to);

    assert_true(target_has("tokenizer.json"));
    assert_true(target_has("LICENSE.txt"));
    assert_true(target_has("empty.json"));
    assert_false(target_has("old.bin"));
    char *config = target_text("config.json"), *index = target_text("model.safetensors.index.json");
    assert_non_null(strstr(config, "\"rope_theta\": 500000.0,"));
    assert_non_null(strstr(config, "\"rms_norm_eps\": 1e-05"));
    assert_non_null(strstr(index, "\"total_parameters\":"));
    assert_non_null(strstr(index, "\"lm_head.scales\": \"model.safetensors\""));
    cJSON *root;
    const struct mx_json_rules rules = {.allow_nan = true};
    assert_ok(mx_json_parse(&root, config, strlen(config), "config.json", &rules, &err));
    assert_true(cJSON_Compare(mx_json_get(root, "quantization"), mx_json_get(root, "quantization_config"), true));
    assert_true(mx_json_get(mx_json_get(root, "quantization"), "bits")->valuedouble == 4);
    cJSON_Delete(root);
    free(config);
    free(index);
    struct stat info;
    assert_int_equal(stat(target, &info), 0);
    assert_int_equal(info.st_mode & 0700, 0700);
}

/* The compact header, keys in bytewise order, the inner ones too. */
static void headers_are_those_of_mlx(void **state)
{
    static const struct mx_output outputs[] = {
        {"b", MX_STORAGE_U8, 1, {2}}, {"Z", MX_STORAGE_F16, 2, {1, 3}}, {"s", MX_STORAGE_U32, 0, {0}}};
    static const char expected[] = "{\"Z\":{\"data_offsets\":[2,8],\"dtype\":\"F16\",\"shape\":[1,3]},"
                                   "\"__metadata__\":{\"format\":\"mlx\"},"
                                   "\"b\":{\"data_offsets\":[0,2],\"dtype\":\"U8\",\"shape\":[2]},"
                                   "\"s\":{\"data_offsets\":[8,12],\"dtype\":\"U32\",\"shape\":[]}}";
    struct mx_checkpoint_writer *writer;
    assert_ok(mx_checkpoint_writer_open(&writer, target, outputs, 3, MX_SHARD_BYTES, 12, &err));
    assert_ok(mx_checkpoint_writer_write(writer, "0123456789ab", 12, &err));
    assert_fails(mx_checkpoint_writer_write(writer, "c", 1, &err), MX_ERR_ARGUMENT, "more bytes than its tensors have");
    assert_ok(mx_checkpoint_writer_commit(writer, &err));
    char *text = target_text("model.safetensors");
    assert_int_equal((uint8_t)text[0], sizeof expected - 1);
    assert_memory_equal(text + 8, expected, sizeof expected - 1);
    assert_string_equal(text + 8 + sizeof expected - 1, "0123456789ab");
    free(text);
}

static void shards_and_threads_change_nothing(void **state)
{
    PUT_SOURCE(llama_config, llama);
    struct mx_pool *pool;
    assert_ok(mx_pool_open(&pool, 3, &err));
    const struct mx_quantize_options options = {.bits = 6, .group = 32, .shard_bytes = 4000, .pool = pool};
    assert_ok(mx_quantize_checkpoint(source, target, &options, NULL, NULL, &err));
    mx_pool_close(pool);
    char *plain = mx_path_join(folder, "plain");
    const struct mx_quantize_options one = {.bits = 6, .group = 32};
    assert_ok(mx_quantize_checkpoint(source, plain, &one, NULL, NULL, &err));
    struct mx_checkpoint *a, *b;
    assert_ok(mx_checkpoint_open(&a, plain, NULL, &err));
    assert_ok(mx_checkpoint_open(&b, target, NULL, &err));
    assert_int_equal(mx_checkpoint_tensor_count(a), mx_checkpoint_tensor_count(b));
    for (size_t i = 0; i < mx_checkpoint_tensor_count(a); i++) check_copied(a, b, mx_checkpoint_tensor(a, i)->name);
    struct mx_checkpoint_survey survey;
    assert_ok(mx_checkpoint_survey(&survey, target, NULL, &err));
    assert_int_equal(survey.files, 7); /* none above 4000 bytes of tensors, but for two large tensors */
    mx_checkpoint_close(a);
    mx_checkpoint_close(b);
    free(plain);
}

#define MOE_SIZES LLAMA_SIZES ", \"num_experts_per_tok\": 2, \"dtype\": \"bfloat16\", \"tie_word_embeddings\": true"

static void check_stack(const struct mx_checkpoint *from, const struct mx_checkpoint *to, const char *pattern_before,
                        const char *pattern_after, const char *stacked, size_t experts)
{
    for (size_t e = 0; e < experts; e++) {
        char name[128];
        snprintf(name, sizeof name, "%s%zu%s", pattern_before, e, pattern_after);
        const struct mx_tensor *tensor = mx_checkpoint_find(from, name);
        struct mx_matrix matrix;
        assert_non_null(tensor);
        assert_ok(mx_checkpoint_expert(to, stacked, experts, e, tensor->shape[0], tensor->shape[1], &matrix, &err));
        check_matrix(&matrix, tensor, 0);
        assert_null(mx_checkpoint_find(to, name));
    }
}

static void stacks_experts(void **state)
{
    static const struct mx_output outputs[] = {
        {"model.embed_tokens.weight", MX_STORAGE_BF16, 2, {40, 64}},
        {"model.layers.0.block_sparse_moe.gate.weight", MX_STORAGE_BF16, 2, {2, 64}},
        {"model.layers.0.block_sparse_moe.experts.1.w1.weight", MX_STORAGE_BF16, 2, {128, 64}},
        {"model.layers.0.block_sparse_moe.experts.0.w1.weight", MX_STORAGE_BF16, 2, {128, 64}},
        {"model.layers.0.block_sparse_moe.experts.0.w2.weight", MX_STORAGE_BF16, 2, {64, 128}},
        {"model.layers.0.block_sparse_moe.experts.1.w2.weight", MX_STORAGE_BF16, 2, {64, 128}},
        {"model.layers.0.block_sparse_moe.experts.1.w3.weight", MX_STORAGE_BF16, 2, {128, 64}},
        {"model.layers.0.block_sparse_moe.experts.0.w3.weight", MX_STORAGE_BF16, 2, {128, 64}},
        {"lm_head.weight", MX_STORAGE_BF16, 2, {40, 64}}, /* tied: dropped */
    };
    PUT_SOURCE("{\"model_type\": \"mixtral\", \"num_local_experts\": 2, " MOE_SIZES "}", outputs);
    const struct mx_quantize_options options = {.bits = 3, .group = 32};
    assert_ok(mx_quantize_checkpoint(source, target, &options, NULL, NULL, &err));
    struct mx_checkpoint *from, *to;
    assert_ok(mx_checkpoint_open(&from, source, NULL, &err));
    assert_ok(mx_checkpoint_open(&to, target, NULL, &err));
    static const char before[] = "model.layers.0.block_sparse_moe.experts.";
    check_stack(from, to, before, ".w1.weight", "model.layers.0.block_sparse_moe.switch_mlp.gate_proj", 2);
    check_stack(from, to, before, ".w3.weight", "model.layers.0.block_sparse_moe.switch_mlp.up_proj", 2);
    check_stack(from, to, before, ".w2.weight", "model.layers.0.block_sparse_moe.switch_mlp.down_proj", 2);
    check_module(from, to, "model.layers.0.block_sparse_moe.gate.weight", 3, 32);
    assert_false(mx_checkpoint_has(to, "lm_head"));
    mx_checkpoint_close(from);
    mx_checkpoint_close(to);
}

static void splits_fused_experts_and_keeps_routers_at_8_bits(void **state)
{
    static const struct mx_output outputs[] = {
        {"model.embed_tokens.weight", MX_STORAGE_BF16, 2, {40, 64}},
        {"model.layers.0.mlp.gate.weight", MX_STORAGE_BF16, 2, {2, 64}},
        {"model.layers.0.mlp.experts.gate_up_proj", MX_STORAGE_BF16, 3, {2, 64, 64}},
        {"model.layers.0.mlp.experts.down_proj", MX_STORAGE_BF16, 3, {2, 64, 32}},
    };
    PUT_SOURCE("{\"model_type\": \"qwen3_moe\", \"num_experts\": 2, \"moe_intermediate_size\": 32, \"head_dim\": 16, "
               "\"decoder_sparse_step\": 1, \"mlp_only_layers\": [], \"norm_topk_prob\": true, " MOE_SIZES "}",
               outputs);
    const struct mx_quantize_options options = {.bits = 4, .group = 32};
    assert_ok(mx_quantize_checkpoint(source, target, &options, NULL, NULL, &err));
    struct mx_checkpoint *from, *to;
    assert_ok(mx_checkpoint_open(&from, source, NULL, &err));
    assert_ok(mx_checkpoint_open(&to, target, NULL, &err));
    check_module(from, to, "model.layers.0.mlp.gate.weight", 8, 64);
    const struct mx_tensor *fused = mx_checkpoint_find(from, "model.layers.0.mlp.experts.gate_up_proj");
    const struct mx_tensor *down = mx_checkpoint_find(from, "model.layers.0.mlp.experts.down_proj");
    for (size_t e = 0; e < 2; e++) {
        struct mx_matrix matrix;
        assert_ok(mx_checkpoint_expert(to, "model.layers.0.mlp.switch_mlp.gate_proj", 2, e, 32, 64, &matrix, &err));
        check_matrix(&matrix, fused, e * 64 * 64);
        assert_ok(mx_checkpoint_expert(to, "model.layers.0.mlp.switch_mlp.up_proj", 2, e, 32, 64, &matrix, &err));
        check_matrix(&matrix, fused, e * 64 * 64 + 32 * 64);
        assert_ok(mx_checkpoint_expert(to, "model.layers.0.mlp.switch_mlp.down_proj", 2, e, 64, 32, &matrix, &err));
        check_matrix(&matrix, down, e * 64 * 32);
    }
    mx_checkpoint_close(from);
    mx_checkpoint_close(to);
}

static void casts_to_the_dtype_of_the_config(void **state)
{
    static const struct mx_output outputs[] = {
        {"model.embed_tokens.weight", MX_STORAGE_F32, 2, {40, 64}},
        {"model.norm.weight", MX_STORAGE_F32, 1, {64}},
        {"model.layers.0.self_attn.q_proj.weight", MX_STORAGE_BF16, 2, {64, 64}},
    };
    PUT_SOURCE("{\"model_type\": \"llama\", " LLAMA_SIZES ", \"torch_dtype\": \"float16\"}", outputs);
    const struct mx_quantize_options options = {.bits = 8, .group = 64};
    assert_ok(mx_quantize_checkpoint(source, target, &options, NULL, NULL, &err));
    struct mx_checkpoint *from, *to;
    assert_ok(mx_checkpoint_open(&from, source, NULL, &err));
    assert_ok(mx_checkpoint_open(&to, target, NULL, &err));
    check_module(from, to, "model.embed_tokens.weight", 8, 64);
    check_module(from, to, "model.layers.0.self_attn.q_proj.weight", 8, 64);
    const struct mx_tensor *norm = mx_checkpoint_find(to, "model.norm.weight");
    assert_int_equal(norm->storage, MX_STORAGE_F16);
    for (size_t i = 0; i < 64; i++) {
        const float wanted = mx_float_load(mx_checkpoint_find(from, "model.norm.weight")->data, MX_F32, i);
        assert_true(mx_float_load(norm->data, MX_F16, i) == mx_float_round(wanted, MX_F16));
    }
    mx_checkpoint_close(from);
    mx_checkpoint_close(to);
}

/* ---- failures ---- */

/* Nothing but the source stands in the folder. */
static void check_nothing_left(void)
{
    DIR *stream = opendir(folder);
    for (const struct dirent *entry; (entry = readdir(stream));) {
        if (entry->d_name[0] != '.' && strcmp(entry->d_name, "source") != 0) fail_msg("left behind: %s", entry->d_name);
    }
    closedir(stream);
}

static const struct mx_quantize_options q4 = {.bits = 4, .group = 64};

static mx_status try_quantize(const struct mx_progress *progress)
{
    return mx_quantize_checkpoint(source, target, &q4, progress, NULL, &err);
}

static void refuses_bad_targets(void **state)
{
    PUT_SOURCE(llama_config, llama);
    assert_int_equal(mkdir(target, 0777), 0);
    assert_ok(try_quantize(NULL)); /* an empty folder is fine, a filled one is not */
    assert_fails(try_quantize(NULL), MX_ERR_IO, "target: is not empty; give the name of a new folder");
    remove_folder(target);
    put_text(folder, "target", "a file");
    target = mx_path_join(folder, "target");
    assert_fails(try_quantize(NULL), MX_ERR_IO, "target: is already there");
    assert_int_equal(unlink(target), 0);
    free(target);
    target = mx_path_join(folder, "source/config.json/target");
    assert_fails(try_quantize(NULL), MX_ERR_IO, "Not a directory");
    free(target);
    target = mx_path_join(folder, "none/target");
    assert_fails(try_quantize(NULL), MX_ERR_IO, "none/target: cannot make the folder: No such file or directory");
    free(target);
    target = mx_path_join(folder, "target");
    check_nothing_left();
}

static void refuses_bad_sources(void **state)
{
    assert_fails(try_quantize(NULL), MX_ERR_IO, "source");
    PUT_SOURCE("{\"model_type\": \"mamba\", " LLAMA_SIZES "}", llama);
    mx_status status = try_quantize(NULL);
    assert_true(status == MX_ERR_UNSUPPORTED || status == MX_ERR_FORMAT);
    put_text(source, "config.json", "{\"model_type\": \"llama\", " LLAMA_SIZES ", \"quantization\": {\"bits\": 4}}");
    assert_fails(try_quantize(NULL), MX_ERR_ARGUMENT, "its weights are quantized already");
    const struct mx_quantize_options odd = {.bits = 7, .group = 64}, group = {.bits = 4, .group = 16};
    assert_fails(mx_quantize_checkpoint(source, target, &odd, NULL, NULL, &err), MX_ERR_ARGUMENT,
                 "7 bits in groups of 64");
    assert_fails(mx_quantize_checkpoint(source, target, &group, NULL, NULL, &err), MX_ERR_ARGUMENT, "groups of 16");
    check_nothing_left();
}

static void refuses_missing_experts(void **state)
{
    static const struct mx_output outputs[] = {
        {"model.layers.0.block_sparse_moe.experts.0.w1.weight", MX_STORAGE_BF16, 2, {128, 64}},
    };
    PUT_SOURCE("{\"model_type\": \"mixtral\", \"num_local_experts\": 2, " MOE_SIZES "}", outputs);
    assert_fails(try_quantize(NULL), MX_ERR_FORMAT,
                 "tensor \"model.layers.0.block_sparse_moe.experts.1.w1.weight\" is missing");
    check_nothing_left();
}

static void refuses_nan(void **state)
{
    PUT_SOURCE(llama_config, llama);
    char *path = mx_path_join(source, "model.safetensors"), *bytes;
    size_t length;
    assert_ok(mx_file_read(path, 1 << 24, &bytes, &length, &err));
    bytes[length - 2] = (char)0x80;
    bytes[length - 1] = 0x7f; /* the last number of lm_head becomes infinity */
    assert_ok(mx_file_write(path, bytes, length, &err));
    free(path);
    free(bytes);
    assert_fails(try_quantize(NULL), MX_ERR_FORMAT, "tensor \"lm_head.weight\" holds NaN or infinity");
    check_nothing_left();
}

/* A number that the config's dtype can't hold is not made infinite: not in a tensor that is copied, nor in a scale. */
static void refuses_what_overflows(void **state)
{
    static const struct mx_output outputs[] = {
        {"model.layers.0.self_attn.q_proj.weight", MX_STORAGE_F32, 2, {64, 64}},
        {"model.norm.weight", MX_STORAGE_F32, 1, {64}},
    };
    static const size_t places[] = {4, (64 + 4) * 4}; /* the last number of either tensor, from the end */
    const float large = 1e6f;
    PUT_SOURCE("{\"model_type\": \"llama\", " LLAMA_SIZES ", \"torch_dtype\": \"float16\"}", outputs);
    char *path = mx_path_join(source, "model.safetensors"), *bytes;
    size_t length;
    for (size_t i = 0; i < 2; i++) {
        assert_ok(mx_file_read(path, 1 << 24, &bytes, &length, &err));
        float before;
        memcpy(&before, bytes + length - places[i], sizeof before);
        memcpy(bytes + length - places[i], &large, sizeof large);
        assert_ok(mx_file_write(path, bytes, length, &err));
        assert_fails(try_quantize(NULL), MX_ERR_FORMAT, "has numbers too large for the dtype of config.json");
        check_nothing_left();
        memcpy(bytes + length - places[i], &before, sizeof before);
        assert_ok(mx_file_write(path, bytes, length, &err));
        free(bytes);
    }
    free(path);
}

static atomic_bool interrupted;
static double last_done;

static void interrupt_half_way(void *context, const char *what, double done)
{
    assert_true(done >= last_done && done <= 1);
    last_done = done;
    if (done > 0.5) atomic_store(&interrupted, true);
}

static void an_interruption_leaves_nothing(void **state)
{
    PUT_SOURCE(llama_config, llama);
    const struct mx_progress progress = {.report = interrupt_half_way, .interrupted = &interrupted};
    assert_fails(try_quantize(&progress), MX_ERR_INTERRUPTED, "interrupted; nothing was written");
    check_nothing_left();
}

/* A limit on the size of a file stands for the full disk: write() fails in the middle of the weights. */
static void a_full_disk_leaves_nothing(void **state)
{
    PUT_SOURCE(llama_config, llama);
    struct rlimit before, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, SIG_IGN);
    small = before;
    for (rlim_t limit = 0; limit < 12000; limit += 3000) {
        small.rlim_cur = limit;
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
        const mx_status status = try_quantize(NULL);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
        assert_int_equal(status, MX_ERR_IO);
        assert_non_null(strstr(err.message, "nothing was left behind"));
        check_nothing_left();
    }
}

static void config_text_keeps_its_spelling(void **state)
{
    static const struct {
        const char *config, *expected;
    } cases[] = {
        {"{}", "{\n  \"quantization\": Q,\n  \"quantization_config\": Q\n}\n"},
        {"{\"a\": 1.0 }  \n", "{\"a\": 1.0,\n  \"quantization\": Q,\n  \"quantization_config\": Q\n}\n"},
        {"{\"quantization\":null,\"a\":[{\"quantization_config\":null}]}",
         "{\"quantization\":Q,\"a\":[{\"quantization_config\":null}],\n  \"quantization_config\": Q\n}\n"},
        {"{\"x\":\"\\\"quantization\\\":null\",\"quantization_config\" :  null}",
         "{\"x\":\"\\\"quantization\\\":null\",\"quantization_config\" :  Q,\n  \"quantization\": Q\n}\n"},
        {"{\"quantization\":null,\"quantization_config\":null}", "{\"quantization\":Q,\"quantization_config\":Q\n}\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mx_str out = {0};
        assert_ok(mx_config_with_quantization(&out, cases[i].config, strlen(cases[i].config), "c", "Q", &err));
        assert_string_equal(mx_str_text(&out), cases[i].expected);
        mx_str_free(&out);
    }
    struct mx_str out = {0};
    assert_fails(mx_config_with_quantization(&out, "[]", 2, "c", "Q", &err), MX_ERR_FORMAT, "c: must be an object");
    mx_str_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(writes_what_mlx_lm_would, open_folder, close_folder),
        cmocka_unit_test_setup_teardown(headers_are_those_of_mlx, open_folder, close_folder),
        cmocka_unit_test_setup_teardown(shards_and_threads_change_nothing, open_folder, close_folder),
        cmocka_unit_test_setup_teardown(stacks_experts, open_folder, close_folder),
        cmocka_unit_test_setup_teardown(splits_fused_experts_and_keeps_routers_at_8_bits, open_folder, close_folder),
        cmocka_unit_test_setup_teardown(casts_to_the_dtype_of_the_config, open_folder, close_folder),
        cmocka_unit_test_setup_teardown(refuses_bad_targets, open_folder, close_folder),
        cmocka_unit_test_setup_teardown(refuses_bad_sources, open_folder, close_folder),
        cmocka_unit_test_setup_teardown(refuses_missing_experts, open_folder, close_folder),
        cmocka_unit_test_setup_teardown(refuses_nan, open_folder, close_folder),
        cmocka_unit_test_setup_teardown(refuses_what_overflows, open_folder, close_folder),
        cmocka_unit_test_setup_teardown(an_interruption_leaves_nothing, open_folder, close_folder),
        cmocka_unit_test_setup_teardown(a_full_disk_leaves_nothing, open_folder, close_folder),
        cmocka_unit_test(config_text_keeps_its_spelling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
