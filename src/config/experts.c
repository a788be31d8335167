/* Feed-forward parts: which layers have experts, how many, and how wide. */
#include <string.h>

#include "base/json.h"
#include "config/build.h"
#include "config/runs.h"

/* What the config says about where experts are, read once. */
struct sparse_rules {
    const cJSON *types, *indices, *frequencies; /* lists, or NULL */
    const cJSON *dense;                         /* indices of dense layers */
    uint32_t first, last, step, period, offset, frequency;
};

static bool lists_index(const cJSON *list, uint32_t index)
{
    const cJSON *item;
    cJSON_ArrayForEach (item, list) {
        if (cJSON_IsNumber(item) && cJSON_GetNumberValue(item) == index) return true;
    }
    return false;
}

/* A field that lists the text's value first, then the image's. */
static uint32_t of_text(struct mx_config *config, const char *spellings, uint32_t low, uint32_t high, uint32_t fallback)
{
    const cJSON *item = mx_config_find(config, spellings);
    if (!cJSON_IsArray(item)) return mx_config_whole(config, spellings, low, high, fallback);
    return item->child ? mx_config_item(config, item->child, item->string, low, high) : fallback;
}

static struct sparse_rules read_rules(struct mx_build *build)
{
    struct mx_config *config = build->config;
    const uint32_t layers = build->arch->layer_count;
    struct sparse_rules rules = {
        .types = mx_config_list_or_null(config, "mlp_layer_types"),
        .indices = mx_config_list_or_null(config, "moe_layers|moe_layer_indices|sparse_layers"),
        .frequencies = mx_config_list_or_null(config, "moe_layer_freq"),
        .dense = mx_config_list_or_null(config, "mlp_only_layers"),
    };
    const char *const first = "first_k_dense_replace|num_dense_layers|moe_layer_start_index";
    rules.first = build->family->width_by_modality
                      ? of_text(config, first, 0, 1 << 20, build->family->first_dense)
                      : mx_config_common(config, first, 0, 1 << 20, build->family->first_dense);
    const char *const end = "moe_layer_end_index";
    const cJSON *last = mx_config_find(config, end); /* below 0: to the end */
    rules.last = cJSON_IsNumber(last) && cJSON_GetNumberValue(last) < 0 ? layers
                 : build->family->width_by_modality                     ? of_text(config, end, 0, 1 << 20, layers)
                                                    : mx_config_whole(config, end, 0, 1 << 20, layers);
    rules.step =
        mx_config_whole(config, "decoder_sparse_step|interleave_moe_layer_step|moe_layer_interval", 1, 1 << 20, 1);
    rules.period = mx_config_whole(config, "expert_layer_period", 1, 1 << 20, build->family->expert_period);
    rules.offset = mx_config_whole(config, "expert_layer_offset", 0, 1 << 20, build->family->expert_offset);
    rules.frequency = rules.frequencies ? 1 : mx_config_whole(config, "moe_layer_freq", 1, 1 << 20, 1);
    return rules;
}

static bool is_sparse(struct mx_build *build, const struct sparse_rules *rules, uint32_t layer)
{
    if (rules->types) {
        const cJSON *item = cJSON_GetArrayItem(rules->types, (int)layer);
        if (!cJSON_IsString(item)) {
            mx_config_fail(build->config, "field \"mlp_layer_types\" has no word for layer %u", layer);
            return false;
        }
        return strcmp(item->valuestring, "dense") != 0;
    }
    if (rules->indices) return lists_index(rules->indices, layer);
    if (rules->frequencies) return mx_config_per_layer(build->config, "moe_layer_freq", layer, 0, 1, 0) == 1;
    if (rules->dense && lists_index(rules->dense, layer)) return false;
    if (rules->period) return layer % rules->period == rules->offset % rules->period;
    return layer >= rules->first && layer <= rules->last && (layer + 1) % rules->step == 0 &&
           layer % rules->frequency == 0;
}

static uint32_t expert_width(struct mx_config *config, const struct mx_family *family, uint32_t layer, uint32_t usual)
{
    if (family->width_by_modality) return of_text(config, MX_FIELD_EXPERT_WIDTH, 1, MX_ARCH_MAX_WIDTH, usual);
    return mx_config_per_layer(config, MX_FIELD_EXPERT_WIDTH, layer, 1, MX_ARCH_MAX_WIDTH, usual);
}

void mx_build_experts(struct mx_build *build)
{
    struct mx_config *config = build->config;
    struct mx_arch *arch = build->arch;
    const struct mx_family *family = build->family;
    struct mx_experts *experts = &arch->experts;
    experts->count = mx_config_is_null(config, MX_FIELD_EXPERTS) ? 0
                     : family->width_by_modality
                         ? of_text(config, MX_FIELD_EXPERTS, 0, MX_ARCH_MAX_EXPERTS, family->experts)
                         : mx_config_common(config, MX_FIELD_EXPERTS, 0, MX_ARCH_MAX_EXPERTS, family->experts);
    experts->scale = 1;
    if (experts->count) {
        experts->used =
            family->width_by_modality
                ? of_text(config, MX_FIELD_EXPERTS_USED, 1, MX_ARCH_MAX_EXPERTS, family->experts_used)
                : mx_config_common(config, MX_FIELD_EXPERTS_USED, 1, MX_ARCH_MAX_EXPERTS, family->experts_used);
        if (experts->used > experts->count || !experts->used)
            mx_config_fail(config, "%u experts are used per token, of %u", experts->used, experts->count);
        experts->normalize =
            family->no_normalize_field
                ? family->normalize_experts
                : mx_config_flag(config, "norm_topk_prob|moe_renormalize|route_norm", family->normalize_experts);
        experts->softmax_first = !family->softmax_last;
        experts->shared_gate = family->shared_gate;
        experts->bias = arch->mlp_bias;
        experts->router_bias = family->router_bias;
        char scoring[32];
        const bool said =
            mx_config_text(config, "scoring_func|expert_selection_fn|score_function", scoring, sizeof scoring);
        experts->sigmoid = said ? !strcmp(scoring, "sigmoid") : family->sigmoid;
        if (said && !experts->sigmoid && strcmp(scoring, "softmax") != 0)
            mx_arch_refuse(arch, "the engine has no router that scores by \"%s\"", scoring);
        const uint32_t groups = mx_config_whole(config, "n_group|num_expert_group", 0, MX_ARCH_MAX_EXPERTS, 0);
        const uint32_t groups_used = mx_config_whole(config, "topk_group", 0, MX_ARCH_MAX_EXPERTS, 0);
        char method[32]; /* DeepSeek-V2's field: without a bias groups count only where it says so */
        const bool named = mx_config_text(config, "topk_method", method, sizeof method);
        if (named && strcmp(method, "greedy") != 0 && strcmp(method, "group_limited_greedy") != 0 &&
            strcmp(method, "noaux_tc") != 0)
            mx_arch_refuse(arch, "the engine has no router that chooses by \"%s\"", method);
        const bool grouped = family->router_bias == MX_ROUTER_BIAS_CHOICE ||
                             (named ? !strcmp(method, "group_limited_greedy") : family->group_choice);
        if (groups > 1 && groups_used && groups_used < groups && grouped) {
            if (experts->count % groups)
                mx_config_fail(config, "%u experts don't divide into %u groups", experts->count, groups);
            experts->groups = groups;
            experts->groups_used = groups_used;
            experts->group_pairs = family->router_bias == MX_ROUTER_BIAS_CHOICE;
        }
        experts->scale = mx_config_number(config,
                                          "routed_scaling_factor|router_scaling_factor|route_scale|moe_routed_scaling_"
                                          "factor|moe_router_scaling_factor",
                                          0, 1e6, 1);
    }
    const struct sparse_rules rules = read_rules(build);
    if (build->family->class_ == MX_CLASS_RECURRENT && arch->known) build->parts_apart = !build->family->feed_forward;
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        struct mx_layer *layer = &arch->layers[i];
        const bool alone = layer->feed_forward.kind != MX_FEED_FORWARD_NONE; /* said so in its list of kinds */
        if (build->parts_apart && !alone) continue;
        const bool sparse = experts->count &&
                            (alone ? layer->feed_forward.kind == MX_FEED_FORWARD_EXPERTS : is_sparse(build, &rules, i));
        layer->feed_forward.kind = sparse ? MX_FEED_FORWARD_EXPERTS : MX_FEED_FORWARD_DENSE;
        layer->feed_forward.width =
            mx_config_per_layer(config, MX_FIELD_INTERMEDIATE, i, 1, MX_ARCH_MAX_WIDTH, build->intermediate);
        layer->attention.sinks = family->sinks && mx_layer_attends(layer);
        if (!sparse) continue;
        const uint32_t width =
            expert_width(config, family, i, family->expert_width ? family->expert_width : layer->feed_forward.width);
        const uint32_t shared =
            mx_config_per_layer(config, MX_FIELD_SHARED_EXPERTS, i, 0, MX_ARCH_MAX_EXPERTS, family->shared_experts);
        const uint64_t shared_width = (uint64_t)shared * width;
        if (shared_width > MX_ARCH_MAX_WIDTH)
            mx_config_fail(config, "%u shared experts of %u are too wide", shared, width);
        layer->feed_forward.width = width;
        layer->feed_forward.shared_width =
            mx_config_whole(config, MX_FIELD_SHARED_WIDTH, 0, MX_ARCH_MAX_WIDTH,
                            family->shared_width ? family->shared_width : (uint32_t)shared_width);
    }
}
