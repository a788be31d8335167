/* Published schemes of quantized weights: what a module's weights take. */
#include <math.h>

#include "base/json.h"
#include "checkpoint/quantization.h"
#include "support.h"

static struct mx_error err;

/* Bytes per element of a matrix [4096, 4096] of a module, in a model of 32 layers; -1: unknown. */
static double bytes_of(const struct mx_scheme *scheme, int layer, const char *name)
{
    struct mx_scheme_matcher *matcher;
    const char *names[] = {name, NULL};
    const struct mx_module module = {.layer = layer,
                                     .names = names,
                                     .expert = strstr(name, "experts.") != NULL && !strstr(name, "shared"),
                                     .head = !strcmp(name, "lm_head"),
                                     .embedding = !strcmp(name, "model.embed_tokens")};
    assert_ok(mx_scheme_matcher_open(&matcher, scheme, 32, &err));
    const struct mx_width width = mx_scheme_width(matcher, &module);
    mx_scheme_matcher_close(matcher);
    const double bytes = mx_width_bytes(&width, 4096, 4096, 2);
    return bytes < 0 ? -1 : bytes / 4096 / 4096;
}

#define LINEAR 3, "self_attn.q_proj"
#define EXPERT 3, "mlp.experts.0.up_proj"

struct expectation {
    const char *config;    /* the object of "quantization_config" */
    double linear, expert; /* bytes per weight; -1: unknown, 0: the config describes no quantized weights */
};

static const struct expectation expectations[] = {
    {"{}", 0, 0},
    {"{'quant_method': 'gptq', 'bits': 4, 'group_size': 128}", .5 + 2.5 / 128, .5 + 2.5 / 128},
    {"{'quant_method': 'gptq', 'bits': 3, 'group_size': 32}", .375 + 2.375 / 32, .375 + 2.375 / 32},
    {"{'quant_method': 'gptq', 'bits': 8, 'group_size': -1}", 1 + 3. / 4096, 1 + 3. / 4096},
    {"{'quant_method': 'gptq'}", -1, -1},
    {"{'quant_method': 'awq', 'bits': 4, 'group_size': 64}", .5 + 2.5 / 64, .5 + 2.5 / 64},
    {"{'w_bit': 4, 'q_group_size': 128, 'version': 'GEMM'}", .5 + 2.5 / 128, .5 + 2.5 / 128},
    {"{'quant_method': 'auto-round', 'bits': 2, 'group_size': 128}", .25 + 2.25 / 128, .25 + 2.25 / 128},
    {"{'quant_method': 'intel/auto-round', 'bits': 4, 'group_size': 128,"
     "'extra_config': {'model.layers.3.self_attn.q_proj': {'bits': 16}}}",
     2, .5 + 2.5 / 128},
    {"{'quant_method': 'bitsandbytes', 'load_in_4bit': true}", .5 + 4. / 64, .5 + 4. / 64},
    {"{'quant_method': 'bitsandbytes', 'load_in_4bit': true, 'bnb_4bit_use_double_quant': true}",
     .5 + (1 + 4. / 256) / 64, .5 + (1 + 4. / 256) / 64},
    {"{'quant_method': 'bitsandbytes', '_load_in_8bit': true, 'load_in_4bit': false}", 1 + 4. / 4096, 1 + 4. / 4096},
    {"{'quant_method': 'bitsandbytes'}", -1, -1},
    {"{'quant_method': 'fp8', 'weight_block_size': [128, 128]}", 1 + 4. / 16384, 1 + 4. / 16384},
    {"{'quant_method': 'fp8', 'activation_scheme': 'static'}", 1 + 4. / 4096, 1 + 4. / 4096},
    {"{'quant_method': 'fp8', 'weight_block_size': [128, 128], 'ignored_layers': ['self_attn']}", 2, 1 + 4. / 16384},
    {"{'quant_method': 'fbgemm_fp8', 'modules_to_not_convert': ['model.layers.3.self_attn.q_proj']}", 2, 1 + 4. / 4096},
    {"{'quant_method': 'mxfp4', 'modules_to_not_convert': ['model.layers.*.self_attn', 'lm_head']}", 2, .5 + 1. / 32},
    {"{'quant_method': 'bitnet', 'linear_class': 'autobitlinear'}", .25 + 4. / 128, .25 + 4. / 128},
    {"{'quant_method': 'bitnet'}", .25 + 8. / 128, .25 + 8. / 128},
    {"{'quant_method': 'hqq', 'quant_config': {'weight_quant_params': {'nbits': 3, 'group_size': 64}}}", .375 + 4. / 64,
     .375 + 4. / 64},
    {"{'quant_method': 'aqlm', 'nbits_per_codebook': 16, 'num_codebooks': 1, 'in_group_size': 8}", .25 + 2. / 4096,
     .25 + 2. / 4096},
    {"{'quant_method': 'exl2', 'bits': 4.65, 'head_bits': 6}", 4.65 / 8, 4.65 / 8},
    {"{'quant_method': 'exl3', 'bits': 3.5, 'head_bits': 6}", 3.5 / 8, 3.5 / 8},
    {"{'quant_method': 'torchao', 'quant_type': 'int4_weight_only', 'quant_type_kwargs': {'group_size': 64}}",
     .5 + 4. / 64, .5 + 4. / 64},
    {"{'quant_method': 'torchao', 'quant_type': {'default': {'_type': 'Int8DynamicActivationInt4WeightConfig',"
     "'_data': {'group_size': 32}}}}",
     .5 + 4. / 32, .5 + 4. / 32},
    {"{'quant_method': 'torchao', 'quant_type': {'default': {'_type': 'Float8DynamicActivationFloat8WeightConfig'}}}",
     1 + 4. / 4096, 1 + 4. / 4096},
    {"{'quant_method': 'torchao', 'quant_type': {'default': {'_type': 'IntxWeightOnlyConfig', '_data':"
     "{'weight_dtype': {'_type': 'torch.dtype', '_data': 'int3'}, 'granularity': {'_data': {'group_size': 32}}}}}}",
     .375 + 4. / 32, .375 + 4. / 32},
    {"{'quant_method': 'torchao', 'quant_type': 'autoquant'}", -1, -1},
    {"{'quant_method': 'quark', 'global_quant_config': {'weight': {'dtype': 'fp8_e4m3', 'qscheme': 'per_tensor'}},"
     "'exclude': ['*self_attn*']}",
     2, 1 + 4. / 4096},
    {"{'quant_method': 'quark', 'global_quant_config': {'weight': {'dtype': 'uint4', 'qscheme': 'per_group',"
     "'group_size': 128}}}",
     .5 + 4. / 128, .5 + 4. / 128},
    {"{'quant_method': 'modelopt', 'quant_algo': 'NVFP4', 'exclude_modules': ['*self_attn*']}", 2, .5 + 1. / 16},
    {"{'quant_algo': 'FP8', 'kv_cache_quant_algo': 'FP8'}", 1 + 4. / 4096, 1 + 4. / 4096},
    {"{'quant_method': 'modelopt', 'quant_algo': 'MIXED_PRECISION', 'quantized_layers':"
     "{'model.layers.3.self_attn.q_proj': {'quant_algo': 'FP8'}}}",
     1 + 4. / 4096, 2},
    {"{'quant_method': 'modelopt', 'quant_algo': 'SOMETHING_NEW'}", -1, -1},
    {"{'quant_method': 'compressed-tensors', 'kv_cache_scheme': {'num_bits': 8}}", 0, 0},
    {"{'quant_method': 'compressed-tensors', 'format': 'dense', 'config_groups': {}}", 0, 0},
    {"{'quant_method': 'compressed-tensors', 'config_groups': {'group_0': {'targets': ['Linear'], 'weights':"
     "{'num_bits': 4, 'type': 'int', 'group_size': 32, 'symmetric': true}}}, 'ignore': ['re:.*self_attn.*']}",
     2, .5 + 2. / 32},
    {"{'quant_method': 'compressed-tensors', 'config_groups': {'a': {'targets': ['re:.*experts.*'], 'weights':"
     "{'num_bits': 4, 'type': 'float', 'group_size': 16}}, 'b': {'targets': ['Linear'], 'weights':"
     "{'num_bits': 8, 'type': 'float', 'strategy': 'channel'}}}}",
     1 + 4. / 4096, .5 + 1. / 16},
    {"{'quant_method': 'compressed-tensors', 'format': 'nvfp4-pack-quantized'}", .5 + 1. / 16, .5 + 1. / 16},
    {"{'quant_method': 'fp8', 'weight_block_size': [128, 128], 'moe_quant_algo': 'NVFP4', 'ignore': ['*.attn.*']}",
     1 + 4. / 16384, .5 + 1. / 16},
    {"{'quant_method': 'of-next-year', 'bits': 3, 'group_size': 64}", .375 + 2. / 64, .375 + 2. / 64},
    {"{'quant_method': 'of-next-year'}", -1, -1},
    {"{'quant_method': 'gptq', 'bits': 4, 'group_size': 128, 'dynamic': {'-:.*experts.*': {},"
     "'+:.*q_proj': {'bits': 8}}}",
     1 + 3. / 128, 2},
    {"{'quant_method': 'gptq', 'bits': 4, 'group_size': 128, 'dynamic': {'+:.*q_proj': {'bits': 8, 'group_size': 32}}}",
     1 + 3. / 32, .5 + 2.5 / 128},
    /* modules that alone are quantized */
    {"{'quant_method': 'gptq', 'bits': 4, 'group_size': 128, 'modules_in_block_to_quantize': [['self_attn.q_proj'],"
     "['self_attn.o_proj']]}",
     .5 + 2.5 / 128, 2},
    {"{'quant_method': 'auto-round', 'bits': 2, 'group_size': 128, 'extra_config': {'.*self_attn.*': {'bits': 4,"
     "'group_size': 32}}}",
     .5 + 2.5 / 32, .25 + 2.25 / 128},
    {"{'quant_method': 'auto-round', 'bits': 4, 'group_size': 32, 'data_type': 'mx_fp'}", .5 + 1. / 32, .5 + 1. / 32},
    {"{'quant_method': 'GPTQ', 'bits': 4, 'group_size': 128}", .5 + 2.5 / 128, .5 + 2.5 / 128},
    {"{'quant_method': 'quanto', 'weights': 'int8'}", 1 + 4. / 4096, 1 + 4. / 4096},
    {"{'quant_method': 'quanto', 'weights': 'of-next-year'}", -1, -1},
    {"{'quant_method': 'fp_quant', 'forward_dtype': 'nvfp4'}", .5 + 1. / 16, .5 + 1. / 16},
    {"{'quant_method': 'w8a8_int8'}", 1 + 4. / 4096, 1 + 4. / 4096}, /* the name says it */
    {"{'quant_method': 'hqq', 'quant_config': {'self_attn.q_proj': {'weight_quant_params': {'nbits': 8, 'group_size':"
     "64}}}}",
     1 + 4. / 64, 2},
    {"{'quant_method': 'bitnet', 'quantization_mode': 'online'}", 2, 2},
    {"{'quant_method': 'torchao', 'quant_type': {'default': {'_type': 'FPXWeightOnlyConfig', '_data': {'ebits': 3,"
     "'mbits': 2}}}}",
     .75 + 2. / 4096, .75 + 2. / 4096},
    {"{'quant_method': 'torchao', 'quant_type': {'default': {'_type': 'MXFPInferenceConfig', '_data': {'weight_dtype':"
     "'float8_e4m3fn', 'block_size': 32}}}}",
     1 + 1. / 32, 1 + 1. / 32},
    {"{'quant_method': 'quark', 'global_quant_config': {'weight': [{'dtype': 'fp8_e4m3', 'qscheme': 'per_channel'},"
     "{'dtype': 'int4', 'qscheme': 'per_channel'}]}}",
     .5 + 4. / 4096, .5 + 4. / 4096},
    {"{'quant_algo': 'FP8_PB_WO', 'group_size': 128}", 1 + 4. / 16384, 1 + 4. / 16384},
    /* groups that name modules alone: the rest is plain */
    {"{'quant_method': 'compressed-tensors', 'format': 'float-quantized', 'config_groups': {'a': {'targets':"
     "['re:.*experts.*'], 'weights': {'num_bits': 8, 'type': 'float'}}}}",
     2, 1 + 4. / 4096},
    {"{'quant_method': 'modelopt', 'quant_algo': 'MIXED_PRECISION', 'config_groups': {'a': {'targets':"
     "['model.layers.3.self_attn.q_proj'], 'weights': {'num_bits': 8, 'type': 'float'}}}}",
     1 + 4. / 4096, 2},
    {"{'quant_method': 'compressed-tensors', 'config_groups': {'W4A16': ['Linear']}}", .5 + 2. / 128, .5 + 2. / 128},
    {"{'quant_method': 'compressed-tensors', 'config_groups': {'OF_NEXT_YEAR': ['Linear']}}", -1, -1},
    {"{'quant_method': 'compressed-tensors', 'format': 'pack-quantized'}", -1, -1},
    {"{'quant_method': 'compressed-tensors', 'format': 'int-quantized'}", 1 + 4. / 4096, 1 + 4. / 4096},
    {"{'quant_method': 'compressed-tensors', 'config_groups': {'a': {'targets': ['Linear'], 'weights': {'num_bits': 8,"
     "'type': 'float', 'group_size': 32, 'scale_dtype': 'torch.uint8'}}}}",
     1 + 1. / 32, 1 + 1. / 32},
    /* half of the numbers, and a bit for each */
    {"{'quant_method': 'compressed-tensors', 'format': 'dense', 'sparsity_config': {'format': 'sparse-24-bitmask',"
     "'sparsity_structure': '2:4', 'global_sparsity': 0.4}}",
     9. / 8, 9. / 8},
    {"{'quant_method': 'compressed-tensors', 'format': 'dense', 'sparsity_config': {'format': 'dense'}}", 0, 0},
    {"{'qformat_weight': 'fp8_e4m3'}", 1 + 4. / 4096, 1 + 4. / 4096},
};

static mx_status read_object(struct mx_quantization *quantization, struct mx_arena *arena, const char *object)
{
    char text[1024];
    int length = snprintf(text, sizeof text, "{\"quantization_config\": %s}", object);
    for (char *c = text; *c; c++)
        if (*c == '\'') *c = '"';
    cJSON *config;
    const struct mx_json_rules rules = {0};
    assert_ok(mx_json_parse(&config, text, (size_t)length, "config.json", &rules, &err));
    const mx_status status = mx_quantization_read(quantization, arena, config, "config.json", &err);
    cJSON_Delete(config);
    return status;
}

static void each_scheme_has_its_width(void **state)
{
    for (size_t i = 0; i < sizeof expectations / sizeof *expectations; i++) {
        const struct expectation *one = &expectations[i];
        struct mx_quantization quantization;
        struct mx_arena arena = {0};
        assert_ok(read_object(&quantization, &arena, one->config));
        if (one->linear == 0) {
            if (quantization.kind != MX_QUANT_NONE) fail_msg("%s is quantized", one->config);
        } else {
            if (quantization.kind != MX_QUANT_FOREIGN) fail_msg("%s is not quantized", one->config);
            const double linear = bytes_of(&quantization.scheme, LINEAR),
                         expert = bytes_of(&quantization.scheme, EXPERT);
            if (fabs(linear - one->linear) > 1e-9 || fabs(expert - one->expert) > 1e-9)
                fail_msg("%s: %g and %g bytes, not %g and %g", one->config, linear, expert, one->linear, one->expert);
            assert_true(bytes_of(&quantization.scheme, -1, "model.embed_tokens") == 2);
        }
        mx_arena_free(&arena);
    }
}

/* What the loader can read, and what is near it. */
static void the_engine_runs_some(void **state)
{
#define GROUP(weights)                                                                                                 \
    "{'quant_method': 'compressed-tensors', 'format': 'float-quantized', 'ignore': ['lm_head'], 'config_groups': "     \
    "{'group_0': {'targets': ['Linear'], 'weights': {" weights "}}}}"
    static const struct {
        const char *config;
        bool runs;
    } cases[] = {
        {"{'quant_method': 'mxfp4', 'modules_to_not_convert': ['model.layers.*.self_attn', 'lm_head']}", true},
        {"{'quant_method': 'fp8', 'fmt': 'e4m3', 'weight_block_size': [128, 128]}", true},
        {"{'quant_method': 'fp8', 'fmt': 'float8_e4m3fn', 'weight_block_size': [128, 128]}", true},
        {"{'quant_method': 'compressed-tensors', 'format': 'float-quantized', 'sparsity_config': {'format':"
         "'sparse-24-bitmask', 'sparsity_structure': '2:4'}, 'config_groups': {'a': {'targets': ['Linear'], 'weights':"
         "{'num_bits': 8, 'type': 'float'}}}}",
         false},
        {"{'quant_method': 'finegrained_fp8', 'weight_block_size': [128, 128], 'ignored_layers': ['x']}", true},
        {"{'quant_method': 'fp8', 'activation_scheme': 'static'}", true},
        {"{'quant_method': 'fp8', 'fmt': 'e5m2', 'weight_block_size': [128, 128]}", false},
        {"{'quant_method': 'fp8', 'weight_block_size': [128, 100]}", false},
        {"{'quant_method': 'fp8', 'weight_block_size': [128, 128], 'moe_quant_algo': 'NVFP4'}", false},
        {"{'quant_method': 'fbgemm_fp8', 'activation_scale_ub': 1200}", true},
        {"{'quant_method': 'modelopt', 'quant_algo': 'FP8'}", true},
        {"{'quant_method': 'modelopt', 'quant_algo': 'NVFP4'}", false},
        {GROUP("'num_bits': 8, 'type': 'float', 'strategy': 'channel', 'symmetric': true"), true},
        {GROUP("'num_bits': 8, 'type': 'float', 'strategy': 'tensor', 'group_size': null"), true},
        {GROUP("'num_bits': 8, 'type': 'float', 'strategy': 'block', 'block_structure': [128, 128]"), true},
        {GROUP("'num_bits': 8, 'type': 'int', 'strategy': 'channel'"), false},
        {GROUP("'num_bits': 4, 'type': 'float', 'group_size': 16"), false},
        {"{'quant_method': 'bitnet'}", true},
        {"{'quant_method': 'bitnet', 'linear_class': 'autobitlinear', 'modules_to_not_convert': ['o_proj']}", true},
        {"{'quant_method': 'bitnet', 'linear_class': 'autobitlinear', 'quantization_mode': 'online'}", true},
        {"{'quant_method': 'bitnet', 'linear_class': 'autobitlinear', 'quantization_mode': 'online',"
         "'modules_to_not_convert': ['lm_head']}",
         true},
        {"{'quant_method': 'bitnet', 'linear_class': 'autobitlinear', 'quantization_mode': 'online',"
         "'modules_to_not_convert': ['o_proj']}",
         false},
        {"{'quant_method': 'bitnet', 'linear_class': 'autobitlinear', 'quantization_mode': 'later'}", false},
        {"{'quant_method': 'bitnet', 'linear_class': 'other'}", false},
        {"{'quant_method': 'bitnet', 'use_rms_norm': true}", false},
        {"{'quant_method': 'gptq', 'bits': 4, 'group_size': 128}", false},
        {"{'quant_method': 'awq', 'bits': 8, 'group_size': 128}", false},
    };
#undef GROUP
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mx_quantization quantization;
        struct mx_arena arena = {0};
        assert_ok(read_object(&quantization, &arena, cases[i].config));
        assert_int_equal(quantization.kind, MX_QUANT_FOREIGN);
        if (quantization.scheme.runs != cases[i].runs) fail_msg("%s: runs %d", cases[i].config, !cases[i].runs);
        mx_arena_free(&arena);
    }
}

static void the_output_matrix_may_have_bits_of_its_own(void **state)
{
    struct mx_quantization quantization;
    struct mx_arena arena = {0};
    assert_ok(read_object(&quantization, &arena, "{'quant_method': 'exl3', 'bits': 4.0, 'head_bits': 6}"));
    assert_true(bytes_of(&quantization.scheme, -1, "lm_head") == .75);
    assert_ok(
        read_object(&quantization, &arena, "{'quant_method': 'gptq', 'bits': 4, 'group_size': 128, 'lm_head': true}"));
    assert_true(bytes_of(&quantization.scheme, -1, "lm_head") < .6);
    assert_ok(read_object(&quantization, &arena, "{'quant_method': 'gptq', 'bits': 4, 'group_size': 128}"));
    assert_true(bytes_of(&quantization.scheme, -1, "lm_head") == 2);
    /* it is a linear layer like the others, unless it is ignored */
#define GROUP "'config_groups': {'a': {'targets': ['Linear'], 'weights': {'num_bits': 4, 'type': 'int'}}}"
    assert_ok(read_object(&quantization, &arena, "{'quant_method': 'compressed-tensors', " GROUP "}"));
    assert_true(bytes_of(&quantization.scheme, -1, "lm_head") < .6);
    assert_ok(
        read_object(&quantization, &arena, "{'quant_method': 'compressed-tensors', 'ignore': ['lm_head'], " GROUP "}"));
#undef GROUP
    assert_true(bytes_of(&quantization.scheme, -1, "lm_head") == 2);
    mx_arena_free(&arena);
}

static void the_embedding_is_coded_where_it_is_named(void **state)
{
    static const struct {
        const char *config;
        double bytes;
    } cases[] = {
        {"{'quant_method': 'torchao', 'include_input_output_embeddings': true, 'quant_type': 'int8_weight_only'}",
         1 + 4. / 4096},
        {"{'quant_method': 'torchao', 'quant_type': {'default': {'_type': 'ModuleFqnToConfig', '_data':"
         "{'module_fqn_to_config': {'_default': {'_type': 'Int4WeightOnlyConfig'}, 'model.embed_tokens': {'_type':"
         "'Int8WeightOnlyConfig'}}}}}}",
         1 + 4. / 4096},
        {"{'quant_method': 'gptq', 'bits': 4, 'group_size': 128, 'dynamic': {'+:.*': {'bits': 8}}}", 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mx_quantization quantization;
        struct mx_arena arena = {0};
        assert_ok(read_object(&quantization, &arena, cases[i].config));
        const double bytes = bytes_of(&quantization.scheme, -1, "model.embed_tokens");
        if (fabs(bytes - cases[i].bytes) > 1e-9) fail_msg("%s: %g bytes", cases[i].config, bytes);
        mx_arena_free(&arena);
    }
}

/* The scheme under its older name, and in any object that a text model may be nested in. */
static void it_is_found_where_it_is(void **state)
{
    static const char *const configs[] = {
        "{\"compression_config\": {\"quant_method\": \"gptq\", \"bits\": 4}}",
        "{\"llm_cfg\": {\"quantization_config\": {\"quant_method\": \"gptq\", \"bits\": 4}}}",
        "{\"thinker_config\": {\"text_config\": {\"quantization_config\": {\"quant_method\": \"gptq\"}}}}",
    };
    for (size_t i = 0; i < sizeof configs / sizeof *configs; i++) {
        struct mx_quantization quantization;
        struct mx_arena arena = {0};
        cJSON *config;
        const struct mx_json_rules rules = {0};
        assert_ok(mx_json_parse(&config, configs[i], strlen(configs[i]), "config.json", &rules, &err));
        assert_ok(mx_quantization_read(&quantization, &arena, config, "config.json", &err));
        if (quantization.kind != MX_QUANT_FOREIGN) fail_msg("not found: %s", configs[i]);
        cJSON_Delete(config);
        mx_arena_free(&arena);
    }
}

static void lists_name_modules_in_many_ways(void **state)
{
    static const struct {
        const char *list;
        int layer;
        const char *module;
        bool ignored;
    } cases[] = {
        {"['lm_head', 'mlp.gate']", 3, "mlp.gate", true},
        {"['lm_head', 'mlp.gate']", 3, "mlp.gate_proj", false},
        {"['model.layers.3.mlp.down_proj']", 3, "mlp.down_proj", true},
        {"['model.layers.3.mlp.down_proj']", 13, "mlp.down_proj", false},
        {"['language_model.model.layers.3.self_attn*']", 3, "self_attn.k_proj", true},
        {"['model.language_model.layers.3.*']", 3, "mlp.up_proj", true},
        {"['model.layers.3']", 3, "mlp.up_proj", true},
        {"['model.layers.3']", 30, "mlp.up_proj", false},
        {"['model.layers.0*']", 3, "mlp.up_proj", false},
        {"['re:.*mlp\\\\.(gate|up|gate_up|down)_proj.*']", 3, "mlp.up_proj", true},
        {"['re:.*mlp\\\\.(gate|up|gate_up|down)_proj.*']", 3, "mlp.experts.0.up_proj", false},
        {"['re:^model\\\\.layers\\\\.(3|4)\\\\..*']", 4, "mlp.up_proj", true},
        {"['re:^model\\\\.layers\\\\.(3|4)\\\\..*']", 5, "mlp.up_proj", false},
        {"['re:(((']", 5, "mlp.up_proj", false},                           /* makes no sense: matches nothing */
        {"['re:(x+x+)+y']", 5, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", false}, /* bounded work */
        {"['*a*a*a*a*a*a*a*a*a*a*b']", 5, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false},
        /* cut short after the layers that a sorted list begins with: left alone everywhere */
        {"['model.layers.0.self_attn*', 'model.layers.1.self_attn*', 'model.layers.10.self_attn*']", 7,
         "self_attn.q_proj", true},
        {"['model.layers.0.self_attn*', 'model.layers.1.self_attn*', 'model.layers.2.self_attn*']", 7,
         "self_attn.q_proj", false},
        {"['model.layers.0.self_attn*']", 7, "self_attn.q_proj", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[512];
        struct mx_quantization quantization;
        struct mx_arena arena = {0};
        snprintf(text, sizeof text, "{'quant_method': 'compressed-tensors', 'format': 'float-quantized', 'ignore': %s}",
                 cases[i].list);
        assert_ok(read_object(&quantization, &arena, text));
        const bool ignored = bytes_of(&quantization.scheme, cases[i].layer, cases[i].module) == 2;
        if (ignored != cases[i].ignored) fail_msg("%s: layer %d %s", cases[i].list, cases[i].layer, cases[i].module);
        mx_arena_free(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_scheme_has_its_width),
        cmocka_unit_test(the_engine_runs_some),
        cmocka_unit_test(the_output_matrix_may_have_bits_of_its_own),
        cmocka_unit_test(lists_name_modules_in_many_ways),
        cmocka_unit_test(the_embedding_is_coded_where_it_is_named),
        cmocka_unit_test(it_is_found_where_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
