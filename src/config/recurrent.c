/* The sizes of recurrent layers, from the fields of the config: one function per kind (layer.h names the papers). */
#include <math.h>
#include <string.h>

#include "config/build.h"

enum { MAX_KERNEL = 1024 };

enum mx_recurrence_kind mx_build_recurrence(const struct mx_build *build)
{
    struct {
        const char *spellings;
        enum mx_recurrence_kind recurrence;
    } const signs[] = {
        {"linear_num_value_heads|linear_num_heads|linear_attn_config", MX_RECURRENCE_DELTA},
        {MX_FIELD_SSM_HEADS, MX_RECURRENCE_MAMBA2},
        {MX_FIELD_STATE "|ssm_cfg", MX_RECURRENCE_MAMBA},
        {"conv_L_cache", MX_RECURRENCE_SHORT_CONV},
        {"lru_width", MX_RECURRENCE_RG_LRU},
        {"attn_type_list", MX_RECURRENCE_LIGHTNING},
        {"attention_hidden_size", MX_RECURRENCE_RWKV},
    };
    if (build->arch->known) return build->family->recurrence;
    /* Files of the state-space library itself: no model_type, and the kind inside ssm_cfg. */
    const cJSON *layer = mx_config_find(build->config, "ssm_cfg.layer");
    if (cJSON_IsString(layer) && !strcmp(layer->valuestring, "Mamba2")) return MX_RECURRENCE_MAMBA2;
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
        if (mx_config_find(build->config, signs[i].spellings)) return signs[i].recurrence;
    return MX_RECURRENCE_NONE;
}

/* A bound of the step, [low, high]: infinity stands as null, or as what some writers make of it. */
static double step_bound(struct mx_build *build, int index, double fallback)
{
    const cJSON *bounds = mx_config_list(build->config, "time_step_limit|mamba_dt_limit");
    const cJSON *bound = bounds ? cJSON_GetArrayItem(bounds, index) : NULL;
    return bound && cJSON_IsNumber(bound) ? bound->valuedouble : fallback;
}

/* The word "auto" in a number's place. */
static bool is_auto(const struct mx_config *config, const char *spellings)
{
    const cJSON *item = mx_config_peek(config, spellings);
    if (!cJSON_IsString(item) || strcmp(item->valuestring, "auto") != 0) return false;
    mx_config_mark(config, item);
    return true;
}

static uint32_t mamba_rank(struct mx_build *build)
{
    static const char field[] = "mamba_dt_rank|time_step_rank|dt_rank|ssm_cfg.dt_rank";
    const uint32_t automatic = (build->arch->hidden + 15) / 16; /* absent, or the word "auto" */
    if (is_auto(build->config, field)) return automatic;
    return mx_config_whole(build->config, field, 1, MX_ARCH_MAX_WIDTH, automatic);
}

/* Falcon Mamba and Mamba say the inner width as intermediate_size; in models with a feed-forward part of their own
 * (heads != 0) that field means the latter. */
static struct mx_mamba mamba(struct mx_build *build)
{
    struct mx_config *config = build->config;
    const uint32_t hidden = build->arch->hidden;
    const uint64_t expanded = (uint64_t)hidden * mx_config_whole(config, MX_FIELD_EXPAND, 1, 64, 2);
    return (struct mx_mamba){
        .inner = build->heads || !build->intermediate ? (uint32_t)expanded : build->intermediate,
        .state = mx_config_whole(config, MX_FIELD_STATE, 1, MX_ARCH_MAX_WIDTH, 16),
        .conv = mx_config_whole(config, MX_FIELD_CONV, 1, MAX_KERNEL, 4),
        .rank = mamba_rank(build),
        .heads = 1,
        .norm_eps = mx_config_number(config, "mixer_rms_eps", 0, 1, build->arch->norm_eps),
        .bias = mx_config_flag(config, "use_bias|mamba_proj_bias", false),
    };
}

static struct mx_mamba2 mamba2(struct mx_build *build)
{
    const struct mx_family *family = build->family;
    struct mx_config *config = build->config;
    const uint32_t hidden = build->arch->hidden;
    const uint32_t expand = mx_config_whole(config, MX_FIELD_EXPAND, 1, 64, 2);
    const uint32_t given = mx_config_whole(
        config, "mamba_d_ssm", 1, MX_ARCH_MAX_WIDTH,
        family->ssm_inner && !mx_config_is_null(config, "mamba_d_ssm") ? family->ssm_inner : hidden * expand);
    /* Pure Mamba-2 models call their heads num_heads and head_dim. */
    const char *const heads_field = build->heads ? MX_FIELD_SSM_HEADS : MX_FIELD_SSM_HEADS "|num_heads";
    const char *const dim_field = build->heads ? MX_FIELD_SSM_HEAD_DIM : MX_FIELD_SSM_HEAD_DIM "|head_dim|headdim";
    const cJSON *dim = mx_config_peek(config, dim_field);
    uint32_t head_dim =
        is_auto(config, dim_field) ? 0 : mx_config_whole(config, dim_field, 1, MX_ARCH_MAX_WIDTH, family->ssm_head_dim);
    /* Where the config gives the heads' size, their number follows from the width, unless it gives that, too. */
    uint32_t heads = mx_config_whole(config, heads_field, 1, MX_ARCH_MAX_WIDTH, dim ? 0 : family->ssm_heads);
    if (!head_dim) head_dim = heads && given % heads == 0 ? given / heads : 64; /* "auto", or left out */
    if (!heads) heads = given / head_dim;
    if (!heads || (uint64_t)heads * head_dim > MX_ARCH_MAX_WIDTH)
        mx_config_fail(config, "Mamba-2: %u heads of %u numbers make no sense", heads, head_dim);
    return (struct mx_mamba2){
        .heads = heads,
        .head_dim = head_dim,
        .state =
            mx_config_whole(config, MX_FIELD_STATE, 1, MX_ARCH_MAX_WIDTH, family->ssm_state ? family->ssm_state : 128),
        .groups = mx_config_whole(config, MX_FIELD_SSM_GROUPS, 1, MX_ARCH_MAX_WIDTH,
                                  family->ssm_groups ? family->ssm_groups : 1),
        .conv = mx_config_whole(config, MX_FIELD_CONV, 1, MAX_KERNEL, 4),
        .norm = true,
        .norm_groups = 1,
        .dt_low = step_bound(build, 0, 0),
        .dt_high = step_bound(build, 1, INFINITY),
        .scales = {1, 1, 1, 1, 1},
        .out_scale = 1,
        .bias = mx_config_flag(config, "use_bias|mamba_proj_bias", false),
    };
}

static struct mx_delta delta(struct mx_build *build)
{
    struct mx_config *config = build->config;
    const bool by_heads = build->family->delta_by_heads;
    const uint32_t keys = by_heads ? build->heads : 16, values = by_heads ? build->heads : 32;
    const uint32_t k_heads = mx_config_whole(config, "linear_num_key_heads", 1, MX_ARCH_MAX_WIDTH, keys);
    const uint32_t share = by_heads ? (uint32_t)(0.75 * build->arch->hidden / k_heads) : 128;
    const uint32_t k_dim = mx_config_whole(config, "linear_key_head_dim", 1, MX_ARCH_MAX_WIDTH, share);
    return (struct mx_delta){
        .k_heads = k_heads,
        .v_heads = mx_config_whole(config, "linear_num_value_heads", 1, MX_ARCH_MAX_WIDTH, values),
        .k_dim = k_dim,
        .v_dim = mx_config_whole(config, "linear_value_head_dim", 1, MX_ARCH_MAX_WIDTH, by_heads ? 2 * k_dim : 128),
        .conv = mx_config_whole(config, "linear_conv_kernel_dim", 1, MAX_KERNEL, 4),
        .norm_eps = by_heads ? 1e-5 : build->arch->norm_eps, /* OLMo hybrid's is its library's default */
        .strength = mx_config_flag(config, "linear_allow_neg_eigval", by_heads) ? 2 : 1,
    };
}

static struct mx_short_conv short_conv(struct mx_build *build)
{
    return (struct mx_short_conv){
        .width = build->arch->hidden,
        .conv = mx_config_whole(build->config, "conv_L_cache", 1, MAX_KERNEL, 3),
        .bias = mx_config_flag(build->config, "conv_bias", false),
    };
}

static struct mx_rg_lru rg_lru(struct mx_build *build)
{
    struct mx_config *config = build->config;
    return (struct mx_rg_lru){
        .width = mx_config_whole(config, "lru_width", 1, MX_ARCH_MAX_WIDTH, build->arch->hidden),
        .heads = build->heads ? build->heads : 1,
        .conv = mx_config_whole(config, "conv1d_width", 1, MAX_KERNEL, 4),
    };
}

/* Decays get slower towards the last layer, as the reference implementation has it. */
static struct mx_lightning lightning(const struct mx_build *build, uint32_t layer)
{
    const double last = build->arch->layer_count - 1;
    return (struct mx_lightning){
        .heads = build->heads, .dim = build->head_dim, .slope = 1 - layer / (last + 1e-5) + 1e-5};
}

static struct mx_rwkv rwkv(struct mx_build *build)
{
    return (struct mx_rwkv){
        .width = mx_config_whole(build->config, "attention_hidden_size", 1, MX_ARCH_MAX_WIDTH, build->arch->hidden),
        .hidden = build->arch->hidden,
    };
}

void mx_layer_recur(struct mx_build *build, struct mx_layer *layer, enum mx_recurrence_kind kind)
{
    struct mx_recurrence *recurrence = &layer->recurrence;
    *recurrence = (struct mx_recurrence){.kind = kind};
    switch (kind) {
    case MX_RECURRENCE_NONE:
        mx_config_fail(build->config, "layers are recurrent, but no field tells of which kind or how large");
        break;
    case MX_RECURRENCE_MAMBA: recurrence->mamba = mamba(build); break;
    case MX_RECURRENCE_MAMBA2: recurrence->mamba2 = mamba2(build); break;
    case MX_RECURRENCE_DELTA: recurrence->delta = delta(build); break;
    case MX_RECURRENCE_SHORT_CONV: recurrence->short_conv = short_conv(build); break;
    case MX_RECURRENCE_RG_LRU: recurrence->rg_lru = rg_lru(build); break;
    case MX_RECURRENCE_LIGHTNING:
        recurrence->lightning = lightning(build, (uint32_t)(layer - build->arch->layers));
        break;
    case MX_RECURRENCE_RWKV: recurrence->rwkv = rwkv(build); break;
    case MX_RECURRENCE_KIMI_DELTA:
    case MX_RECURRENCE_OTHER: break; /* the family fills it */
    }
}
