/* What a model refuses, and the forms of experts that it accepts. The checkpoints are rewritten from the families'
 * references, tensor by tensor. */
#include "checkpoint/quantize.h"
#include "model/copies.h"

#define LLAMA "tests/data/families/llama"
#define EXPERTS "tests/data/families/qwen3_moe"

/* --- refusals --- */

/* The model of `directory` with a tensor renamed, or `from` replaced in its config. */
static void refuses_of(const char *directory, const char *rename, const char *to, const char *from,
                       const char *config_to, mx_status status, const char *message)
{
    struct mx_error err;
    struct copy copy;
    copy_start(&copy);
    copy_all(&copy, directory, rename, to);
    char *config = config_of(directory);
    if (from) config = replaced(config, from, config_to);
    copy_finish(&copy, config);
    struct mx_model *model;
    assert_fails(mx_model_open(&model, copy.folder, NULL, &err), status, message);
    assert_null(model);
    free(config);
    copy_remove(&copy);
}

static void refuses(const char *rename, const char *to, const char *from, const char *config_to, mx_status status,
                    const char *message)
{
    refuses_of(LLAMA, rename, to, from, config_to, status, message);
}

/* Layers of a kind that a type's models don't have: its tensors are missing, or no block does it. */
static void test_other_layers(void **state)
{
    (void)state;
    refuses_of("tests/data/families/mixtral", NULL, NULL, "\"num_local_experts\": 4", "\"num_local_experts\": null",
               MX_ERR_FORMAT, "model.layers.0.mlp.gate_proj");
    refuses_of("tests/data/families/phi", NULL, NULL, "\"num_hidden_layers\"",
               "\"num_experts\": 4, \"num_experts_per_tok\": 2, \"num_hidden_layers\"", MX_ERR_FORMAT,
               "model.layers.0.mlp.gate.weight");
    refuses(NULL, NULL, "\"num_hidden_layers\"",
            "\"num_experts\": 4, \"num_experts_per_tok\": 2, \"num_hidden_layers\"", MX_ERR_FORMAT,
            "model.layers.0.mlp.gate.weight");
}

static void test_refusals(void **state)
{
    (void)state;
    struct mx_error err;
    struct mx_model *model;
    assert_fails(mx_model_open(&model, "/nowhere/at/all", NULL, &err), MX_ERR_IO, "no such directory");
    refuses("model.norm.weight", "model.other.weight", NULL, NULL, MX_ERR_FORMAT, "model.norm.weight");
    refuses("model.layers.1.mlp.up_proj.weight", "model.layers.1.mlp.up.weight", NULL, NULL, MX_ERR_FORMAT,
            "model.layers.1.mlp.up_proj");
    refuses(NULL, NULL, "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1", MX_ERR_FORMAT, "model.layers.1.");
    refuses(NULL, NULL, "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3", MX_ERR_FORMAT, "model.layers.2.");
    refuses(NULL, NULL, "\"intermediate_size\": 64", "\"intermediate_size\": 72", MX_ERR_FORMAT, "[72, 64]");
    refuses(NULL, NULL, "\"vocab_size\": 256", "\"vocab_size\": 128", MX_ERR_FORMAT, "model.embed_tokens");
    refuses(NULL, NULL, "\"model_type\": \"llama\"", "\"model_type\": \"llamb\"", MX_ERR_UNSUPPORTED, "llamb");
    refuses(NULL, NULL, "\"model_type\": \"llama\"", "\"model_type\": \"llamb\"", MX_ERR_UNSUPPORTED, "mlxcel arch");
}

/* A bias that the config denies would change the text if it were left out in silence. */
static void test_unexpected_bias(void **state)
{
    (void)state;
    struct mx_error err;
    struct copy copy;
    copy_start(&copy);
    copy_all(&copy, LLAMA, NULL, NULL);
    static const uint16_t zeros[64];
    copy_tensor(&copy, "model.layers.0.self_attn.o_proj.bias", "BF16", 1, (const size_t[]){64}, zeros, sizeof zeros);
    char *config = config_of(LLAMA);
    copy_finish(&copy, config);
    struct mx_model *model;
    assert_fails(mx_model_open(&model, copy.folder, NULL, &err), MX_ERR_FORMAT, "self_attn.o_proj.bias is not part");
    free(config);
    copy_remove(&copy);
}

static void test_harmless_extra(void **state)
{
    (void)state;
    struct mx_error err;
    struct copy copy;
    copy_start(&copy);
    copy_all(&copy, LLAMA, NULL, NULL);
    static const float table[8];
    copy_tensor(&copy, "model.layers.0.self_attn.rotary_emb.inv_freq", "F32", 1, (const size_t[]){8}, table,
                sizeof table);
    copy_tensor(&copy, "model.layers.0.attn.bias", "F32", 4, (const size_t[]){1, 1, 2, 2}, table, 4 * sizeof *table);
    copy_tensor(&copy, "model.layers.0.attn.masked_bias", "F32", 1, (const size_t[]){1}, table, sizeof *table);
    char *config = config_of(LLAMA);
    copy_finish(&copy, config);
    struct mx_model *model, *same;
    assert_ok(mx_model_open(&model, copy.folder, NULL, &err));
    assert_ok(mx_model_open(&same, LLAMA, NULL, &err));
    assert_true(mx_model_fingerprint(model) != mx_model_fingerprint(same));
    assert_int_equal(mx_model_step_bytes(model), mx_model_step_bytes(same));
    mx_model_close(model);
    mx_model_close(same);
    free(config);
    copy_remove(&copy);
}

static void test_bad_tokens(void **state)
{
    (void)state;
    struct mx_error err;
    struct mx_session *session = session_of(LLAMA, MX_CPU_SCALAR, 1, 256, 16);
    const int32_t beyond[] = {1, 256}, negative[] = {-1};
    int32_t many[300] = {0};
    assert_fails(mx_session_feed(session, beyond, 2, NULL, NULL, &err), MX_ERR_ARGUMENT, "token id 256");
    assert_fails(mx_session_feed(session, negative, 1, NULL, NULL, &err), MX_ERR_ARGUMENT, "token id -1");
    assert_fails(mx_session_feed(session, many, 300, NULL, NULL, &err), MX_ERR_LIMIT, "");
    size_t count;
    mx_session_tokens(session, &count);
    assert_int_equal(count, 0);
    mx_session_close(session);
}

/* A text with more keys than a dynamic mask keeps would need the choice among them. */
static void test_dynamic_mask_ends(void **state)
{
    (void)state;
    enum { KEPT = 2048 };
    struct mx_error err;
    static const int32_t many[KEPT + 1] = {0};
    struct mx_session *session = session_of("tests/data/families/doge", MX_CPU_SCALAR, 1, KEPT + 16, 16);
    assert_fails(mx_session_feed(session, many, KEPT + 1, NULL, NULL, &err), MX_ERR_LIMIT, "computes otherwise");
    assert_ok(mx_session_feed(session, many, 3, NULL, NULL, &err));
    mx_session_close(session);
}

static void test_workspace_is_counted(void **state)
{
    (void)state;
    struct mx_error err;
    struct mx_arch arch = {0};
    assert_ok(mx_arch_open(&arch, LLAMA, &err));
    assert_true(mx_workspace_bytes(&arch, 512, 1, 2) > 512 * 4 * 64 * 4);
    assert_true(mx_workspace_bytes(&arch, 512, 512, 2) > mx_workspace_bytes(&arch, 512, 1, 2));
    assert_int_equal(mx_workspace_rows(&arch, 512), 512);
    mx_arch_free(&arch);
}

/* --- forms of experts --- */

/* Appends the tensor of `part` of all experts of layer 1 (the one with experts) to `out`. */
static const struct mx_tensor *stack(const struct mx_checkpoint *checkpoint, const char *part, int expert)
{
    char name[128];
    snprintf(name, sizeof name, "model.layers.1.mlp.experts.%d.%s.weight", expert, part);
    const struct mx_tensor *tensor = mx_checkpoint_find(checkpoint, name);
    assert_non_null(tensor);
    return tensor;
}

/* A stack [8, sum of rows, cols] of the given parts. */
/* [rows, cols] of 16-bit numbers as [cols, rows]. */
static void append_across(struct mx_str *data, const struct mx_str *matrix, size_t rows, size_t cols)
{
    for (size_t c = 0; c < cols; c++)
        for (size_t r = 0; r < rows; r++) mx_str_append(data, matrix->data + (r * cols + c) * 2, 2);
}

static void copy_stack(struct copy *copy, const struct mx_checkpoint *checkpoint, const char *name, const char *a,
                       const char *b, bool across)
{
    struct mx_str data = {0};
    const struct mx_tensor *first = stack(checkpoint, a, 0);
    const size_t rows = first->shape[0] * (b ? 2 : 1), cols = first->shape[1];
    for (int expert = 0; expert < 8; expert++) {
        struct mx_str matrix = {0};
        const struct mx_tensor *part = stack(checkpoint, a, expert);
        mx_str_append(&matrix, part->data, part->bytes);
        part = b ? stack(checkpoint, b, expert) : NULL;
        if (part) mx_str_append(&matrix, part->data, part->bytes);
        if (across)
            append_across(&data, &matrix, rows, cols);
        else
            mx_str_append(&data, matrix.data, matrix.length);
        mx_str_free(&matrix);
    }
    const size_t shape[] = {8, across ? cols : rows, across ? rows : cols};
    copy_tensor(copy, name, "BF16", 3, shape, data.data, data.length);
    mx_str_free(&data);
}

enum form { SWITCHED, FUSED, FUSED_ACROSS };

static void check_experts_form(enum form form, const int32_t *ids, size_t n, const float *expected)
{
    struct copy copy;
    copy_start(&copy);
    struct mx_checkpoint *checkpoint = open_checkpoint(EXPERTS);
    for (size_t i = 0; i < mx_checkpoint_tensor_count(checkpoint); i++) {
        const struct mx_tensor *tensor = mx_checkpoint_tensor(checkpoint, i);
        if (strstr(tensor->name, ".experts.")) continue;
        copy_tensor(&copy, tensor->name, "BF16", tensor->rank, tensor->shape, tensor->data, tensor->bytes);
    }
    if (form != SWITCHED) {
        const bool across = form == FUSED_ACROSS;
        copy_stack(&copy, checkpoint, "model.layers.1.mlp.experts.gate_up_proj", "gate_proj", "up_proj", across);
        copy_stack(&copy, checkpoint, "model.layers.1.mlp.experts.down_proj", "down_proj", NULL, across);
    } else {
        copy_stack(&copy, checkpoint, "model.layers.1.mlp.switch_mlp.gate_proj.weight", "gate_proj", NULL, false);
        copy_stack(&copy, checkpoint, "model.layers.1.mlp.switch_mlp.up_proj.weight", "up_proj", NULL, false);
        copy_stack(&copy, checkpoint, "model.layers.1.mlp.switch_mlp.down_proj.weight", "down_proj", NULL, false);
    }
    mx_checkpoint_close(checkpoint);
    char *config = config_of(EXPERTS);
    copy_finish(&copy, config);
    struct mx_session *session = session_of(copy.folder, mx_cpu_detect(), 1, 256, 48);
    float *logits = logits_of(session, ids, n);
    assert_memory_equal(logits, expected, n * 128 * sizeof *logits);
    free(logits);
    mx_session_close(session);
    free(config);
    copy_remove(&copy);
}

static void test_experts_forms(void **state)
{
    (void)state;
    cJSON *root = json_of(EXPERTS, "reference.json");
    size_t n;
    int32_t *ids = ids_of(mx_json_get(root, "tokens"), &n);
    struct mx_session *session = session_of(EXPERTS, mx_cpu_detect(), 1, 256, 48);
    float *expected = logits_of(session, ids, n);
    mx_session_close(session);
    for (enum form form = SWITCHED; form <= FUSED_ACROSS; form++) check_experts_form(form, ids, n, expected);
    free(expected);
    free(ids);
    cJSON_Delete(root);
}

/* --- quantized weights --- */

/* Sets one scale of a quantized model to NaN, in the file. */
static void poison(const char *directory)
{
    struct mx_error err;
    struct mx_checkpoint *checkpoint = open_checkpoint(directory);
    const struct mx_tensor *scales = mx_checkpoint_find(checkpoint, "model.layers.1.mlp.down_proj.scales");
    assert_non_null(scales);
    char path[256], *data;
    size_t length;
    snprintf(path, sizeof path, "%s", scales->file);
    assert_ok(mx_file_read(path, 1 << 24, &data, &length, &err));
    static const uint16_t nan = 0x7fc0;
    memcpy(data + scales->offset + scales->bytes - 2, &nan, 2);
    mx_checkpoint_close(checkpoint);
    assert_ok(mx_file_write(path, data, length, &err));
    free(data);
}

/* A quantized model's logits move with fewer bits, hardly with 8; each level computes the same; a NaN is refused. */
static void test_quantized(void **state)
{
    (void)state;
    struct mx_error err;
    cJSON *root = json_of(LLAMA, "reference.json");
    size_t n;
    int32_t *ids = ids_of(mx_json_get(root, "tokens"), &n);
    struct mx_session *session = session_of(LLAMA, MX_CPU_SCALAR, 1, 256, 48);
    float *plain = logits_of(session, ids, n);
    mx_session_close(session);
    static const struct {
        int bits;
        double limit; /* wide: in random weights nothing averages out */
    } cases[] = {{8, 0.07}, {6, 0.17}, {4, 0.65}};
    for (size_t i = 0; i < 3; i++) {
        char folder[] = "/tmp/mlxcel-quantized-XXXXXX", target[64];
        assert_non_null(mkdtemp(folder));
        snprintf(target, sizeof target, "%s/q", folder);
        const struct mx_quantize_options options = {.bits = cases[i].bits, .group = 32};
        assert_ok(mx_quantize_checkpoint(LLAMA, target, &options, NULL, NULL, &err));
        float *levels[3] = {NULL};
        for (int cpu = MX_CPU_SCALAR; cpu <= (int)mx_cpu_detect(); cpu++) {
            session = session_of(target, (enum mx_cpu_level)cpu, 2, 256, 48);
            levels[cpu] = logits_of(session, ids, n);
            mx_session_close(session);
            assert_true(distance(levels[cpu], plain, n * 256) < cases[i].limit);
        }
        /* Scalar weights are rounded to bf16 as the format defines, vector ones are not: half of what 8 bits lose. */
        if (levels[1]) assert_true(distance(levels[1], levels[0], n * 256) < 0.03);
        if (levels[2]) assert_true(distance(levels[2], levels[1], n * 256) < 1e-3);
        for (int cpu = 0; cpu < 3; cpu++) free(levels[cpu]);
        poison(target);
        struct mx_model *model;
        assert_fails(mx_model_open(&model, target, NULL, &err), MX_ERR_FORMAT, "down_proj.scales");
        char command[128];
        snprintf(command, sizeof command, "rm -r %s", folder);
        assert_int_equal(system(command), 0);
    }
    free(plain);
    free(ids);
    cJSON_Delete(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_other_layers),
        cmocka_unit_test(test_unexpected_bias),
        cmocka_unit_test(test_harmless_extra),
        cmocka_unit_test(test_bad_tokens),
        cmocka_unit_test(test_dynamic_mask_ends),
        cmocka_unit_test(test_workspace_is_counted),
        cmocka_unit_test(test_experts_forms),
        cmocka_unit_test(test_quantized),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
