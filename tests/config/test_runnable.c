/* The families that the engine runs: every tensor that the description names is in the checkpoint, with the shape that
 * the description implies, and no other is. */
#include "support.h"

#include <math.h>

#include "config/arch.h"
#include "config/headers.h"

static struct mx_error err;

/* Takes a tensor out of the header after comparing its shape; cols 0: a vector. */
static void take(cJSON *header, uint64_t rows, uint64_t cols, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static void take(cJSON *header, uint64_t rows, uint64_t cols, const char *format, ...)
{
    char name[256];
    va_list list;
    va_start(list, format);
    vsnprintf(name, sizeof name, format, list);
    va_end(list);
    cJSON *tensor = cJSON_DetachItemFromObjectCaseSensitive(header, name);
    if (!tensor) fail_msg("no tensor %s", name);
    const cJSON *shape = mx_json_get(tensor, "shape");
    assert_int_equal(cJSON_GetArraySize(shape), cols ? 2 : 1);
    if (cJSON_GetNumberValue(cJSON_GetArrayItem(shape, 0)) != (double)rows ||
        (cols && cJSON_GetNumberValue(cJSON_GetArrayItem(shape, 1)) != (double)cols))
        fail_msg("%s is not [%llu, %llu]", name, (unsigned long long)rows, (unsigned long long)cols);
    cJSON_Delete(tensor);
}

static void take_linear(cJSON *header, const char *prefix, const char *name, uint64_t out, uint64_t in, bool bias)
{
    assert_non_null(name);
    take(header, out, in, "%s%s.weight", prefix, name);
    if (bias) take(header, out, 0, "%s%s.bias", prefix, name);
}

static void take_norm(cJSON *header, const struct mx_arch *arch, const char *prefix, const char *name)
{
    take(header, arch->hidden, 0, "%s%s.weight", prefix, name);
    if (arch->norm_bias) take(header, arch->hidden, 0, "%s%s.bias", prefix, name);
}

static void take_experts(cJSON *header, const struct mx_arch *arch, const struct mx_layer *layer, const char *prefix)
{
    const struct mx_tensor_names *names = &arch->names;
    take_linear(header, prefix, names->router, arch->experts.count, arch->hidden, false);
    for (unsigned e = 0; e < arch->experts.count; e++) {
        const char *const parts[] = {names->expert_gate, names->expert_up, names->expert_down};
        for (int p = 0; p < 3; p++) {
            char name[128];
            const char *number = strstr(parts[p], "%u");
            snprintf(name, sizeof name, "%.*s%u%s", (int)(number - parts[p]), parts[p], e, number + 2);
            take_linear(header, prefix, name, p < 2 ? layer->intermediate : arch->hidden,
                        p < 2 ? arch->hidden : layer->intermediate, false);
        }
    }
    if (!layer->shared_intermediate) return;
    take_linear(header, prefix, names->shared_gate, layer->shared_intermediate, arch->hidden, false);
    take_linear(header, prefix, names->shared_up, layer->shared_intermediate, arch->hidden, false);
    take_linear(header, prefix, names->shared_down, arch->hidden, layer->shared_intermediate, false);
    if (arch->experts.shared_gate) take_linear(header, prefix, names->shared_expert_gate, 1, arch->hidden, false);
}

static void take_layer(cJSON *header, const struct mx_arch *arch, unsigned index)
{
    const struct mx_tensor_names *names = &arch->names;
    const struct mx_layer *layer = &arch->layers[index];
    char prefix[64];
    const char *number = strstr(names->layer, "%u");
    snprintf(prefix, sizeof prefix, "%.*s%u%s", (int)(number - names->layer), names->layer, index, number + 2);
    take_norm(header, arch, prefix, names->attention_norm);
    if (arch->block != MX_BLOCK_PARALLEL) take_norm(header, arch, prefix, names->ffn_norm);
    take_linear(header, prefix, names->q, layer->heads * layer->k_dim, arch->hidden, arch->qkv_bias);
    take_linear(header, prefix, names->k, layer->kv_heads * layer->k_dim, arch->hidden, arch->qkv_bias);
    take_linear(header, prefix, names->v, layer->kv_heads * layer->v_dim, arch->hidden, arch->qkv_bias);
    take_linear(header, prefix, names->o, arch->hidden, layer->heads * layer->v_dim, arch->o_bias);
    if (arch->qk_norm == MX_QK_NORM_HEAD) {
        take(header, layer->k_dim, 0, "%s%s.weight", prefix, names->q_norm);
        take(header, layer->k_dim, 0, "%s%s.weight", prefix, names->k_norm);
    }
    if (layer->feed_forward == MX_FEED_FORWARD_EXPERTS) {
        take_experts(header, arch, layer, prefix);
        return;
    }
    if (arch->gated) take_linear(header, prefix, names->gate, layer->intermediate, arch->hidden, arch->mlp_bias);
    take_linear(header, prefix, names->up, layer->intermediate, arch->hidden, arch->mlp_bias);
    take_linear(header, prefix, names->down, arch->hidden, layer->intermediate, arch->mlp_bias);
}

static void check_folder(const char *root, const char *folder, const char *config)
{
    char path[256];
    struct mx_arch arch;
    snprintf(path, sizeof path, "%s/%s/%s", root, folder, config);
    assert_ok(mx_arch_open(&arch, path, &err));
    if (!arch.runnable) fail_msg("%s: %s", folder, arch.not_runnable);
    snprintf(path, sizeof path, "%s/%s/model.safetensors", root, folder);
    cJSON *header = read_header(path);
    assert_int_equal(mx_arch_parameters(&arch).total, header_elements(header));
    take(header, arch.vocab, arch.hidden, "%s.weight", arch.names.embedding);
    if (!arch.tied) take(header, arch.vocab, arch.hidden, "%s.weight", arch.names.lm_head);
    if (arch.lm_head_bias) take(header, arch.vocab, 0, "%s.bias", arch.names.lm_head);
    take_norm(header, &arch, "", arch.names.final_norm);
    for (unsigned i = 0; i < arch.layer_count; i++) take_layer(header, &arch, i);
    if (header->child) fail_msg("%s: nothing describes tensor %s", folder, header->child->string);
    cJSON_Delete(header);
    mx_arch_free(&arch);
}

static void test_tensors(void **state)
{
    static const char *const families[] = {"llama",
                                           "llama_bias",
                                           "llama_rope_dynamic",
                                           "llama_rope_linear",
                                           "llama_rope_llama3",
                                           "llama_rope_yarn",
                                           "mistral",
                                           "qwen2",
                                           "qwen2_sliding",
                                           "qwen3",
                                           "qwen2_moe",
                                           "qwen3_moe",
                                           "mixtral",
                                           "phi",
                                           "llama_rope_yarn_ramp"};
    static const char *const trained[] = {"llama", "qwen3", "phi", "qwen3_moe"};
    const char *root = shared_fixtures();
    if (!root) skip_needing("../shared/fixtures");
    char folder[128];
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        snprintf(folder, sizeof folder, "families/%s", families[i]);
        check_folder(root, folder, "config.json");
        check_folder(root, folder, "config.legacy.json");
    }
    for (size_t i = 0; i < sizeof trained / sizeof *trained; i++) {
        snprintf(folder, sizeof folder, "trained/%s", trained[i]);
        check_folder(root, folder, "config.json");
    }
}

/* A description from text written here. */
static struct mx_arch parse(const char *text)
{
    struct mx_arch arch;
    cJSON *root;
    const struct mx_json_rules rules = {.allow_nan = true};
    assert_ok(mx_json_parse(&root, text, strlen(text), "config.json", &rules, &err));
    assert_ok(mx_arch_from_json(&arch, root, "config.json", &err));
    cJSON_Delete(root);
    return arch;
}
#define SIZES                                                                                                          \
    "\"hidden_size\":64,\"num_hidden_layers\":4,\"num_attention_heads\":4,\"num_key_value_heads\":2,"                  \
    "\"intermediate_size\":96,\"vocab_size\":128"

static void test_windows(void **state)
{
    struct mx_arch arch = parse("{\"model_type\":\"mistral\"," SIZES "}");
    assert_int_equal(arch.layers[0].attention, MX_ATTENTION_SLIDING);
    assert_int_equal(arch.layers[3].window, 4096); /* the class default */
    mx_arch_free(&arch);
    arch = parse("{\"model_type\":\"mistral\",\"sliding_window\":null," SIZES "}");
    assert_int_equal(arch.class_, MX_CLASS_STANDARD);
    mx_arch_free(&arch);
    arch = parse("{\"model_type\":\"qwen2\",\"sliding_window\":8,\"max_window_layers\":1," SIZES "}");
    assert_int_equal(arch.class_, MX_CLASS_STANDARD); /* use_sliding_window is false unless said */
    mx_arch_free(&arch);
    arch = parse(
        "{\"model_type\":\"qwen2\",\"sliding_window\":8,\"max_window_layers\":1,\"use_sliding_window\":true," SIZES
        "}");
    assert_int_equal(arch.layers[0].attention, MX_ATTENTION_FULL);
    assert_int_equal(arch.layers[1].attention, MX_ATTENTION_SLIDING);
    assert_int_equal(arch.layers[1].window, 8);
    mx_arch_free(&arch);
}

static void test_rope(void **state)
{
    struct mx_arch arch = parse("{\"model_type\":\"llama\",\"rope_theta\":5e5,\"max_position_embeddings\":131072,"
                                "\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8.0,\"low_freq_factor\":1.0,"
                                "\"high_freq_factor\":4.0,\"original_max_position_embeddings\":8192}," SIZES "}");
    const struct mx_rope *rope = &arch.rope[0];
    assert_int_equal(rope->type, MX_ROPE_LLAMA3);
    assert_true(rope->theta == 5e5 && rope->factor == 8);
    assert_int_equal(rope->original_context, 8192);
    assert_int_equal(rope->dims, 16);
    mx_arch_free(&arch);

    arch = parse("{\"model_type\":\"qwen2\",\"max_position_embeddings\":32768,"
                 "\"rope_parameters\":{\"rope_type\":\"yarn\",\"factor\":4.0,\"rope_theta\":1e6}," SIZES "}");
    rope = &arch.rope[0];
    assert_int_equal(rope->type, MX_ROPE_YARN);
    assert_true(rope->theta == 1e6 && rope->beta_fast == 32 && rope->beta_slow == 1 && rope->truncate);
    assert_int_equal(rope->original_context, 32768);
    mx_arch_free(&arch);

    arch = parse("{\"model_type\":\"phi\",\"partial_rotary_factor\":0.25," SIZES "}");
    assert_int_equal(arch.rope[0].dims, 4);
    assert_int_equal(arch.activation, MX_ACTIVATION_GELU_TANH);
    assert_int_equal(arch.block, MX_BLOCK_PARALLEL);
    assert_true(arch.o_bias && arch.mlp_bias && arch.lm_head_bias && !arch.gated && !arch.tied);
    mx_arch_free(&arch);

    arch = parse("{\"model_type\":\"phi\",\"qk_layernorm\":true," SIZES "}");
    assert_false(arch.runnable);
    mx_arch_free(&arch);

    arch = parse("{\"model_type\":\"llama\",\"rope_scaling\":{\"type\":\"longrope\"}," SIZES "}");
    assert_false(arch.runnable);
    assert_non_null(strstr(arch.not_runnable, "longrope"));
    mx_arch_free(&arch);
}

static void test_experts(void **state)
{
    struct mx_arch arch =
        parse("{\"model_type\":\"qwen2_moe\",\"num_experts\":8,\"num_experts_per_tok\":2,"
              "\"decoder_sparse_step\":2,\"mlp_only_layers\":[3],\"shared_expert_intermediate_size\":48,"
              "\"moe_intermediate_size\":32," SIZES "}");
    assert_int_equal(arch.layers[0].feed_forward, MX_FEED_FORWARD_DENSE);
    assert_int_equal(arch.layers[0].intermediate, 96);
    assert_int_equal(arch.layers[1].feed_forward, MX_FEED_FORWARD_EXPERTS);
    assert_int_equal(arch.layers[1].intermediate, 32);
    assert_int_equal(arch.layers[1].shared_intermediate, 48);
    assert_int_equal(arch.layers[3].feed_forward, MX_FEED_FORWARD_DENSE);
    assert_true(arch.experts.shared_gate && !arch.experts.normalize && arch.experts.softmax_first && arch.qkv_bias);
    mx_arch_free(&arch);
    arch = parse("{\"model_type\":\"mixtral\"," SIZES "}");
    assert_int_equal(arch.experts.count, 8);
    assert_int_equal(arch.experts.used, 2);
    assert_true(arch.experts.normalize && !arch.experts.softmax_first);
    mx_arch_free(&arch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tensors),
        cmocka_unit_test(test_windows),
        cmocka_unit_test(test_rope),
        cmocka_unit_test(test_experts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
