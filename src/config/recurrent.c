/* The state that recurrent layers keep instead of a cache, and the parameters of their mixers: one function per kind.
 * Convolution state is counted with as many columns as the kernel is wide, as the reference keeps it (RG-LRU: one
 * less). Sources: Mamba (arXiv 2312.00752), Mamba-2 (2405.21060), gated delta rule (2412.06464), Kimi delta attention
 * (2510.26692), Griffin (2402.19427), lightning attention (2401.04658), RWKV (2305.13048).
 */
#include <string.h>

#include "config/build.h"

enum { MAX_KERNEL = 1024 };

enum mx_recurrence mx_build_recurrence(const struct mx_build *build)
{
    struct {
        const char *spellings;
        enum mx_recurrence recurrence;
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

uint64_t mx_mamba_rank(struct mx_build *build)
{
    static const char field[] = "mamba_dt_rank|time_step_rank|dt_rank|ssm_cfg.dt_rank";
    const uint32_t automatic = (build->arch->hidden + 15) / 16; /* absent, or the word "auto" */
    if (cJSON_IsString(mx_config_find(build->config, field))) return automatic;
    return mx_config_whole(build->config, field, 1, MX_ARCH_MAX_WIDTH, automatic);
}

/* Selective state space: per channel `state` numbers. Falcon Mamba and Mamba say the inner width as intermediate_size;
 * in models with a feed-forward part of their own (heads != 0) that field means the latter. */
static void mamba(struct mx_build *build, struct mx_layer *layer)
{
    struct mx_config *config = build->config;
    const uint64_t hidden = build->arch->hidden;
    const uint64_t expand = mx_config_whole(config, MX_FIELD_EXPAND, 1, 64, 2);
    const uint64_t state = mx_config_whole(config, MX_FIELD_STATE, 1, MX_ARCH_MAX_WIDTH, 16);
    const uint64_t kernel = mx_config_whole(config, MX_FIELD_CONV, 1, MAX_KERNEL, 4);
    const uint64_t inner = build->heads || !build->intermediate ? hidden * expand : build->intermediate;
    const uint64_t rank = mx_mamba_rank(build);
    layer->state_elements = inner * state;
    layer->conv_elements = inner * kernel;
    layer->mixer_parameters = 2 * inner * hidden           /* in */
                              + inner * kernel + inner     /* convolution and its bias */
                              + inner * (rank + 2 * state) /* dt, B, C */
                              + rank * inner + inner       /* dt, widened */
                              + inner * state + inner      /* A, D */
                              + inner * hidden;            /* out */
}

static void mamba2(struct mx_build *build, struct mx_layer *layer)
{
    const struct mx_family *family = build->family;
    struct mx_config *config = build->config;
    const uint64_t hidden = build->arch->hidden;
    const uint64_t state =
        mx_config_whole(config, MX_FIELD_STATE, 1, MX_ARCH_MAX_WIDTH, family->ssm_state ? family->ssm_state : 128);
    const uint64_t kernel = mx_config_whole(config, MX_FIELD_CONV, 1, MAX_KERNEL, 4);
    const uint64_t groups =
        mx_config_whole(config, MX_FIELD_SSM_GROUPS, 1, MX_ARCH_MAX_WIDTH, family->ssm_groups ? family->ssm_groups : 1);
    const uint32_t expand = mx_config_whole(config, MX_FIELD_EXPAND, 1, 64, 2);
    const uint32_t given = mx_config_whole(
        config, "mamba_d_ssm", 1, MX_ARCH_MAX_WIDTH,
        family->ssm_inner && !mx_config_is_null(config, "mamba_d_ssm") ? family->ssm_inner : (uint32_t)hidden * expand);
    /* Pure Mamba-2 models call their heads num_heads and head_dim. */
    const char *const heads_field = build->heads ? MX_FIELD_SSM_HEADS : MX_FIELD_SSM_HEADS "|num_heads";
    const char *const dim_field = build->heads ? MX_FIELD_SSM_HEAD_DIM : MX_FIELD_SSM_HEAD_DIM "|head_dim|headdim";
    const cJSON *dim = mx_config_find(config, dim_field);
    uint64_t head_dim =
        cJSON_IsString(dim) ? 0 : mx_config_whole(config, dim_field, 1, MX_ARCH_MAX_WIDTH, family->ssm_head_dim);
    uint64_t heads = mx_config_whole(config, heads_field, 1, MX_ARCH_MAX_WIDTH, family->ssm_heads);
    if (!head_dim) head_dim = heads && given % heads == 0 ? given / heads : 64; /* "auto", or left out */
    if (!heads) heads = given / head_dim;
    const uint64_t inner = heads * head_dim;
    if (!inner || inner > MX_ARCH_MAX_WIDTH) {
        mx_config_fail(config, "Mamba-2: %u heads of %u numbers make no sense", (uint32_t)heads, (uint32_t)head_dim);
        return;
    }
    const uint64_t channels = inner + 2 * groups * state;
    layer->state_elements = heads * head_dim * state;
    layer->conv_elements = channels * kernel;
    layer->mixer_parameters = hidden * (inner + channels + heads) + channels * kernel + channels /* in, convolution */
                              + 3 * heads + inner                                                /* dt, A, D, norm */
                              + inner * hidden;                                                  /* out */
}

/* Gated delta rule: a key x value matrix per value head. */
static void delta(struct mx_build *build, struct mx_layer *layer)
{
    struct mx_config *config = build->config;
    const uint64_t hidden = build->arch->hidden;
    const bool by_heads = build->family->delta_by_heads;
    const uint32_t keys = by_heads ? build->heads : 16, values = by_heads ? build->heads : 32;
    const uint64_t k_heads = mx_config_whole(config, "linear_num_key_heads", 1, MX_ARCH_MAX_WIDTH, keys);
    const uint64_t v_heads = mx_config_whole(config, "linear_num_value_heads", 1, MX_ARCH_MAX_WIDTH, values);
    const uint32_t share = by_heads ? (uint32_t)(0.75 * (double)hidden / (double)k_heads) : 128;
    const uint64_t k_dim = mx_config_whole(config, "linear_key_head_dim", 1, MX_ARCH_MAX_WIDTH, share);
    const uint64_t v_dim =
        mx_config_whole(config, "linear_value_head_dim", 1, MX_ARCH_MAX_WIDTH, by_heads ? 2 * (uint32_t)k_dim : 128);
    const uint64_t kernel = mx_config_whole(config, "linear_conv_kernel_dim", 1, MAX_KERNEL, 4);
    const uint64_t channels = 2 * k_heads * k_dim + v_heads * v_dim;
    layer->state_elements = v_heads * k_dim * v_dim;
    layer->conv_elements = channels * kernel;
    layer->mixer_parameters = hidden * (channels + v_heads * v_dim + 2 * v_heads) /* q, k, v, gate, beta, decay */
                              + channels * kernel + 2 * v_heads + v_dim           /* convolution, dt, A, norm */
                              + v_heads * v_dim * hidden;
}

static void short_conv(struct mx_build *build, struct mx_layer *layer)
{
    const uint64_t hidden = build->arch->hidden;
    const uint64_t kernel = mx_config_whole(build->config, "conv_L_cache", 1, MAX_KERNEL, 3);
    const bool bias = mx_config_flag(build->config, "conv_bias", false);
    layer->conv_elements = hidden * kernel;
    layer->mixer_parameters = 3 * hidden * hidden + hidden * kernel + hidden * hidden + (bias ? 5 * hidden : 0);
}

static void rg_lru(struct mx_build *build, struct mx_layer *layer)
{
    struct mx_config *config = build->config;
    const uint64_t hidden = build->arch->hidden;
    const uint64_t width = mx_config_whole(config, "lru_width", 1, MX_ARCH_MAX_WIDTH, (uint32_t)hidden);
    const uint64_t kernel = mx_config_whole(config, "conv1d_width", 1, MAX_KERNEL, 4);
    const uint64_t heads = build->heads ? build->heads : 1;
    layer->state_elements = width;
    layer->conv_elements = width * (kernel - 1);
    layer->mixer_parameters = 2 * (hidden * width + width) + width * hidden + hidden /* x, y, out */
                              + width * kernel + width                               /* convolution */
                              + 2 * (width * width / heads + width) + width;         /* two gates by block; decay */
}

static void lightning(struct mx_build *build, struct mx_layer *layer)
{
    const uint64_t hidden = build->arch->hidden, heads = build->heads, dim = build->head_dim;
    const uint64_t inner = heads * dim;
    layer->state_elements = heads * dim * dim;
    layer->mixer_parameters = hidden * 3 * inner + inner + hidden * inner + inner * hidden; /* qkv, norm, gate, out */
}

static void rwkv(struct mx_build *build, struct mx_layer *layer)
{
    const uint64_t hidden = build->arch->hidden;
    const uint64_t width =
        mx_config_whole(build->config, "attention_hidden_size", 1, MX_ARCH_MAX_WIDTH, (uint32_t)hidden);
    layer->state_elements = 5 * width;
    layer->mixer_parameters = 2 * width + 3 * hidden + 3 * hidden * width + width * hidden;
}

void mx_layer_recur(struct mx_build *build, struct mx_layer *layer, enum mx_recurrence recurrence)
{
    layer->recurrence = recurrence;
    switch (recurrence) {
    case MX_RECURRENCE_NONE:
        mx_config_fail(build->config, "layers are recurrent, but no field tells of which kind or how large");
        break;
    case MX_RECURRENCE_MAMBA: mamba(build, layer); break;
    case MX_RECURRENCE_MAMBA2: mamba2(build, layer); break;
    case MX_RECURRENCE_DELTA: delta(build, layer); break;
    case MX_RECURRENCE_SHORT_CONV: short_conv(build, layer); break;
    case MX_RECURRENCE_RG_LRU: rg_lru(build, layer); break;
    case MX_RECURRENCE_LIGHTNING: lightning(build, layer); break;
    case MX_RECURRENCE_RWKV: rwkv(build, layer); break;
    case MX_RECURRENCE_OTHER: break; /* the family fills it */
    }
}
