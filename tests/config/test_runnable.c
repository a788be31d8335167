/* The families that the engine runs: every tensor that the description lists is in the checkpoint, with the shape that
 * the description implies, and no other is; and what configs say of windows, positions and experts. */
#include "support.h"

#include <dirent.h>
#include <math.h>
#include <unistd.h>

#include "config/headers.h"
#include "config/names.h"

static struct mx_error err;

struct check {
    const char *folder;
    struct mx_arch arch;
    struct mx_name_world world;
    cJSON *header, *rest; /* all tensors; those that nothing described so far */
};

static const cJSON *find(const cJSON *header, const char *module, const char *part, char name[MX_NAME_SIZE + 16])
{
    snprintf(name, MX_NAME_SIZE + 16, "%s%s", module, part);
    return mx_json_get(header, name);
}

static bool exists(const void *context, const char *module)
{
    char name[MX_NAME_SIZE + 16];
    return find(context, module, ".weight", name) || find(context, module, "", name);
}

/* Takes MODULE.weight or MODULE out of the rest, once it has so many elements. */
static void take(struct check *check, const char *module, const char *part, uint64_t elements)
{
    char name[MX_NAME_SIZE + 16];
    const cJSON *tensor = find(check->header, module, part, name);
    if (!tensor) tensor = find(check->header, module, *part == '.' && part[1] == 'b' ? "_bias" : "", name);
    if (!tensor) fail_msg("%s: no tensor %s", check->folder, name);
    const uint64_t held = tensor_elements(tensor);
    if (held != elements)
        fail_msg("%s: %s holds %llu elements, not %llu", check->folder, name, (unsigned long long)held,
                 (unsigned long long)elements);
    cJSON_DeleteItemFromObjectCaseSensitive(check->rest, name);
}

/* The elements of a tensor, whose name is put into `name`. */
static uint64_t elements_of(const struct check *check, const char *module, char *name)
{
    const cJSON *tensor = find(check->header, module, ".weight", name);
    if (!tensor) tensor = find(check->header, module, "", name);
    return tensor ? tensor_elements(tensor) : 0;
}

/* Several tensors that are one here. */
static void take_parts(struct check *check, const char *module, uint64_t elements)
{
    char part[MX_NAME_SIZE], name[MX_NAME_SIZE + 16];
    uint64_t held = 0;
    for (unsigned i = 0; mx_name_part(part, module, i); i++) {
        held += elements_of(check, part, name);
        cJSON_DeleteItemFromObjectCaseSensitive(check->rest, name);
    }
    assert_int_equal(held, elements);
}

static mx_status take_tensor(void *context, const struct mx_tensor_spec *spec)
{
    struct check *check = context;
    struct mx_tensor_source source;
    char module[MX_NAME_SIZE], part[MX_NAME_SIZE];
    bool found = false;
    if (spec->repeated) return MX_OK;
    for (unsigned i = 0; !found && mx_tensor_source(&check->arch, &check->world, spec, i, &source); i++) {
        mx_name_part(part, source.module, 0);
        mx_name_expert(module, part, 0);
        found = exists(check->header, module);
    }
    if (!found) fail_msg("%s: no tensor for \"%s\" of layer %d", check->folder, mx_role_name(spec->role), spec->layer);
    if (strchr(source.module, '{')) {
        take_parts(check, source.module, source.rows * spec->cols);
        return MX_OK;
    }
    const uint32_t tensors = source.each && spec->count ? spec->count : 1;
    const uint64_t stacked = !source.each && spec->count ? spec->count : 1;
    for (uint32_t i = 0; i < tensors; i++) {
        mx_name_expert(module, source.module, i);
        take(check, module, ".weight", stacked * source.rows * spec->cols);
        if (spec->bias) take(check, module, ".bias", stacked * source.rows);
    }
    return MX_OK;
}

/* Tensors of experts that pass their input on, which the reference's exporter writes, and of those for images: nobody
 * reads them. */
static void drop_experts_behind(cJSON *header, const struct mx_experts *experts)
{
    for (cJSON *tensor = header->child, *next; tensor; tensor = next) {
        const char *at = strstr(tensor->string, ".experts.");
        next = tensor->next;
        if ((experts->empty || experts->others) && at && strtoul(at + strlen(".experts."), NULL, 10) >= experts->count)
            cJSON_Delete(cJSON_DetachItemViaPointer(header, tensor));
    }
}

/* Scales of packed weights are no numbers of the model's. */
static void drop_scales(cJSON *header)
{
    for (cJSON *tensor = header->child, *next; tensor; tensor = next) {
        next = tensor->next;
        if (strstr(tensor->string, ".weight_scale")) cJSON_Delete(cJSON_DetachItemViaPointer(header, tensor));
    }
}

/* What is for images or sound alone, beside the text model. */
static void drop_idle(cJSON *header, const struct mx_names *names)
{
    for (cJSON *tensor = header->child, *next; tensor; tensor = next) {
        next = tensor->next;
        if (mx_names_are_idle(names, tensor->string)) cJSON_Delete(cJSON_DetachItemViaPointer(header, tensor));
    }
}

/* True if the engine runs the model of this folder, whose tensors then are those of the list. */
static bool check_folder(const char *root, const char *folder, const char *config)
{
    char path[512];
    struct check check = {.folder = folder};
    snprintf(path, sizeof path, "%s/%s/%s", root, folder, config);
    if (access(path, R_OK) != 0) return false;
    assert_ok(mx_arch_open(&check.arch, path, &err));
    const bool runs = check.arch.runnable;
    if (runs) {
        snprintf(path, sizeof path, "%s/%s/model.safetensors", root, folder);
        check.header = read_header(path);
        drop_experts_behind(check.header, &check.arch.experts);
        drop_scales(check.header);
        drop_idle(check.header, check.arch.names);
        check.rest = cJSON_Duplicate(check.header, true);
        assert_int_equal(mx_arch_parameters(&check.arch).total, header_elements(check.header));
        check.world = mx_names_world(&check.arch, exists, check.header);
        assert_ok(mx_tensors_each(&check.arch, take_tensor, &check));
        if (check.rest->child) fail_msg("%s: nothing describes tensor %s", folder, check.rest->child->string);
        cJSON_Delete(check.rest);
        cJSON_Delete(check.header);
    }
    mx_arch_free(&check.arch);
    return runs;
}

/* Every folder of a tree; returns how many of them run. */
static size_t check_all(const char *root)
{
    size_t count = 0;
    DIR *folder = opendir(root);
    assert_non_null(folder);
    for (const struct dirent *entry; (entry = readdir(folder));) {
        if (strchr(entry->d_name, '.')) continue; /* README.md, and the folder itself */
        count += check_folder(root, entry->d_name, "config.json");
        check_folder(root, entry->d_name, "config.legacy.json");
    }
    closedir(folder);
    return count;
}

static void test_tensors(void **state)
{
    (void)state;
    assert_true(check_all("tests/data/families") >= 15);
    if (!shared_fixtures()) return;
    char path[512];
    snprintf(path, sizeof path, "%s/families", shared_fixtures());
    print_message("%zu families run\n", check_all(path));
    snprintf(path, sizeof path, "%s/trained", shared_fixtures());
    check_all(path);
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
    assert_int_equal(arch.layers[0].attention.kind, MX_ATTENTION_SLIDING);
    assert_int_equal(arch.layers[3].attention.window, 4096); /* the class default */
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
    assert_int_equal(arch.layers[0].attention.kind, MX_ATTENTION_FULL);
    assert_int_equal(arch.layers[1].attention.kind, MX_ATTENTION_SLIDING);
    assert_int_equal(arch.layers[1].attention.window, 8);
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
    assert_int_equal(arch.layers[0].block, MX_BLOCK_PARALLEL);
    assert_true(arch.o_bias && arch.mlp_bias && arch.lm_head_bias && !arch.gated && !arch.tied);
    mx_arch_free(&arch);

    arch = parse("{\"model_type\":\"phi\",\"qk_layernorm\":true," SIZES "}");
    assert_true(arch.runnable && arch.qk_norm == MX_QK_NORM_HEAD && arch.qk_norm_bias);
    mx_arch_free(&arch);

    arch = parse("{\"model_type\":\"llama\",\"rope_scaling\":{\"type\":\"longrope\"}," SIZES "}");
    assert_false(arch.runnable);
    assert_non_null(strstr(arch.not_runnable, "longrope"));
    mx_arch_free(&arch);
}

/* OPT has biases and norms' weights unless its config says that it has none. */
static void test_opt(void **state)
{
    struct mx_arch arch = parse("{\"model_type\":\"opt\",\"ffn_dim\":96," SIZES "}");
    assert_true(arch.runnable && arch.qkv_bias && arch.o_bias && arch.mlp_bias && !arch.no_final_norm);
    mx_arch_free(&arch);
    arch = parse("{\"model_type\":\"opt\",\"ffn_dim\":96,\"enable_bias\":false,"
                 "\"layer_norm_elementwise_affine\":false," SIZES "}");
    assert_false(arch.runnable || arch.qkv_bias || arch.o_bias || arch.mlp_bias);
    assert_non_null(strstr(arch.not_runnable, "norms have no weights"));
    mx_arch_free(&arch);
}

/* The bounds of a layer's products: the experts' from one list, a dense layer's and the shared expert's from another.
 */
static void test_bounds(void **state)
{
    struct mx_arch arch;
    assert_ok(mx_arch_open(&arch, "tests/data/families/step3p5/config.json", &err));
    for (uint32_t i = 0; i < arch.layer_count; i++) {
        assert_float_equal(arch.layers[i].feed_forward.bound, i == 3 ? 0.3 : 0, 0);
        assert_float_equal(arch.layers[i].feed_forward.shared_bound, i == 3 ? 0.4 : 0, 0);
    }
    mx_arch_free(&arch);
}

static void test_experts(void **state)
{
    struct mx_arch arch =
        parse("{\"model_type\":\"qwen2_moe\",\"num_experts\":8,\"num_experts_per_tok\":2,"
              "\"decoder_sparse_step\":2,\"mlp_only_layers\":[3],\"shared_expert_intermediate_size\":48,"
              "\"moe_intermediate_size\":32," SIZES "}");
    assert_int_equal(arch.layers[0].feed_forward.kind, MX_FEED_FORWARD_DENSE);
    assert_int_equal(arch.layers[0].feed_forward.width, 96);
    assert_int_equal(arch.layers[1].feed_forward.kind, MX_FEED_FORWARD_EXPERTS);
    assert_int_equal(arch.layers[1].feed_forward.width, 32);
    assert_int_equal(arch.layers[1].feed_forward.shared_width, 48);
    assert_int_equal(arch.layers[3].feed_forward.kind, MX_FEED_FORWARD_DENSE);
    assert_true(arch.experts.shared_gate && !arch.experts.normalize && arch.experts.softmax_first && arch.qkv_bias);
    mx_arch_free(&arch);
    arch = parse("{\"model_type\":\"mixtral\"," SIZES "}");
    assert_int_equal(arch.experts.count, 8);
    assert_int_equal(arch.experts.used, 2);
    assert_true(arch.experts.normalize && !arch.experts.softmax_first);
    mx_arch_free(&arch);
}

/* What a config leaves to its class, or says of a model that runs in part only. */
static void test_kin(void **state)
{
    struct mx_arch arch = parse("{\"model_type\":\"baichuan\",\"model_max_length\":4096," SIZES "}");
    assert_true(arch.runnable && arch.positions == MX_POSITIONS_ALIBI && !arch.layers[0].attention.rope); /* 13B */
    mx_arch_free(&arch);
    arch = parse("{\"model_type\":\"baichuan\",\"max_position_embeddings\":4096," SIZES "}");
    assert_true(arch.runnable && arch.positions == MX_POSITIONS_ROPE && arch.layers[0].attention.rope);
    mx_arch_free(&arch);
    arch = parse("{\"model_type\":\"baichuan\",\"max_position_embeddings\":4096,\"hidden_size\":64,"
                 "\"num_hidden_layers\":4,\"num_attention_heads\":4,\"intermediate_size\":96,\"vocab_size\":125696}");
    assert_true(arch.runnable && arch.head_unit == MX_HEAD_UNIT_ROWS);
    mx_arch_free(&arch);
    arch = parse("{\"model_type\":\"bailing_moe\",\"norm_head\":true,\"num_experts\":8,\"num_experts_per_tok\":2," SIZES
                 "}");
    assert_true(arch.runnable && arch.head_unit == MX_HEAD_UNIT_COLUMNS);
    mx_arch_free(&arch);
    arch = parse("{\"model_type\":\"qwen\",\"seq_length\":2048," SIZES "}");
    assert_int_equal(arch.text_limit, 2048);
    mx_arch_free(&arch);
    arch = parse("{\"model_type\":\"qwen\",\"seq_length\":2048,\"use_dynamic_ntk\":false,\"use_logn_attn\":false," SIZES
                 "}");
    assert_int_equal(arch.text_limit, 0);
    mx_arch_free(&arch);
    arch = parse("{\"model_type\":\"chatglm\",\"rope_ratio\":500,\"kv_channels\":16," SIZES "}");
    assert_true(arch.rope[0].theta == 5e6 && arch.rope[0].dims == 8);
    mx_arch_free(&arch);
    arch = parse("{\"model_type\":\"llama4_text\",\"attn_temperature_tuning\":4,\"floor_scale\":8192," SIZES "}");
    assert_true(arch.layers[3].attention.query_growth > 0 && !arch.layers[3].attention.rope);
    mx_arch_free(&arch);
    arch = parse("{\"model_type\":\"chatglm\",\"position_encoding_2d\":true," SIZES "}");
    assert_false(arch.runnable);
    mx_arch_free(&arch);
}

/* A bare body leaves out the first step of its path. */
static void test_bare_bodies(void **state)
{
    static const struct {
        const char *type, *bare;
    } cases[] = {{"opt", "decoder."}, {"llama", ""}, {"gpt2", ""}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[256];
        struct mx_name_world world;
        bool found = false;
        snprintf(text, sizeof text, "{\"model_type\":\"%s\"," SIZES "}", cases[i].type);
        struct mx_arch arch = parse(text);
        for (unsigned w = 0; mx_names_world_at(&arch, w, &world); w++)
            found |= !world.outer[0] && !strcmp(world.body, cases[i].bare);
        if (!found) fail_msg("%s: no body \"%s\"", cases[i].type, cases[i].bare);
        mx_arch_free(&arch);
    }
}

/* A switch of arithmetic that the engine does not have is no detail: the model does not run. */
static void test_switches(void **state)
{
    static const struct {
        const char *fields;
        bool runs;
    } cases[] = {
        {"\"model_type\":\"gpt2\",\"scale_attn_by_inverse_layer_idx\":false", true},
        {"\"model_type\":\"gpt2\",\"scale_attn_by_inverse_layer_idx\":true", false},
        {"\"model_type\":\"gpt_bigcode\",\"scale_attn_by_inverse_layer_idx\":true", false},
        {"\"model_type\":\"bloom\",\"apply_residual_connection_post_layernorm\":true", false},
        {"\"model_type\":\"opt\",\"layer_norm_elementwise_affine\":false", false},
        {"\"model_type\":\"gemma3_text\",\"use_bidirectional_attention\":false", true},
        {"\"model_type\":\"gemma3_text\",\"use_bidirectional_attention\":true", false},
        {"\"model_type\":\"qwen3_moe\",\"scoring_func\":\"sigmoid\"", true},
        {"\"model_type\":\"qwen3_moe\",\"scoring_func\":\"sqrtsoftplus\"", false},
        {"\"model_type\":\"deepseek_v2\",\"topk_method\":\"greedy\"", true},
        {"\"model_type\":\"deepseek_v2\",\"topk_method\":\"novel\"", false},
        {"\"model_type\":\"step3p7\"", false}, /* described, not known to be the same as the one before */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[512];
        snprintf(text, sizeof text, "{%s," SIZES "}", cases[i].fields);
        struct mx_arch arch = parse(text);
        if (arch.runnable != cases[i].runs) fail_msg("%s: %s", cases[i].fields, arch.not_runnable);
        mx_arch_free(&arch);
    }
    struct mx_arch arch = parse("{\"model_type\":\"gpt2\",\"scale_attn_weights\":false," SIZES "}");
    assert_true(arch.attention_scale == 1);
    mx_arch_free(&arch);
    arch = parse("{\"model_type\":\"glm_moe_dsa\",\"indexer_rope_interleave\":false," SIZES "}");
    assert_true(arch.rope[0].interleaved && !arch.layers[0].attention.indexer.interleaved);
    mx_arch_free(&arch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tensors), cmocka_unit_test(test_windows),  cmocka_unit_test(test_rope),
        cmocka_unit_test(test_opt),     cmocka_unit_test(test_bounds),   cmocka_unit_test(test_experts),
        cmocka_unit_test(test_kin),     cmocka_unit_test(test_switches), cmocka_unit_test(test_bare_bodies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
