/* The sum of weigh.h: one walk over the description's tensors. */
#include "advisor/weigh.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/names.h"
#include "config/tensors.h"

/* What published lists call the module of a role, behind "model.layers.N." (or whole, outside the layers), besides what
 * the family itself calls it (names.h). */
enum { NAMES = 5 };
static const char *const module_names[MX_ROLE_COUNT][NAMES + 1] = {
    [MX_ROLE_EMBEDDING] = {"model.embed_tokens", "embed_tokens", "transformer.wte", "embed"},
    [MX_ROLE_HEAD] = {"lm_head", "head", "output", "model.lm_head"},
    [MX_ROLE_Q] = {"self_attn.q_proj", "attn.wq", "attention.wq", "self_attn.qkv_proj"},
    [MX_ROLE_K] = {"self_attn.k_proj", "attn.wk", "attention.wk", "self_attn.qkv_proj"},
    [MX_ROLE_V] = {"self_attn.v_proj", "attn.wv", "attention.wv", "self_attn.qkv_proj"},
    [MX_ROLE_O] = {"self_attn.o_proj", "attn.wo", "attention.wo"},
    [MX_ROLE_ATTENTION_GATE] = {"self_attn.g_proj", "self_attn.gate_proj"},
    [MX_ROLE_Q_A] = {"self_attn.q_a_proj", "attn.wq_a"},
    [MX_ROLE_Q_B] = {"self_attn.q_b_proj", "attn.wq_b"},
    [MX_ROLE_KV_A] = {"self_attn.kv_a_proj_with_mqa", "attn.wkv_a", "attn.wkv"},
    [MX_ROLE_KV_B] = {"self_attn.kv_b_proj", "attn.wkv_b"},
    [MX_ROLE_INDEXER_Q] = {"self_attn.indexer.wq_b", "attn.indexer.wq_b"},
    [MX_ROLE_INDEXER_K] = {"self_attn.indexer.wk", "attn.indexer.wk"},
    [MX_ROLE_INDEXER_WEIGHTS] = {"self_attn.indexer.weights_proj", "attn.indexer.weights_proj"},
    [MX_ROLE_SSM_IN] = {"mixer.in_proj", "mamba.in_proj", "conv.in_proj"},
    [MX_ROLE_SSM_X] = {"mixer.x_proj", "mamba.x_proj"},
    [MX_ROLE_SSM_DT] = {"mixer.dt_proj", "mamba.dt_proj"},
    [MX_ROLE_SSM_OUT] = {"mixer.out_proj", "mamba.out_proj", "conv.out_proj"},
    [MX_ROLE_DELTA_Q] = {"linear_attn.in_proj_qkv", "linear_attn.in_proj_qkvz", "self_attn.q_proj"},
    [MX_ROLE_DELTA_K] = {"linear_attn.in_proj_qkv", "linear_attn.in_proj_qkvz", "self_attn.k_proj"},
    [MX_ROLE_DELTA_V] = {"linear_attn.in_proj_qkv", "linear_attn.in_proj_qkvz", "self_attn.v_proj"},
    [MX_ROLE_DELTA_Z] = {"linear_attn.in_proj_z", "linear_attn.in_proj_qkvz"},
    [MX_ROLE_DELTA_B] = {"linear_attn.in_proj_b", "linear_attn.in_proj_ba", "self_attn.b_proj"},
    [MX_ROLE_DELTA_A] = {"linear_attn.in_proj_a", "linear_attn.in_proj_ba"},
    [MX_ROLE_DELTA_OUT] = {"linear_attn.out_proj", "self_attn.o_proj"},
    [MX_ROLE_DELTA_F_A] = {"self_attn.f_a_proj"},
    [MX_ROLE_DELTA_F_B] = {"self_attn.f_b_proj"},
    [MX_ROLE_DELTA_G_A] = {"self_attn.g_a_proj"},
    [MX_ROLE_DELTA_G_B] = {"self_attn.g_b_proj"},
    [MX_ROLE_GATE] = {"mlp.gate_proj", "feed_forward.gate_proj", "ffn.w1", "feed_forward.w1", "mlp.gate_up_proj"},
    [MX_ROLE_UP] = {"mlp.up_proj", "feed_forward.up_proj", "ffn.w3", "feed_forward.w3", "mlp.gate_up_proj"},
    [MX_ROLE_DOWN] = {"mlp.down_proj", "feed_forward.down_proj", "ffn.w2", "feed_forward.w2"},
    [MX_ROLE_ROUTER] = {"mlp.gate", "block_sparse_moe.gate", "mlp.router", "router", "ffn.gate"},
    [MX_ROLE_EXPERT_GATE] = {"mlp.experts.0.gate_proj", "block_sparse_moe.experts.0.w1", "ffn.experts.0.w1",
                             "feed_forward.experts.gate_up_proj"},
    [MX_ROLE_EXPERT_UP] = {"mlp.experts.0.up_proj", "block_sparse_moe.experts.0.w3", "ffn.experts.0.w3",
                           "feed_forward.experts.gate_up_proj"},
    [MX_ROLE_EXPERT_DOWN] = {"mlp.experts.0.down_proj", "block_sparse_moe.experts.0.w2", "ffn.experts.0.w2",
                             "feed_forward.experts.down_proj"},
    [MX_ROLE_EXPERTS_IN] = {"mixer.fc1_latent_proj"},
    [MX_ROLE_EXPERTS_OUT] = {"mixer.fc2_latent_proj"},
    [MX_ROLE_SHARED_GATE] = {"mlp.shared_experts.gate_proj", "mlp.shared_expert.gate_proj", "ffn.shared_experts.w1",
                             "feed_forward.shared_expert.gate_proj"},
    [MX_ROLE_SHARED_UP] = {"mlp.shared_experts.up_proj", "mlp.shared_expert.up_proj", "ffn.shared_experts.w3",
                           "feed_forward.shared_expert.up_proj", "mixer.shared_experts.up_proj"},
    [MX_ROLE_SHARED_DOWN] = {"mlp.shared_experts.down_proj", "mlp.shared_expert.down_proj", "ffn.shared_experts.w2",
                             "feed_forward.shared_expert.down_proj", "mixer.shared_experts.down_proj"},
    [MX_ROLE_SHARED_EXPERT_GATE] = {"mlp.shared_expert_gate"},
};

/* Experts where they are called otherwise: beside a dense part of the same layer (Gemma 4). */
static const char *const beside_dense[] = {"experts.gate_up_proj", "experts.down_proj", "moe.experts", NULL};

static bool is_expert(enum mx_role role)
{
    return role == MX_ROLE_EXPERT_GATE || role == MX_ROLE_EXPERT_UP || role == MX_ROLE_EXPERT_DOWN;
}

struct weighing {
    const struct mx_arch *arch;
    const struct mx_quantization *quantization;
    const struct mx_scheme_matcher *matcher;
    double plain, bytes;
    bool unknown;
};

/* The names of a tensor's module, in buffers of its own. */
enum { ALL_NAMES = 16 };
struct name_list {
    char own[ALL_NAMES][MX_NAME_SIZE], prefix[MX_NAME_SIZE];
    const char *names[ALL_NAMES + 1];
    size_t count;
    int32_t layer; /* as the names say it, which may count blocks of layers */
};

/* "gpt_neox.layers.3.mlp.up" behind its layer; the whole name where it has none. */
static const char *behind_layer(const char *module, struct name_list *list)
{
    for (const char *step = module; step; step = strchr(step, '.') ? strchr(step, '.') + 1 : NULL) {
        const size_t digits = strspn(step, "0123456789");
        if (!digits || step[digits] != '.') continue;
        snprintf(list->prefix, sizeof list->prefix, "%.*s", (int)(step - module), module);
        list->layer = (int32_t)strtol(step, NULL, 10);
        return step + digits + 1;
    }
    return module;
}

static void add_name(struct name_list *list, const char *name)
{
    if (list->count < ALL_NAMES) list->names[list->count++] = name;
    list->names[list->count] = NULL;
}

/* What the family calls it, and what lists do. Experts are listed one by one: the names of stacks are of conversions.
 */
static void list_names(struct name_list *list, const struct mx_arch *arch, const struct mx_tensor_spec *spec)
{
    struct mx_name_world world;
    struct mx_tensor_source source;
    const bool expert = is_expert(spec->role);
    const bool beside = expert && arch->layers[spec->layer].feed_forward.dense_width;
    const char *const *others = beside ? beside_dense : module_names[spec->role];
    const bool named = arch->names && !beside && mx_names_world_at(arch, 0, &world);
    list->count = 0;
    list->layer = spec->layer;
    list->prefix[0] = '\0';
    list->names[0] = NULL;
    for (unsigned i = 0; named && i < ALL_NAMES / 2 && mx_tensor_source(arch, &world, spec, i, &source); i++) {
        if (expert && !source.each) continue;
        mx_name_expert(list->own[i], source.module, 0);
        add_name(list, spec->layer >= 0 ? behind_layer(list->own[i], list) : list->own[i]);
    }
    if (list->layer != spec->layer) return; /* lists of such a model count blocks, too */
    for (; *others; others++) add_name(list, *others);
}

/* The override of a tensor's module: under any name that a conversion may give it. */
static const struct mx_quant_override *find_override(const struct weighing *weighing, const struct mx_tensor_spec *spec)
{
    struct mx_name_world world;
    struct mx_tensor_source source;
    char module[MX_NAME_SIZE];
    for (unsigned w = 0; weighing->arch->names && mx_names_world_at(weighing->arch, w, &world); w++) {
        for (unsigned i = 0; mx_tensor_source(weighing->arch, &world, spec, i, &source); i++) {
            mx_name_expert(module, source.module, 0);
            const struct mx_quant_override *own = mx_quantization_override(weighing->quantization, module);
            if (own) return own;
        }
    }
    for (const char *const *name = module_names[spec->role]; !weighing->arch->names && *name; name++) {
        if (spec->layer < 0)
            snprintf(module, sizeof module, "%s", *name);
        else
            snprintf(module, sizeof module, "model.layers.%d.%s", spec->layer, *name);
        const struct mx_quant_override *own = mx_quantization_override(weighing->quantization, module);
        if (own) return own;
    }
    return NULL;
}

/* MLX: every matrix whose rows are whole groups, by its override or the general numbers. */
static struct mx_width mlx_width(const struct weighing *weighing, const struct mx_tensor_spec *spec)
{
    struct mx_quant quant = weighing->quantization->quant;
    const bool any = weighing->quantization->override_count > 0;
    const struct mx_quant_override *own = any ? find_override(weighing, spec) : NULL;
    if (own && !own->quantized) return (struct mx_width){0};
    if (own) quant = own->quant;
    if (spec->cols % (uint64_t)quant.group != 0) return (struct mx_width){0};
    return (struct mx_width){quant.bits, (uint32_t)quant.group, 1, quant.mode == MX_QUANT_AFFINE ? 4 : 1};
}

static struct mx_width width_of(const struct weighing *weighing, const struct mx_tensor_spec *spec)
{
    static const struct mx_width plain = {0};
    const struct mx_quantization *quantization = weighing->quantization;
    if (spec->kind != MX_TENSOR_MATRIX || quantization->kind == MX_QUANT_NONE) return plain;
    if (quantization->kind == MX_QUANT_MLX) return mlx_width(weighing, spec);
    if (spec->role == MX_ROLE_ROUTER || spec->role == MX_ROLE_POSITIONS) return plain; /* no scheme codes these */
    struct name_list list;
    list_names(&list, weighing->arch, spec);
    const struct mx_module module = {
        .layer = list.layer,
        .names = list.names,
        .prefix = list.prefix[0] ? list.prefix : NULL,
        .expert = is_expert(spec->role),
        .head = spec->role == MX_ROLE_HEAD,
        .embedding = spec->layer < 0 && spec->role != MX_ROLE_HEAD,
    };
    return mx_scheme_width(weighing->matcher, &module);
}

static mx_status add_tensor(void *context, const struct mx_tensor_spec *spec)
{
    struct weighing *weighing = context;
    if (spec->repeated) return MX_OK;
    const struct mx_width width = width_of(weighing, spec);
    const double one = mx_width_bytes(&width, (double)spec->rows, (double)spec->cols, weighing->plain);
    weighing->unknown |= one < 0;
    weighing->bytes +=
        (one + (spec->bias ? (double)spec->rows * weighing->plain : 0)) * (spec->count ? spec->count : 1);
    return MX_OK;
}

mx_status mx_weigh(double *bytes, const struct mx_arch *arch, const struct mx_quantization *quantization, double plain,
                   struct mx_error *err)
{
    struct mx_scheme_matcher *matcher = NULL;
    MX_TRY(mx_scheme_matcher_open(&matcher, &quantization->scheme, arch->layer_count, err));
    struct weighing weighing = {.arch = arch, .quantization = quantization, .matcher = matcher, .plain = plain};
    const mx_status status = mx_tensors_each(arch, add_tensor, &weighing);
    mx_scheme_matcher_close(matcher);
    *bytes = weighing.unknown ? -1 : weighing.bytes;
    return status;
}
