/* What the engine runs. One switch for each enum of the description, without a default, so that the compiler asks about
 * every value that is added; one line for each switch that is on or off. What is not known to be executed is refused.
 */
#include "config/runs.h"

#include <stdarg.h>
#include <stdio.h>

#include "config/families.h"
#include "config/names.h"

void mx_arch_refuse(struct mx_arch *arch, const char *format, ...)
{
    if (arch->not_runnable[0]) return;
    va_list list;
    va_start(list, format);
    vsnprintf(arch->not_runnable, sizeof arch->not_runnable, format, list);
    va_end(list);
}

static void refuse_if(struct mx_arch *arch, bool has, const char *what)
{
    if (has) mx_arch_refuse(arch, "the engine has no %s", what);
}

static const char *lacks_activation(enum mx_activation activation)
{
    switch (activation) {
    case MX_ACTIVATION_SILU:
    case MX_ACTIVATION_GELU:
    case MX_ACTIVATION_GELU_TANH:
    case MX_ACTIVATION_RELU:
    case MX_ACTIVATION_RELU2:
    case MX_ACTIVATION_XIELU:
    case MX_ACTIVATION_SWIGLU_CLAMPED: return NULL;
    }
    return "activation of that kind";
}

static const char *lacks_norm(enum mx_norm norm)
{
    switch (norm) {
    case MX_NORM_RMS:
    case MX_NORM_LAYER:
    case MX_NORM_LAYER_PLAIN:
    case MX_NORM_RMS_PLAIN: return NULL;
    }
    return "norm of that kind";
}

static const char *lacks_qk_norm(enum mx_qk_norm norm)
{
    switch (norm) {
    case MX_QK_NORM_NONE:
    case MX_QK_NORM_HEAD:
    case MX_QK_NORM_ALL:
    case MX_QK_NORM_EACH:
    case MX_QK_NORM_LAYER:
    case MX_QK_NORM_UNIT: return NULL;
    }
    return "norm of that kind on queries and keys";
}

static const char *lacks_block(enum mx_block_shape block)
{
    switch (block) {
    case MX_BLOCK_PRE:
    case MX_BLOCK_PARALLEL:
    case MX_BLOCK_PARALLEL_TWO:
    case MX_BLOCK_POST:
    case MX_BLOCK_SANDWICH:
    case MX_BLOCK_NORMED: return NULL;
    case MX_BLOCK_AFTER: return "layer that normalizes the sum of input and output";
    }
    return "layer of that shape";
}

static const char *lacks_positions(enum mx_positions positions)
{
    switch (positions) {
    case MX_POSITIONS_ROPE:
    case MX_POSITIONS_NONE:
    case MX_POSITIONS_LEARNED:
    case MX_POSITIONS_SINUSOIDAL:
    case MX_POSITIONS_ALIBI: return NULL;
    }
    return "positions of that kind";
}

static const char *lacks_rope(enum mx_rope_type type)
{
    switch (type) {
    case MX_ROPE_DEFAULT:
    case MX_ROPE_LINEAR:
    case MX_ROPE_DYNAMIC:
    case MX_ROPE_LLAMA3:
    case MX_ROPE_YARN:
    case MX_ROPE_LONGROPE:
    case MX_ROPE_PROPORTIONAL: return NULL;
    case MX_ROPE_OTHER: return "rotary positions as these rope_parameters describe them";
    }
    return "rotary positions of that type";
}

static const char *lacks_attention(enum mx_attention_kind kind)
{
    switch (kind) {
    case MX_ATTENTION_NONE:
    case MX_ATTENTION_FULL:
    case MX_ATTENTION_SLIDING:
    case MX_ATTENTION_CHUNKED:
    case MX_ATTENTION_LATENT: return NULL;
    }
    return "attention of that kind";
}

static const char *lacks_gate(enum mx_gate gate)
{
    switch (gate) {
    case MX_GATE_NONE:
    case MX_GATE_ELEMENTS:
    case MX_GATE_HEADS:
    case MX_GATE_HEADS_SOFTPLUS: return NULL;
    }
    return "gate of that kind";
}

static const char *lacks_recurrence(enum mx_recurrence_kind kind)
{
    switch (kind) {
    case MX_RECURRENCE_NONE:
    case MX_RECURRENCE_MAMBA:
    case MX_RECURRENCE_MAMBA2:
    case MX_RECURRENCE_DELTA:
    case MX_RECURRENCE_SHORT_CONV:
    case MX_RECURRENCE_RG_LRU:
    case MX_RECURRENCE_LIGHTNING:
    case MX_RECURRENCE_KIMI_DELTA:
    case MX_RECURRENCE_RWKV: return NULL;
    case MX_RECURRENCE_OTHER: break;
    }
    return "recurrence of that kind";
}

static const char *lacks_feed_forward(enum mx_feed_forward_kind kind)
{
    switch (kind) {
    case MX_FEED_FORWARD_NONE:
    case MX_FEED_FORWARD_DENSE:
    case MX_FEED_FORWARD_EXPERTS:
    case MX_FEED_FORWARD_CHANNEL_MIX:
    case MX_FEED_FORWARD_LINEAR: return NULL;
    }
    return "feed-forward of that kind";
}

static const char *lacks_router_bias(enum mx_router_bias bias)
{
    switch (bias) {
    case MX_ROUTER_BIAS_NONE:
    case MX_ROUTER_BIAS_CHOICE:
    case MX_ROUTER_BIAS_SCORE: return NULL;
    }
    return "router bias of that kind";
}

static const char *lacks_head_unit(enum mx_head_unit unit)
{
    switch (unit) {
    case MX_HEAD_AS_IS:
    case MX_HEAD_UNIT_ROWS:
    case MX_HEAD_UNIT_COLUMNS: return NULL;
    }
    return "output matrix normalized in that way";
}

static void ask(struct mx_arch *arch, const char *lacks)
{
    if (lacks) mx_arch_refuse(arch, "the engine has no %s", lacks);
}

/* Sizes that the blocks of recurrences have room for. */
static void ask_recurrence(struct mx_arch *arch, const struct mx_recurrence *mixer)
{
    uint32_t keys = 0, values = 0, states = 0, conv = 0;
    ask(arch, lacks_recurrence(mixer->kind));
    if (mixer->kind == MX_RECURRENCE_DELTA) {
        keys = mixer->delta.k_dim;
        values = mixer->delta.v_dim;
        conv = mixer->delta.conv;
        refuse_if(arch, mixer->delta.v_heads % mixer->delta.k_heads != 0, "delta rule whose value heads share no keys");
    } else if (mixer->kind == MX_RECURRENCE_MAMBA2) {
        refuse_if(arch, mixer->mamba2.out_scale != 1 && mixer->mamba2.bias, "Mamba-2 with multipliers and biases");
        keys = mixer->mamba2.state;
        values = mixer->mamba2.head_dim;
        conv = mixer->mamba2.conv;
        refuse_if(arch, mixer->mamba2.heads % mixer->mamba2.groups != 0, "Mamba-2 whose heads share no groups");
    } else if (mixer->kind == MX_RECURRENCE_MAMBA) {
        states = mixer->mamba.state;
        conv = mixer->mamba.conv;
        refuse_if(arch, mixer->mamba.heads != 1 && mixer->mamba.norms, "Mamba with several heads and norms");
    } else if (mixer->kind == MX_RECURRENCE_SHORT_CONV) {
        conv = mixer->short_conv.conv;
    } else if (mixer->kind == MX_RECURRENCE_KIMI_DELTA) {
        keys = values = mixer->kimi_delta.dim;
        conv = mixer->kimi_delta.conv;
    } else if (mixer->kind == MX_RECURRENCE_LIGHTNING) {
        keys = values = mixer->lightning.dim;
    } else if (mixer->kind == MX_RECURRENCE_RG_LRU) {
        conv = mixer->rg_lru.conv;
        refuse_if(arch, mixer->rg_lru.width % mixer->rg_lru.heads != 0, "recurrent unit whose heads share no channels");
    }
    refuse_if(arch,
              keys > MX_RECURRENT_KEYS || values > MX_RECURRENT_VALUES || states > MX_RECURRENT_STATES ||
                  conv > MX_RECURRENT_CONV,
              "recurrence of that size");
}

static void ask_layer(struct mx_arch *arch, const struct mx_layer *layer)
{
    const struct mx_attention *attention = &layer->attention;
    const struct mx_feed_forward *ffn = &layer->feed_forward;
    ask(arch, lacks_attention(attention->kind));
    ask_recurrence(arch, &layer->recurrence);
    ask(arch, lacks_feed_forward(ffn->kind));
    ask(arch, lacks_block(layer->block));
    ask(arch, lacks_gate(attention->gate));
    refuse_if(arch, attention->values_are_keys && attention->v_dim != attention->k_dim, "values as part of keys");
    refuse_if(arch, attention->differential && (attention->kv_heads % 2 || attention->v_dim != attention->k_dim),
              "differential attention with an odd number of value heads");
    refuse_if(arch, attention->output_bias && arch->attention_out_scale != 1, "attention with multipliers and biases");
    refuse_if(arch, attention->dynamic_mask && (attention->gate || attention->k_dim != attention->v_dim),
              "dynamic mask on gated heads");
    refuse_if(arch, attention->wide_input && (!mx_layer_recurs(layer) || ffn->kind != MX_FEED_FORWARD_DENSE),
              "shared block without a recurrence beside it");
    refuse_if(arch, !attention->wide_input && (attention->adapter || ffn->adapter), "adapters of such blocks");
    refuse_if(arch, attention->indexer.top && attention->kind != MX_ATTENTION_LATENT,
              "sparse-attention indexer beside keys and values");
    refuse_if(arch, attention->indexer.dim && attention->indexer.dim < attention->latent.rope,
              "sparse-attention indexer narrower than its rotary part");
    refuse_if(arch, attention->indexer.top && !attention->indexer.dim && layer == arch->layers,
              "sparse attention whose first layer has no indexer");
    refuse_if(arch, attention->kind == MX_ATTENTION_LATENT && !attention->latent.rope,
              "latent attention without a rotary part");
    refuse_if(arch, attention->joint_output, "attention that leaves by a recurrence's matrix");
    refuse_if(arch, attention->cache_copies > 1, "layer that runs several times per token");
    refuse_if(arch, mx_layer_attends(layer) && !attention->cache_copies && attention->shares_cache_of < 0,
              "cross-attention");
    refuse_if(arch,
              attention->experts && (arch->experts.empty || attention->k_dim != attention->v_dim ||
                                     attention->heads != (uint64_t)attention->kv_heads * arch->experts.used),
              "mixture of attention heads of those sizes");
    refuse_if(arch, ffn->latent, "experts in a narrower space");
    refuse_if(arch, ffn->dense_width && !ffn->late && (!arch->expert_norms || layer->block != MX_BLOCK_SANDWICH),
              "dense feed-forward beside experts without norms of its own");
    refuse_if(arch, (ffn->bound > 0 || ffn->shared_bound > 0) && !arch->gated,
              "bounds on a feed-forward without a gate");
    refuse_if(arch, ffn->deviations > 0 && (!arch->gated || ffn->kind != MX_FEED_FORWARD_DENSE),
              "threshold on activations without a gate");
    refuse_if(arch, (arch->streams || arch->laurel_rank) && layer->block != MX_BLOCK_SANDWICH,
              "alternating updates around a layer of that shape");
    refuse_if(arch, ffn->kind == MX_FEED_FORWARD_CHANNEL_MIX && layer->recurrence.kind != MX_RECURRENCE_RWKV,
              "channel mixing without time mixing");
    refuse_if(arch, arch->residual_weights && layer->block != MX_BLOCK_PRE, "weights on residuals of that shape");
    refuse_if(arch, layer->shares_weights && !attention->wide_input, "weights shared by several layers");
    refuse_if(arch, arch->activation == MX_ACTIVATION_XIELU && (arch->gated || ffn->kind == MX_FEED_FORWARD_EXPERTS),
              "xIELU in a gated feed-forward or in experts");
    if (ffn->kind == MX_FEED_FORWARD_DENSE && !ffn->width) mx_arch_refuse(arch, "the config has no intermediate_size");
    if (ffn->kind == MX_FEED_FORWARD_EXPERTS && !arch->experts.count)
        mx_arch_refuse(arch, "a layer has experts, but the config does not say how many");
}

static void ask_rope(struct mx_arch *arch, const struct mx_rope *rope)
{
    ask(arch, lacks_rope(rope->type));
    if (rope->type == MX_ROPE_LLAMA3 && rope->low_freq_factor > rope->high_freq_factor)
        mx_arch_refuse(arch, "rope type \"llama3\": low_freq_factor is above high_freq_factor");
    if (rope->dims % 2) mx_arch_refuse(arch, "an odd number of rotated dimensions, %u", rope->dims);
}

/* Each tensor has a name, or the loader would have nothing to look for. */
static mx_status ask_name(void *context, const struct mx_tensor_spec *spec)
{
    struct mx_arch *arch = context;
    const struct mx_name_world world = {.body = ""};
    struct mx_tensor_source source;
    if (mx_tensor_source(arch, &world, spec, 0, &source)) return MX_OK;
    if (spec->layer >= 0)
        mx_arch_refuse(arch, "layer %d of a %s model has no \"%s\" that a name is known for", spec->layer,
                       arch->model_type, mx_role_name(spec->role));
    else
        mx_arch_refuse(arch, "a %s model has no \"%s\" that a name is known for", arch->model_type,
                       mx_role_name(spec->role));
    return MX_ERR_UNSUPPORTED;
}

void mx_arch_decide_runs(struct mx_arch *arch)
{
    if (arch->kind != MX_KIND_DECODER) mx_arch_refuse(arch, "the engine runs decoders, and this is none");
    const char *mixes = arch->outer_type[0] ? mx_family_wrapper_mixes(arch->outer_type) : NULL;
    if (mixes) mx_arch_refuse(arch, "the engine does not run the text part of \"%s\": %s", arch->outer_type, mixes);
    if (!arch->known) mx_arch_refuse(arch, "the engine does not run model type \"%s\" yet", arch->model_type);
    if (!arch->vocab) mx_arch_refuse(arch, "the config has no vocab_size");
    ask(arch, lacks_activation(arch->activation));
    ask(arch, lacks_norm(arch->norm));
    ask(arch, lacks_qk_norm(arch->qk_norm));
    ask(arch, lacks_positions(arch->positions));
    ask(arch, lacks_router_bias(arch->experts.router_bias));
    ask(arch, lacks_head_unit(arch->head_unit));
    for (uint8_t i = 0; i < arch->rope_count; i++) ask_rope(arch, &arch->rope[i]);
    for (uint32_t i = 0; i < arch->layer_count; i++) ask_layer(arch, &arch->layers[i]);
    refuse_if(arch, arch->attention_out_scale != 1 && (arch->qkv_bias || arch->o_bias),
              "attention with multipliers and biases");
    refuse_if(arch, arch->down_scale != 1 && arch->mlp_bias, "feed-forward with multipliers and biases");
    refuse_if(arch, arch->embedding_width, "embedding that is narrower than the model");
    refuse_if(arch, arch->no_final_norm, "model without a final norm");
    if (!arch->names) mx_arch_refuse(arch, "the tensor names of model type %s are not known", arch->model_type);
    if (!arch->not_runnable[0]) mx_tensors_each(arch, ask_name, arch);
    arch->runnable = arch->not_runnable[0] == '\0';
}
