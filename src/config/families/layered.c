/* Families whose layers differ in size, and families with a twist that no field names. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "config/families/fills.h"
#include "config/runs.h"

/* The embedding is scaled under muP. */
void mx_fill_afmoe(struct mx_build *build)
{
    struct mx_arch *arch = build->arch;
    if (mx_config_flag(build->config, "mup_enabled", false)) arch->embedding_scale = sqrt(arch->hidden);
}

/* Norms before the output and down projections. */
void mx_fill_bitnet(struct mx_build *build)
{
    for (uint32_t i = 0; i < build->arch->layer_count; i++) {
        build->arch->layers[i].attention.output_norm = true;
        build->arch->layers[i].feed_forward.inner_norm = true;
    }
}

void mx_fill_cohere(struct mx_build *build)
{
    build->arch->logit_scale = mx_config_number(build->config, "logit_scale", 1e-6, 1e6, 0.0625);
}

/* The dense layers at the start have a width and a window pattern of their own. */
void mx_fill_cohere2_moe(struct mx_build *build)
{
    struct mx_config *config = build->config;
    struct mx_arch *arch = build->arch;
    const uint32_t prefix = mx_config_whole(config, "first_k_dense_replace", 0, arch->layer_count, 0);
    const uint32_t own = mx_config_whole(config, "prefix_dense_sliding_window_pattern", 1, MX_ARCH_MAX_LAYERS, 1);
    const uint32_t rest = mx_config_whole(config, "sliding_window_pattern", 1, MX_ARCH_MAX_LAYERS, 4);
    const bool listed = mx_config_find(config, "layer_types") != NULL;
    mx_fill_cohere(build);
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        struct mx_layer *layer = &arch->layers[i];
        if (layer->feed_forward.kind == MX_FEED_FORWARD_DENSE)
            layer->feed_forward.width = mx_config_whole(config, "prefix_dense_intermediate_size", 1, MX_ARCH_MAX_WIDTH,
                                                        layer->feed_forward.width);
        if (listed || !build->window) continue;
        const bool full = i < prefix ? (i + 1) % own == 0 : (i - prefix + 1) % rest == 0;
        mx_layer_attend(build, layer, full ? MX_ATTENTION_FULL : MX_ATTENTION_SLIDING);
    }
}

/* A stretch that does not depend on the length: the base grows by alpha^(d / (d - 2)). */
void mx_fill_hunyuan(struct mx_build *build)
{
    struct mx_rope *rope = &build->arch->rope[0];
    const double alpha =
        mx_config_number(build->config, "rope_parameters.alpha|rope_scaling.alpha", 0, MX_ARCH_MAX_CONTEXT, 0);
    if (rope->type != MX_ROPE_DYNAMIC || alpha <= 0 || rope->dims <= 2) return;
    rope->theta *= pow(alpha, rope->dims / (rope->dims - 2.0));
    rope->type = MX_ROPE_DEFAULT;
}

void mx_fill_ministral3(struct mx_build *build)
{
    struct mx_arch *arch = build->arch;
    const double growth = mx_config_number(
        build->config, "rope_parameters.llama_4_scaling_beta|rope_scaling.llama_4_scaling_beta", 0, 1e3, 0);
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        struct mx_attention *attention = &arch->layers[i].attention;
        attention->query_growth = growth;
        attention->query_period = arch->rope[0].original_context ? arch->rope[0].original_context : arch->max_context;
    }
}

/* Nemotron-NAS: each block says its group size and its feed-forward multiple; either part may be missing. */
void mx_fill_decilm(struct mx_build *build)
{
    struct mx_config *config = build->config;
    struct mx_arch *arch = build->arch;
    const cJSON *blocks = mx_config_list(config, "block_configs");
    if (!blocks || (uint32_t)cJSON_GetArraySize(blocks) != arch->layer_count) {
        if (blocks || mx_config_find(config, "block_configs"))
            mx_config_fail(config, "field \"block_configs\" has %d entries for %u layers", cJSON_GetArraySize(blocks),
                           arch->layer_count);
        return;
    }
    const cJSON *block = blocks->child;
    for (uint32_t i = 0; i < arch->layer_count; i++, block = block->next) {
        struct mx_layer *layer = &arch->layers[i];
        const cJSON *attention = mx_json_get_set(block, "attention"), *ffn = mx_json_get_set(block, "ffn");
        const cJSON *group = mx_json_get_set(attention, "n_heads_in_group");
        if (mx_json_get_set(attention, "window_length") || mx_json_get_set(attention, "num_sink_tokens") ||
            mx_json_get_set(ffn, "moe") || mx_json_get_set(attention, "mamba"))
            mx_arch_refuse(arch, "the engine has no windows, experts or state spaces in blocks of this kind");
        if (cJSON_IsTrue(mx_json_get(attention, "no_op")) ||
            cJSON_IsTrue(mx_json_get(attention, "replace_with_linear"))) {
            layer->linear_mixer = cJSON_IsTrue(mx_json_get(attention, "replace_with_linear"));
            layer->attention = (struct mx_attention){.shares_cache_of = -1};
        } else if (group) {
            layer->attention.kv_heads =
                build->heads / mx_config_item(config, group, "block_configs: n_heads_in_group", 1, build->heads);
        }
        const cJSON *multiple = mx_json_get_set(ffn, "ffn_mult");
        if (cJSON_IsTrue(mx_json_get(ffn, "no_op"))) {
            layer->feed_forward.kind = MX_FEED_FORWARD_NONE;
        } else if (cJSON_IsTrue(mx_json_get(ffn, "replace_with_linear"))) {
            layer->feed_forward.kind = MX_FEED_FORWARD_LINEAR;
        } else if (multiple) {
            const double factor = cJSON_GetNumberValue(multiple);
            if (!(factor > 0 && factor < 64)) {
                mx_config_fail(config, "field \"block_configs\", block %u: ffn_mult must be a number up to 64", i);
                return;
            }
            layer->feed_forward.width = ((uint32_t)(2 * factor * arch->hidden / 3) + 255) / 256 * 256;
        }
    }
}

void mx_fill_diffllama(struct mx_build *build)
{
    for (uint32_t i = 0; i < build->arch->layer_count; i++) {
        struct mx_attention *attention = &build->arch->layers[i].attention;
        attention->differential = true;
        attention->lambda = 0.8 - 0.6 * exp(-0.3 * i);
    }
}

/* A dynamic mask per K/V head, and a weight for each residual. */
void mx_fill_doge(struct mx_build *build)
{
    struct mx_arch *arch = build->arch;
    arch->residual_weights = true;
    arch->text_limit = mx_config_whole(build->config, "keep_window_size", 1, MX_ARCH_MAX_CONTEXT, 2048);
    for (uint32_t i = 0; i < arch->layer_count; i++) arch->layers[i].attention.dynamic_mask = true;
    if (mx_config_flag(build->config, "is_moe", false)) {
        mx_arch_refuse(arch, "the engine has no product-key experts");
        arch->parameters_complete = false; /* product-key experts are counted in another way */
        return;
    }
    arch->experts = (struct mx_experts){.scale = 1};
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        arch->layers[i].feed_forward.kind = MX_FEED_FORWARD_DENSE;
        arch->layers[i].feed_forward.width = build->intermediate;
    }
}

/* use_bias counts for the output matrix too, but not for the routed experts. */
void mx_fill_ernie(struct mx_build *build)
{
    struct mx_arch *arch = build->arch;
    arch->lm_head_bias = mx_config_flag(build->config, "use_bias", false);
    arch->experts.bias = false;
}

/* As many experts for images stand behind those for text. */
void mx_fill_ernie_vl(struct mx_build *build)
{
    struct mx_experts *experts = &build->arch->experts;
    experts->bias = false;
    experts->others = experts->count ? 1 : 0;
}

/* Granite scales embedding, attention, residuals and logits. */
void mx_fill_granite(struct mx_build *build)
{
    struct mx_config *config = build->config;
    struct mx_arch *arch = build->arch;
    arch->embedding_scale = mx_config_number(config, "embedding_multiplier", 1e-9, 1e9, 1);
    arch->residual_scale = mx_config_number(config, "residual_multiplier", 1e-9, 1e9, 1);
    arch->attention_scale = mx_config_number(config, "attention_multiplier", 1e-9, 1e9, 1);
    arch->logit_scale = 1 / mx_config_number(config, "logits_scaling", 1e-9, 1e9, 1);
}

/* A base of its own for each layer's rotary positions, 0 for none. */
void mx_fill_granite_swa(struct mx_build *build)
{
    struct mx_config *config = build->config;
    struct mx_arch *arch = build->arch;
    const cJSON *list = mx_config_list(config, "layer_rope_theta");
    mx_fill_granite(build);
    if (!list) return;
    if (cJSON_GetArraySize(list) < (int)arch->layer_count) {
        mx_config_fail(config, "field \"layer_rope_theta\" has %d entries for %u layers", cJSON_GetArraySize(list),
                       arch->layer_count);
        return;
    }
    const struct mx_rope usual = arch->rope[0];
    const cJSON *item = list->child;
    arch->rope_count = 0;
    for (uint32_t i = 0; i < arch->layer_count; i++, item = item->next) {
        const double theta = cJSON_IsNumber(item) ? cJSON_GetNumberValue(item) : 0;
        uint8_t index = 0;
        arch->layers[i].attention.rope = theta > 0;
        if (theta <= 0) continue;
        while (index < arch->rope_count && arch->rope[index].theta != theta) index++;
        if (index == sizeof arch->rope / sizeof *arch->rope) {
            mx_arch_refuse(arch, "the engine has no rotary positions with more than two bases");
            return;
        }
        if (index == arch->rope_count) {
            arch->rope[index] = usual;
            arch->rope[arch->rope_count++].theta = theta;
        }
        arch->layers[i].attention.rope_index = index;
    }
}

void mx_fill_hyperclovax(struct mx_build *build)
{
    struct mx_arch *arch = build->arch;
    const double usual = arch->attention_scale;
    mx_fill_granite(build);
    arch->attention_scale = mx_config_number(build->config, "attention_multiplier", 1e-9, 1e9, usual);
    if (mx_config_flag(build->config, "use_post_norm", false)) mx_build_block(build, MX_BLOCK_SANDWICH);
}

/* A hierarchical model (arXiv 2506.21734): two stacks, of which the slow one runs H times per token and the fast one
 * H * L times, each with a cache per run. Complete configs count the runs as layers. */
void mx_fill_hrm(struct mx_build *build)
{
    struct mx_config *config = build->config;
    struct mx_arch *arch = build->arch;
    const uint32_t slow = mx_config_whole(config, "H_cycles", 1, 1024, 2);
    const uint32_t fast = mx_config_whole(config, "L_cycles", 1, 1024, 3);
    const uint32_t stack =
        mx_config_whole(config, "num_layers_per_stack", 1, MX_ARCH_MAX_LAYERS / 2, arch->layer_count);
    if (2 * stack > MX_ARCH_MAX_LAYERS) {
        mx_config_fail(config, "two stacks of %u layers are more than %d layers", stack, MX_ARCH_MAX_LAYERS);
        return;
    }
    struct mx_layer *layers = calloc(2 * (size_t)stack, sizeof *layers);
    if (!layers) {
        config->status = mx_fail_memory(config->err, "the layers", 2 * stack * sizeof *layers);
        return;
    }
    for (uint32_t i = 0; i < 2 * stack; i++) {
        layers[i] = arch->layers[0];
        layers[i].attention.cache_copies = i < stack ? slow * fast : slow;
    }
    free(arch->layers);
    arch->layers = layers;
    arch->layer_count = 2 * stack;
    arch->parameters_complete = false;
}

/* Attention has experts too: each has a query and an output projection; keys and values are common. */
void mx_fill_jetmoe(struct mx_build *build)
{
    struct mx_config *config = build->config;
    struct mx_arch *arch = build->arch;
    const uint64_t heads = (uint64_t)build->kv_heads * arch->experts.used;
    if (heads > MX_ARCH_MAX_WIDTH) mx_config_fail(config, "num_key_value_heads times num_experts_per_tok is too large");
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        struct mx_layer *layer = &arch->layers[i];
        layer->attention.heads = (uint32_t)heads;
        layer->attention.experts = true;
        layer->feed_forward.common_bias = true;
    }
}

/* Query heads per layer; a gate per head (or per number) of attention's output. */
void mx_fill_laguna(struct mx_build *build)
{
    struct mx_config *config = build->config;
    struct mx_arch *arch = build->arch;
    char gating[32] = "";
    const cJSON *field = mx_config_find(config, "gating");
    if (cJSON_IsString(field)) mx_config_text(config, "gating", gating, sizeof gating);
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        struct mx_layer *layer = &arch->layers[i];
        layer->attention.heads =
            mx_config_per_layer(config, "num_attention_heads_per_layer", i, 1, MX_ARCH_MAX_WIDTH, build->heads);
        layer->attention.gate = cJSON_IsFalse(field)            ? MX_GATE_NONE
                                : strcmp(gating, "per-element") ? MX_GATE_HEADS_SOFTPLUS
                                                                : MX_GATE_ELEMENTS;
    }
}

/* Number `layer` of a list of bounds, of which 0 is none. */
static double bound_of(struct mx_build *build, const char *spelling, uint32_t layer)
{
    const cJSON *list = mx_config_list(build->config, spelling), *item = cJSON_GetArrayItem(list, (int)layer);
    return cJSON_IsNumber(item) && cJSON_GetNumberValue(item) > 0 ? cJSON_GetNumberValue(item) : 0;
}

/* Layers with a window have query heads in a number of their own. Older files name the layers with experts in a string
 * ("3,4,5"), and the other heads in an object. */
void mx_fill_step(struct mx_build *build)
{
    struct mx_config *config = build->config;
    struct mx_arch *arch = build->arch;
    const uint32_t heads =
        mx_config_whole(config, "num_sliding_attention_heads|attention_other_setting.num_attention_heads", 1,
                        MX_ARCH_MAX_WIDTH, build->heads);
    const cJSON *sparse = mx_config_find(config, "moe_layers_enum");
    bool listed[MX_ARCH_MAX_LAYERS] = {false};
    const cJSON *other = mx_config_object(config, "attention_other_setting"), *member;
    static const char *const said[] = {"use_moe", "use_moe_router_bias", "norm_expert_weight",
                                       "use_head_wise_attn_gate"};
    cJSON_ArrayForEach (member, other) {
        mx_config_mark(config, member);
    }
    for (size_t i = 0; i < sizeof said / sizeof *said; i++)
        if (!mx_config_flag(config, said[i], true)) mx_arch_refuse(arch, "the engine runs Step with %s alone", said[i]);
    if (mx_config_flag(config, "sink", false)) mx_arch_refuse(arch, "the engine has no sinks of Step");
    mx_config_mark(config, mx_config_find(config, "yarn_only_types"));
    for (char *at = cJSON_IsString(sparse) ? sparse->valuestring : NULL, *end; at && *at; at = *end ? end + 1 : end) {
        const unsigned long index = strtoul(at, &end, 10);
        if (end == at) break;
        if (index < MX_ARCH_MAX_LAYERS) listed[index] = true;
    }
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        struct mx_layer *layer = &arch->layers[i];
        struct mx_feed_forward *ffn = &layer->feed_forward;
        if (layer->attention.kind == MX_ATTENTION_SLIDING) layer->attention.heads = heads;
        if (cJSON_IsString(sparse) && !listed[i]) {
            *ffn = (struct mx_feed_forward){.kind = MX_FEED_FORWARD_DENSE, .width = build->intermediate};
        }
        ffn->bound = bound_of(build, ffn->kind == MX_FEED_FORWARD_DENSE ? "swiglu_limits_shared" : "swiglu_limits", i);
        ffn->shared_bound = bound_of(build, "swiglu_limits_shared", i);
    }
}

/* intermediate_size is the experts', intermediate_size_mlp that of dense layers; one shared expert. Layers without
 * rotary positions see everything. */
void mx_fill_llama4(struct mx_build *build)
{
    struct mx_config *config = build->config;
    struct mx_arch *arch = build->arch;
    const uint32_t dense = mx_config_whole(config, "intermediate_size_mlp", 1, MX_ARCH_MAX_WIDTH, 16384);
    const cJSON *tuning = mx_config_find(config, "attn_temperature_tuning"); /* true, or 4 in older files */
    const bool grows = cJSON_IsNumber(tuning) ? cJSON_GetNumberValue(tuning) != 0
                                              : mx_config_flag(config, "attn_temperature_tuning", true);
    const double growth = mx_config_number(config, "attn_scale", 0, 1e3, 0.1);
    const uint32_t period = mx_config_whole(config, "floor_scale", 1, MX_ARCH_MAX_CONTEXT, 8192);
    arch->qk_norm = mx_config_flag(config, "use_qk_norm", true) ? MX_QK_NORM_UNIT : MX_QK_NORM_NONE;
    arch->qk_norm_late = true;
    arch->experts.weigh_input = true;
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        struct mx_layer *layer = &arch->layers[i];
        layer->attention.rope = layer->attention.kind == MX_ATTENTION_CHUNKED;
        if (grows && !layer->attention.rope) {
            layer->attention.query_growth = growth;
            layer->attention.query_period = period;
            layer->attention.query_shift = 1;
        }
        if (layer->feed_forward.kind == MX_FEED_FORWARD_EXPERTS)
            layer->feed_forward.shared_width = layer->feed_forward.width;
        else
            layer->feed_forward.width = dense;
    }
}

/* Windowed layers rotate with a base of their own, which older files name apart. */
static void mimo_ropes(struct mx_build *build)
{
    struct mx_arch *arch = build->arch;
    if (arch->rope_count != 1) return;
    arch->rope[1] = arch->rope[0];
    arch->rope[1].theta = mx_config_number(build->config, "swa_rope_theta", 1e-3, 1e15, 10000);
    arch->rope_count = 2;
    for (uint32_t i = 0; i < arch->layer_count; i++)
        arch->layers[i].attention.rope_index = arch->layers[i].attention.kind == MX_ATTENTION_SLIDING;
}

/* Values are narrower than keys; windowed layers have head counts and sizes of their own, and sinks. */
void mx_fill_mimo(struct mx_build *build)
{
    struct mx_config *config = build->config;
    struct mx_arch *arch = build->arch;
    const uint32_t v_dim = mx_config_whole(config, "v_head_dim", 1, MX_ARCH_MAX_WIDTH, 128);
    const bool listed = mx_config_find(config, "layer_types") != NULL;
    const bool pattern = cJSON_IsArray(mx_config_peek(config, "hybrid_layer_pattern")); /* 1: windowed */
    arch->value_scale = mx_config_number(config, "attention_value_scale", 1e-9, 1e9, 1);
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        struct mx_layer *layer = &arch->layers[i];
        if (!listed) {
            const bool usual = i != 0 && (i + 1) % 6 != 0;
            const bool sliding = pattern ? mx_config_per_layer(config, "hybrid_layer_pattern", i, 0, 1, 0) != 0 : usual;
            mx_layer_attend(build, layer, sliding ? MX_ATTENTION_SLIDING : MX_ATTENTION_FULL);
        }
        layer->attention.v_dim = v_dim;
        if (layer->attention.kind != MX_ATTENTION_SLIDING) continue;
        const uint32_t twice = 2 * build->kv_heads <= build->heads ? 2 * build->kv_heads : build->kv_heads;
        layer->attention.heads = mx_config_whole(config, "swa_num_attention_heads", 1, MX_ARCH_MAX_WIDTH, build->heads);
        layer->attention.kv_heads = mx_config_whole(config, "swa_num_key_value_heads", 1, MX_ARCH_MAX_WIDTH, twice);
        layer->attention.k_dim = mx_config_whole(config, "swa_head_dim", 1, MX_ARCH_MAX_WIDTH, layer->attention.k_dim);
        layer->attention.v_dim = mx_config_whole(config, "swa_v_head_dim", 1, MX_ARCH_MAX_WIDTH, v_dim);
        layer->attention.sinks = mx_config_flag(config, "add_swa_attention_sink_bias", true);
    }
    for (uint32_t i = 0; i < arch->layer_count && mx_config_flag(config, "add_full_attention_sink_bias", false); i++)
        if (arch->layers[i].attention.kind == MX_ATTENTION_FULL) arch->layers[i].attention.sinks = true;
    mimo_ropes(build);
}

/* The router takes two experts, one after the other. The reference (transformers 5.17) turns
 * by the short factors at every length, and scales by long_mscale beyond the original one. */
void mx_fill_phimoe(struct mx_build *build)
{
    struct mx_arch *arch = build->arch;
    arch->experts.margin = 2 * mx_config_number(build->config, "router_jitter_noise", 1e-9, 1, 0.01);
    if (arch->experts.used != 2)
        mx_arch_refuse(arch, "a router of this kind takes two experts, not %u", arch->experts.used);
    arch->o_bias = arch->qkv_bias;
    arch->rope[0].short_waves = true;
}

/* Layers with sparse attention keep the indexer's keys. */
void mx_fill_minimax_m3(struct mx_build *build)
{
    struct mx_config *config = build->config;
    struct mx_arch *arch = build->arch;
    const uint32_t dense = mx_config_whole(config, "dense_intermediate_size", 1, MX_ARCH_MAX_WIDTH, 12288);
    const uint32_t dim =
        mx_config_whole(config, "index_head_dim|sparse_attention_config.sparse_index_dim", 1, MX_ARCH_MAX_WIDTH, 128);
    const cJSON *types = mx_config_find(config, "layer_types");
    const cJSON *flags = mx_config_find(config, "sparse_attention_config.sparse_attention_freq");
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        struct mx_layer *layer = &arch->layers[i];
        const cJSON *type = cJSON_GetArrayItem(types, (int)i), *flag = cJSON_GetArrayItem(flags, (int)i);
        const bool sparse = types ? cJSON_IsString(type) && !strcmp(type->valuestring, "minimax_m3_sparse")
                                  : cJSON_GetNumberValue(flag) == 1;
        if (sparse) layer->attention.indexer.dim = dim;
        if (layer->feed_forward.kind == MX_FEED_FORWARD_DENSE) layer->feed_forward.width = dense;
    }
    arch->parameters_complete = false;
}

/* Older files name the bases of full and of windowed layers apart. */
static void modernbert_ropes(struct mx_build *build)
{
    struct mx_config *config = build->config;
    struct mx_arch *arch = build->arch;
    if (arch->rope_count != 1) return;
    arch->rope[0].theta = mx_config_number(config, "global_rope_theta", 1e-3, 1e15, 160000);
    arch->rope[1] = arch->rope[0];
    arch->rope[1].theta = mx_config_number(config, "local_rope_theta", 1e-3, 1e15, 10000);
    arch->rope_count = 2;
    for (uint32_t i = 0; i < arch->layer_count; i++)
        arch->layers[i].attention.rope_index = arch->layers[i].attention.kind == MX_ATTENTION_SLIDING;
}

/* Complete configs give the window; older ones ModernBERT's, which looks both ways: half of it counts. */
void mx_fill_modernbert(struct mx_build *build)
{
    struct mx_config *config = build->config;
    struct mx_arch *arch = build->arch;
    const uint32_t both = mx_config_whole(config, "local_attention", 2, MX_ARCH_MAX_CONTEXT, 128);
    const uint32_t window = mx_config_whole(config, "sliding_window", 1, MX_ARCH_MAX_CONTEXT, both / 2);
    arch->norm_bias = mx_config_flag(config, "norm_bias", false);
    arch->lm_head_bias = mx_config_flag(config, "decoder_bias", true);
    for (uint32_t i = 0; i < arch->layer_count; i++)
        if (arch->layers[i].attention.kind == MX_ATTENTION_SLIDING) arch->layers[i].attention.window = window;
    char activation[32] = "gelu";
    if (mx_config_text(config, "classifier_activation", activation, sizeof activation) &&
        strcmp(activation, "gelu") != 0)
        mx_arch_refuse(arch, "the engine has no activation \"%s\" before the output matrix", activation);
    if (arch->activation != MX_ACTIVATION_GELU) mx_arch_refuse(arch, "the engine has no two activations in one model");
    modernbert_ropes(build);
    arch->embedding_norm = arch->head_dense = true;
    arch->head_dense_bias = mx_config_flag(config, "classifier_bias", false);
    arch->layers[0].no_input_norm = true; /* the embedding's norm is there already */
}

static uint32_t round_up_to(double value, uint32_t unit)
{
    const uint32_t rounded = (uint32_t)((value + unit / 2.0) / unit) * unit;
    const uint32_t least = rounded > unit ? rounded : unit;
    return least < 0.9 * value ? least + unit : least;
}

/* Heads and feed-forward widths grow with depth (arXiv 2404.14619). */
void mx_fill_openelm(struct mx_build *build)
{
    struct mx_config *config = build->config;
    struct mx_arch *arch = build->arch;
    const cJSON *multipliers = mx_config_list(config, "ffn_multipliers");
    const uint32_t unit = mx_config_whole(config, "ffn_dim_divisor", 1, 65536, 256);
    arch->tied = mx_config_flag(config, "share_input_output_layers", true);
    arch->rope[0].theta = mx_config_number(config, "rope_freq_constant", 1e-3, 1e15, 10000);
    if (mx_config_flag(config, "normalize_qk_projections", false)) arch->qk_norm = MX_QK_NORM_HEAD;
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        struct mx_layer *layer = &arch->layers[i];
        layer->attention.heads = mx_config_per_layer(config, "num_query_heads", i, 1, MX_ARCH_MAX_WIDTH, build->heads);
        layer->attention.kv_heads =
            mx_config_per_layer(config, "num_kv_heads", i, 1, layer->attention.heads, build->kv_heads);
        const cJSON *item = cJSON_GetArrayItem(multipliers, (int)i);
        const double factor = cJSON_GetNumberValue(item);
        if (multipliers && !(factor > 0 && factor < 64)) {
            mx_config_fail(config, "field \"ffn_multipliers\" has no number up to 64 for layer %u", i);
            return;
        }
        if (multipliers) layer->feed_forward.width = round_up_to(factor * arch->hidden, unit);
    }
}

/* Scores are not scaled by a root (muP). Every other layer or so attends to its newest blocks and to a few older ones,
 * head by head, which is to everything as long as the text is no longer than the newest blocks. */
void mx_fill_phi3small(struct mx_build *build)
{
    struct mx_config *config = build->config;
    struct mx_arch *arch = build->arch;
    const uint32_t block = mx_config_whole(config, "blocksparse_block_size", 1, MX_ARCH_MAX_CONTEXT, 64);
    const uint32_t local = mx_config_whole(config, "blocksparse_num_local_blocks", 1, MX_ARCH_MAX_CONTEXT / 4096, 16);
    const uint32_t dense = mx_config_whole(config, "dense_attention_every_n_layers", 0, MX_ARCH_MAX_LAYERS, 2);
    const cJSON *tokens = mx_config_list(config, "dummy_token_indices"), *token;
    if (dense != 1 && block < 4096) arch->text_limit = block * local;
    if (mx_config_flag(config, "mup_use_scaling", true))
        arch->attention_scale = mx_config_number(config, "mup_attn_multiplier", 1e-6, 1e6, 1) / build->head_dim;
    arch->embedding_scale = mx_config_number(config, "mup_embedding_multiplier", 0, 1e6, 10);
    if (arch->embedding_scale == 0) arch->embedding_scale = 1;
    const double width = mx_config_number(config, "mup_width_multiplier", 0, 1e6, 8);
    if (width > 0) arch->logit_scale = 1 / width;
    arch->activation_limit = mx_config_number(config, "gegelu_limit", 1e-6, 1e6, 20);
    cJSON_ArrayForEach (token, tokens) {
        mx_build_mute(build, token);
    }
    const double stretch = mx_config_number(config, "rope_position_scale", 1e-6, 1e6, 1);
    if (stretch != 1) mx_arch_refuse(arch, "the engine has no positions of that scale");
}

void mx_fill_seed_oss(struct mx_build *build)
{
    build->arch->o_bias = mx_config_flag(build->config, "attention_out_bias", false);
}

/* Windows, where used, are in the layers without rotary positions. */
void mx_fill_smollm3(struct mx_build *build)
{
    struct mx_config *config = build->config;
    struct mx_arch *arch = build->arch;
    const uint32_t interval = mx_config_whole(config, "no_rope_layer_interval", 1, MX_ARCH_MAX_LAYERS, 4);
    const bool listed = cJSON_IsArray(mx_config_peek(config, "no_rope_layers"));
    const bool typed = mx_config_find(config, "layer_types") != NULL;
    const bool used = mx_config_flag(config, "use_sliding_window", false) && build->window;
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        struct mx_layer *layer = &arch->layers[i];
        const bool rope =
            listed ? mx_config_per_layer(config, "no_rope_layers", i, 0, 1, 1) != 0 : (i + 1) % interval != 0;
        if (!typed) mx_layer_attend(build, layer, used && !rope ? MX_ATTENTION_SLIDING : MX_ATTENTION_FULL);
        layer->attention.rope = rope;
    }
}

/* Every layer has experts, whatever first_k_dense_replace says. */
void mx_fill_solar_open(struct mx_build *build)
{
    struct mx_arch *arch = build->arch;
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        struct mx_layer *layer = &arch->layers[i];
        if (layer->feed_forward.kind == MX_FEED_FORWARD_EXPERTS || !arch->experts.count) continue;
        layer->feed_forward.kind = MX_FEED_FORWARD_EXPERTS;
        layer->feed_forward.width = mx_config_whole(build->config, MX_FIELD_EXPERT_WIDTH, 1, MX_ARCH_MAX_WIDTH, 1280);
        layer->feed_forward.shared_width =
            layer->feed_forward.width * mx_config_whole(build->config, MX_FIELD_SHARED_EXPERTS, 0, 64, 1);
    }
}

/* Ling: a router per modality and normalized rows of the output matrix are other models'. */
void mx_fill_bailing(struct mx_build *build)
{
    struct mx_arch *arch = build->arch;
    if (mx_config_flag(build->config, "norm_head", false)) arch->head_unit = MX_HEAD_UNIT_COLUMNS;
    if (mx_config_flag(build->config, "multi_gate", false))
        mx_arch_refuse(arch, "the engine has no router per modality");
}
