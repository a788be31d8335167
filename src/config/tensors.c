/* The walk over a model's tensors: one function per mixer and feed-forward. */
#include "config/tensors.h"

struct walk {
    const struct mx_arch *arch;
    mx_tensor_visit *visit;
    void *context;
    mx_status status;
    int32_t layer;
    bool idle;     /* a text passes the layer by */
    bool repeated; /* what follows is that of an earlier layer */
};

static void emit(struct walk *walk, struct mx_tensor_spec spec)
{
    if (walk->status != MX_OK) return;
    spec.layer = walk->layer;
    spec.repeated = walk->repeated;
    spec.idle = walk->idle;
    walk->status = walk->visit(walk->context, &spec);
}

static void matrix(struct walk *walk, enum mx_role role, uint64_t rows, uint64_t cols, bool bias)
{
    emit(walk,
         (struct mx_tensor_spec){.role = role, .kind = MX_TENSOR_MATRIX, .rows = rows, .cols = cols, .bias = bias});
}

/* One of these for each expert. */
static void routed(struct walk *walk, enum mx_role role, uint64_t rows, uint64_t cols, bool bias)
{
    emit(walk, (struct mx_tensor_spec){.role = role,
                                       .kind = MX_TENSOR_MATRIX,
                                       .count = walk->arch->experts.count,
                                       .used = walk->arch->experts.used,
                                       .rows = rows,
                                       .cols = cols,
                                       .bias = bias});
}

static void floats(struct walk *walk, enum mx_role role, uint64_t rows, uint64_t cols, bool bias)
{
    emit(walk,
         (struct mx_tensor_spec){.role = role, .kind = MX_TENSOR_FLOATS, .rows = rows, .cols = cols, .bias = bias});
}

/* A norm of a mixer's own make: RMS, with a weight. */
static void inner_norm(struct walk *walk, enum mx_role role, uint64_t width)
{
    emit(walk, (struct mx_tensor_spec){.role = role, .kind = MX_TENSOR_NORM, .rows = width, .cols = 1});
}

/* A norm of the model's kind; nothing where that kind has no weights. */
static void norm_with(struct walk *walk, enum mx_role role, uint64_t width, bool bias)
{
    if (walk->arch->norm == MX_NORM_LAYER_PLAIN || walk->arch->norm == MX_NORM_RMS_PLAIN) return;
    emit(walk, (struct mx_tensor_spec){
                   .role = role, .kind = MX_TENSOR_NORM, .rows = width, .cols = 1, .bias = bias, .offset = true});
}

static void norm(struct walk *walk, enum mx_role role)
{
    norm_with(walk, role, walk->arch->hidden, walk->arch->norm_bias);
}

/* ---- attention ---- */

static void head_norm(struct walk *walk, enum mx_role role, uint32_t heads, uint32_t dim)
{
    switch (walk->arch->qk_norm) {
    case MX_QK_NORM_NONE:
    case MX_QK_NORM_UNIT: break;
    case MX_QK_NORM_HEAD: norm_with(walk, role, dim, walk->arch->qk_norm_bias); break;
    case MX_QK_NORM_ALL:
    case MX_QK_NORM_EACH: norm_with(walk, role, (uint64_t)heads * dim, walk->arch->qk_norm_bias); break;
    case MX_QK_NORM_LAYER: norm_with(walk, role, (uint64_t)heads * dim, true); break;
    }
}

static void indexer(struct walk *walk, const struct mx_attention *attention)
{
    const struct mx_indexer *own = &attention->indexer;
    const uint64_t hidden = walk->arch->hidden, rank = attention->latent.q_rank ? attention->latent.q_rank : hidden;
    matrix(walk, MX_ROLE_INDEXER_Q, (uint64_t)own->heads * own->dim, rank, false);
    matrix(walk, MX_ROLE_INDEXER_K, own->dim, hidden, false);
    emit(walk, (struct mx_tensor_spec){
                   .role = MX_ROLE_INDEXER_K_NORM, .kind = MX_TENSOR_NORM, .rows = own->dim, .cols = 1, .bias = true});
    matrix(walk, MX_ROLE_INDEXER_WEIGHTS, own->heads, hidden, false);
}

static void latent_attention(struct walk *walk, const struct mx_attention *attention)
{
    const struct mx_arch *arch = walk->arch;
    const struct mx_latent *latent = &attention->latent;
    const uint64_t heads = attention->heads, q_rows = heads * attention->k_dim;
    if (latent->q_rank) {
        matrix(walk, MX_ROLE_Q_A, latent->q_rank, arch->hidden, arch->qkv_bias);
        inner_norm(walk, MX_ROLE_Q_A_NORM, latent->q_rank);
        matrix(walk, MX_ROLE_Q_B, q_rows, latent->q_rank, false);
    } else {
        matrix(walk, MX_ROLE_Q, q_rows, arch->hidden, false);
    }
    matrix(walk, MX_ROLE_KV_A, latent->kv_rank + latent->rope, arch->hidden, arch->qkv_bias);
    inner_norm(walk, MX_ROLE_KV_A_NORM, latent->kv_rank);
    matrix(walk, MX_ROLE_KV_B, heads * (latent->nope + latent->v), latent->kv_rank, false);
    matrix(walk, MX_ROLE_O, arch->hidden, heads * latent->v, arch->o_bias);
    if (attention->indexer.dim) indexer(walk, attention);
}

static void attention_adapters(struct walk *walk, const struct mx_attention *attention, uint64_t inputs)
{
    const uint64_t q = (uint64_t)attention->heads * attention->k_dim;
    static const enum mx_role roles[] = {MX_ROLE_Q_ADAPTER_A, MX_ROLE_K_ADAPTER_A, MX_ROLE_V_ADAPTER_A};
    for (int i = 0; i < 3; i++) {
        matrix(walk, roles[i], attention->adapter, inputs, false);
        matrix(walk, roles[i] + 1, q, attention->adapter, false);
    }
}

/* Queries and output by expert; keys and values common. */
static void expert_attention(struct walk *walk, const struct mx_attention *attention)
{
    const struct mx_arch *arch = walk->arch;
    const uint64_t inner = (uint64_t)attention->kv_heads * attention->k_dim, hidden = arch->hidden;
    matrix(walk, MX_ROLE_ATTENTION_ROUTER, arch->experts.count, hidden, false);
    routed(walk, MX_ROLE_EXPERT_Q, inner, hidden, false);
    matrix(walk, MX_ROLE_K, inner, hidden, false);
    matrix(walk, MX_ROLE_V, (uint64_t)attention->kv_heads * attention->v_dim, hidden, false);
    routed(walk, MX_ROLE_EXPERT_O, hidden, inner, false);
    floats(walk, MX_ROLE_ATTENTION_BIAS, hidden, 1, false);
}

static void extras_of_attention(struct walk *walk, const struct mx_attention *attention)
{
    const uint64_t heads = attention->heads, attended = heads * attention->v_dim;
    if (attention->gate == MX_GATE_ELEMENTS) matrix(walk, MX_ROLE_ATTENTION_GATE, attended, walk->arch->hidden, false);
    if (attention->gate == MX_GATE_HEADS || attention->gate == MX_GATE_HEADS_SOFTPLUS)
        matrix(walk, MX_ROLE_ATTENTION_GATE, heads, walk->arch->hidden, false);
    if (attention->sinks) floats(walk, MX_ROLE_SINKS, heads, 1, false);
    if (attention->output_norm) inner_norm(walk, MX_ROLE_ATTENTION_NORM, attended);
    if (attention->differential) {
        for (enum mx_role role = MX_ROLE_LAMBDA_Q1; role <= MX_ROLE_LAMBDA_K2; role++)
            floats(walk, role, attention->k_dim, 1, false);
    }
    if (attention->dynamic_mask) {
        floats(walk, MX_ROLE_MASK_A, attention->kv_heads, 1, false);
        matrix(walk, MX_ROLE_MASK_DT, attention->kv_heads, (uint64_t)attention->kv_heads * attention->v_dim,
               walk->arch->qkv_bias);
    }
}

static void plain_attention(struct walk *walk, const struct mx_attention *attention)
{
    const struct mx_arch *arch = walk->arch;
    const uint64_t inputs = (attention->wide_input ? 2 : 1) * (uint64_t)arch->hidden;
    const uint64_t heads = attention->heads, kv_heads = attention->kv_heads;
    const bool own = attention->shares_cache_of < 0;
    if (attention->latent.q_rank) {
        matrix(walk, MX_ROLE_Q_A, attention->latent.q_rank, inputs, arch->qkv_bias);
        inner_norm(walk, MX_ROLE_Q_A_NORM, attention->latent.q_rank);
        matrix(walk, MX_ROLE_Q_B, heads * attention->k_dim, attention->latent.q_rank, false);
    } else {
        matrix(walk, MX_ROLE_Q, heads * attention->k_dim, inputs, arch->qkv_bias);
    }
    if (own) matrix(walk, MX_ROLE_K, kv_heads * attention->k_dim, inputs, arch->qkv_bias);
    if (own && !attention->values_are_keys)
        matrix(walk, MX_ROLE_V, kv_heads * attention->v_dim, inputs, arch->qkv_bias);
    if (attention->o_rank) {
        const uint64_t middle = (uint64_t)attention->o_rank * attention->o_groups;
        matrix(walk, MX_ROLE_O_A, middle, heads * attention->v_dim / attention->o_groups, false);
        matrix(walk, MX_ROLE_O, arch->hidden, middle, arch->o_bias);
    } else if (!attention->joint_output) {
        matrix(walk, MX_ROLE_O, arch->hidden, heads * attention->v_dim, arch->o_bias);
        if (attention->output_bias) floats(walk, MX_ROLE_O_BIAS, arch->hidden, 1, false);
    }
    head_norm(walk, MX_ROLE_Q_NORM, attention->heads, attention->k_dim);
    if (own) head_norm(walk, MX_ROLE_K_NORM, attention->kv_heads, attention->k_dim);
    extras_of_attention(walk, attention);
}

static void attention(struct walk *walk, const struct mx_layer *layer)
{
    const struct mx_attention *own = &layer->attention;
    walk->repeated = layer->shares_weights;
    if (own->wide_input) norm_with(walk, MX_ROLE_SHARED_NORM, 2 * (uint64_t)walk->arch->hidden, walk->arch->norm_bias);
    if (own->kind == MX_ATTENTION_LATENT)
        latent_attention(walk, own);
    else if (own->experts)
        expert_attention(walk, own);
    else
        plain_attention(walk, own);
    walk->repeated = false;
    if (own->adapter) attention_adapters(walk, own, 2 * (uint64_t)walk->arch->hidden);
    if (own->wide_input) matrix(walk, MX_ROLE_SHARED_OUT, walk->arch->hidden, walk->arch->hidden, false);
}

/* ---- recurrences ---- */

static void mamba(struct walk *walk, const struct mx_mamba *mixer)
{
    const uint64_t inner = mixer->inner, hidden = walk->arch->hidden;
    if (mixer->heads == 1) {
        matrix(walk, MX_ROLE_SSM_IN, 2 * inner, hidden, mixer->bias);
        matrix(walk, MX_ROLE_SSM_X, mixer->rank + 2 * (uint64_t)mixer->state, inner, false);
        matrix(walk, MX_ROLE_SSM_DT, inner, mixer->rank, true);
    } else { /* stacks of small matrices, one per head */
        matrix(walk, MX_ROLE_SSM_IN, inner, hidden, mixer->bias);
        matrix(walk, MX_ROLE_SSM_Z, inner, hidden, mixer->bias);
        const uint64_t parameters = mixer->rank + 2 * (uint64_t)mixer->state;
        floats(walk, MX_ROLE_SSM_X, mixer->heads * parameters, inner / mixer->heads, false);
        floats(walk, MX_ROLE_SSM_DT, inner, mixer->rank, false);
        floats(walk, MX_ROLE_SSM_DT_BIAS, inner, 1, false);
    }
    floats(walk, MX_ROLE_SSM_CONV, inner, mixer->conv, true);
    floats(walk, MX_ROLE_SSM_A, inner, mixer->state, false);
    floats(walk, MX_ROLE_SSM_D, inner, 1, false);
    if (mixer->norms && !mixer->plain_norms) {
        inner_norm(walk, MX_ROLE_SSM_DT_NORM, mixer->rank);
        inner_norm(walk, MX_ROLE_SSM_B_NORM, mixer->state);
        inner_norm(walk, MX_ROLE_SSM_C_NORM, mixer->state);
    }
    matrix(walk, MX_ROLE_SSM_OUT, hidden, inner, mixer->bias);
}

static void mamba2(struct walk *walk, const struct mx_mamba2 *mixer)
{
    const uint64_t inner = (uint64_t)mixer->heads * mixer->head_dim, hidden = walk->arch->hidden;
    const uint64_t channels = inner + 2 * (uint64_t)mixer->groups * mixer->state;
    matrix(walk, MX_ROLE_SSM_IN, inner + channels + mixer->heads, hidden, mixer->bias);
    floats(walk, MX_ROLE_SSM_CONV, channels, mixer->conv, true);
    floats(walk, MX_ROLE_SSM_DT_BIAS, mixer->heads, 1, false);
    floats(walk, MX_ROLE_SSM_A, mixer->heads, 1, false);
    floats(walk, MX_ROLE_SSM_D, mixer->heads, 1, false);
    if (mixer->norm) inner_norm(walk, MX_ROLE_SSM_NORM, inner);
    matrix(walk, MX_ROLE_SSM_OUT, hidden, inner, mixer->bias);
}

static void short_conv(struct walk *walk, const struct mx_short_conv *mixer)
{
    const uint64_t width = mixer->width, hidden = walk->arch->hidden;
    matrix(walk, MX_ROLE_SSM_IN, 3 * width, hidden, mixer->bias);
    floats(walk, MX_ROLE_SSM_CONV, width, mixer->conv, mixer->bias);
    matrix(walk, MX_ROLE_SSM_OUT, hidden, width, mixer->bias);
}

static void delta(struct walk *walk, const struct mx_delta *mixer)
{
    const uint64_t keys = (uint64_t)mixer->k_heads * mixer->k_dim, values = (uint64_t)mixer->v_heads * mixer->v_dim;
    const uint64_t hidden = walk->arch->hidden;
    matrix(walk, MX_ROLE_DELTA_Q, keys, hidden, false);
    matrix(walk, MX_ROLE_DELTA_K, keys, hidden, false);
    matrix(walk, MX_ROLE_DELTA_V, values, hidden, false);
    matrix(walk, MX_ROLE_DELTA_Z, values, hidden, false);
    matrix(walk, MX_ROLE_DELTA_B, mixer->v_heads, hidden, false);
    matrix(walk, MX_ROLE_DELTA_A, mixer->v_heads, hidden, false);
    floats(walk, MX_ROLE_DELTA_CONV, 2 * keys + values, mixer->conv, false);
    floats(walk, MX_ROLE_DELTA_DT_BIAS, mixer->v_heads, 1, false);
    floats(walk, MX_ROLE_DELTA_A_LOG, mixer->v_heads, 1, false);
    inner_norm(walk, MX_ROLE_DELTA_NORM, mixer->v_dim);
    matrix(walk, MX_ROLE_DELTA_OUT, hidden, values, false);
}

static void kimi_delta(struct walk *walk, const struct mx_kimi_delta *mixer)
{
    const uint64_t inner = (uint64_t)mixer->heads * mixer->dim, hidden = walk->arch->hidden;
    static const enum mx_role qkv[] = {MX_ROLE_DELTA_Q, MX_ROLE_DELTA_K, MX_ROLE_DELTA_V};
    for (int i = 0; i < 3; i++) matrix(walk, qkv[i], inner, hidden, false);
    floats(walk, MX_ROLE_DELTA_CONV, 3 * inner, mixer->conv, false);
    matrix(walk, MX_ROLE_DELTA_F_A, mixer->dim, hidden, false);
    matrix(walk, MX_ROLE_DELTA_F_B, inner, mixer->dim, false);
    matrix(walk, MX_ROLE_DELTA_G_A, mixer->dim, hidden, false);
    matrix(walk, MX_ROLE_DELTA_G_B, inner, mixer->dim, false);
    matrix(walk, MX_ROLE_DELTA_B, mixer->heads, hidden, false);
    floats(walk, MX_ROLE_DELTA_A_LOG, mixer->heads, 1, false);
    floats(walk, MX_ROLE_DELTA_DT_BIAS, inner, 1, false);
    inner_norm(walk, MX_ROLE_DELTA_NORM, mixer->dim);
    matrix(walk, MX_ROLE_DELTA_OUT, hidden, inner, false);
}

static void rg_lru(struct walk *walk, const struct mx_rg_lru *mixer)
{
    const uint64_t width = mixer->width, hidden = walk->arch->hidden;
    matrix(walk, MX_ROLE_LRU_X, width, hidden, true);
    matrix(walk, MX_ROLE_LRU_Y, width, hidden, true);
    floats(walk, MX_ROLE_LRU_CONV, width, mixer->conv, true);
    floats(walk, MX_ROLE_LRU_INPUT_GATE, width, width / mixer->heads, false);
    floats(walk, MX_ROLE_LRU_INPUT_GATE_BIAS, width, 1, false);
    floats(walk, MX_ROLE_LRU_GATE, width, width / mixer->heads, false);
    floats(walk, MX_ROLE_LRU_GATE_BIAS, width, 1, false);
    floats(walk, MX_ROLE_LRU_DECAY, width, 1, false);
    matrix(walk, MX_ROLE_LRU_OUT, hidden, width, true);
}

static void lightning(struct walk *walk, const struct mx_lightning *mixer)
{
    const uint64_t inner = (uint64_t)mixer->heads * mixer->dim, hidden = walk->arch->hidden;
    matrix(walk, MX_ROLE_LIGHTNING_QKV, 3 * inner, hidden, false);
    matrix(walk, MX_ROLE_LIGHTNING_GATE, inner, hidden, false);
    inner_norm(walk, MX_ROLE_LIGHTNING_NORM, inner);
    matrix(walk, MX_ROLE_LIGHTNING_OUT, hidden, inner, false);
}

static void rwkv(struct walk *walk, const struct mx_rwkv *mixer)
{
    const uint64_t width = mixer->width, hidden = walk->arch->hidden;
    floats(walk, MX_ROLE_RWKV_DECAY, width, 1, false);
    floats(walk, MX_ROLE_RWKV_FIRST, width, 1, false);
    floats(walk, MX_ROLE_RWKV_MIX_K, hidden, 1, false);
    floats(walk, MX_ROLE_RWKV_MIX_V, hidden, 1, false);
    floats(walk, MX_ROLE_RWKV_MIX_R, hidden, 1, false);
    matrix(walk, MX_ROLE_RWKV_K, width, hidden, false);
    matrix(walk, MX_ROLE_RWKV_V, width, hidden, false);
    matrix(walk, MX_ROLE_RWKV_R, width, hidden, false);
    matrix(walk, MX_ROLE_RWKV_OUT, hidden, width, false);
}

static void recurrence(struct walk *walk, const struct mx_recurrence *mixer)
{
    switch (mixer->kind) {
    case MX_RECURRENCE_NONE:
    case MX_RECURRENCE_OTHER: break;
    case MX_RECURRENCE_MAMBA: mamba(walk, &mixer->mamba); break;
    case MX_RECURRENCE_MAMBA2: mamba2(walk, &mixer->mamba2); break;
    case MX_RECURRENCE_DELTA: delta(walk, &mixer->delta); break;
    case MX_RECURRENCE_KIMI_DELTA: kimi_delta(walk, &mixer->kimi_delta); break;
    case MX_RECURRENCE_SHORT_CONV: short_conv(walk, &mixer->short_conv); break;
    case MX_RECURRENCE_RG_LRU: rg_lru(walk, &mixer->rg_lru); break;
    case MX_RECURRENCE_LIGHTNING: lightning(walk, &mixer->lightning); break;
    case MX_RECURRENCE_RWKV: rwkv(walk, &mixer->rwkv); break;
    }
}

/* ---- feed-forward ---- */

static void dense(struct walk *walk, const struct mx_feed_forward *ffn, uint64_t width)
{
    const struct mx_arch *arch = walk->arch;
    if (arch->gated) matrix(walk, MX_ROLE_GATE, width, arch->hidden, arch->mlp_bias);
    matrix(walk, MX_ROLE_UP, width, arch->hidden, arch->mlp_bias);
    if (ffn->inner_norm) inner_norm(walk, MX_ROLE_FFN_INNER_NORM, width);
    matrix(walk, MX_ROLE_DOWN, arch->hidden, width, arch->mlp_bias);
    if (arch->activation != MX_ACTIVATION_XIELU) return;
    for (enum mx_role role = MX_ROLE_XIELU_P; role <= MX_ROLE_XIELU_EPS; role++) floats(walk, role, 1, 1, false);
}

static void shared_expert(struct walk *walk, uint64_t width)
{
    const struct mx_arch *arch = walk->arch;
    if (arch->gated) matrix(walk, MX_ROLE_SHARED_GATE, width, arch->hidden, arch->mlp_bias);
    matrix(walk, MX_ROLE_SHARED_UP, width, arch->hidden, arch->mlp_bias);
    matrix(walk, MX_ROLE_SHARED_DOWN, arch->hidden, width, arch->mlp_bias);
    if (arch->experts.shared_gate) matrix(walk, MX_ROLE_SHARED_EXPERT_GATE, 1, arch->hidden, false);
}

static void experts(struct walk *walk, const struct mx_feed_forward *ffn)
{
    const struct mx_arch *arch = walk->arch;
    const struct mx_experts *own = &arch->experts;
    const uint64_t hidden = arch->hidden, space = ffn->latent ? ffn->latent : hidden;
    const uint64_t routes = (uint64_t)own->count + own->empty;
    matrix(walk, MX_ROLE_ROUTER, routes, hidden, own->router_bias == MX_ROUTER_BIAS_SCORE);
    if (own->router_bias == MX_ROUTER_BIAS_CHOICE) floats(walk, MX_ROLE_ROUTER_BIAS, routes, 1 + own->others, false);
    if (ffn->latent) matrix(walk, MX_ROLE_EXPERTS_IN, space, hidden, false);
    if (arch->gated) routed(walk, MX_ROLE_EXPERT_GATE, ffn->width, space, own->bias);
    routed(walk, MX_ROLE_EXPERT_UP, ffn->width, space, own->bias);
    routed(walk, MX_ROLE_EXPERT_DOWN, space, ffn->width, own->bias);
    if (ffn->latent) matrix(walk, MX_ROLE_EXPERTS_OUT, hidden, space, false);
    if (ffn->common_bias) floats(walk, MX_ROLE_EXPERTS_BIAS, hidden, 1, false);
    if (arch->expert_norms) {
        floats(walk, MX_ROLE_ROUTER_SCALE, hidden, 1, false);
        floats(walk, MX_ROLE_EXPERT_SCALE, own->count, 1, false);
        norm(walk, MX_ROLE_EXPERTS_NORM);
        norm(walk, MX_ROLE_EXPERTS_POST_NORM);
        norm(walk, MX_ROLE_DENSE_POST_NORM);
    }
    if (ffn->shared_width) shared_expert(walk, ffn->shared_width);
    if (ffn->dense_width) dense(walk, ffn, ffn->dense_width);
}

static void channel_mix(struct walk *walk, const struct mx_feed_forward *ffn)
{
    const uint64_t hidden = walk->arch->hidden;
    floats(walk, MX_ROLE_CHANNEL_MIX_K, hidden, 1, false);
    floats(walk, MX_ROLE_CHANNEL_MIX_R, hidden, 1, false);
    matrix(walk, MX_ROLE_UP, ffn->width, hidden, false);
    matrix(walk, MX_ROLE_CHANNEL_R, hidden, hidden, false);
    matrix(walk, MX_ROLE_DOWN, hidden, ffn->width, false);
}

static void feed_forward(struct walk *walk, const struct mx_layer *layer)
{
    const struct mx_feed_forward *ffn = &layer->feed_forward;
    const uint64_t hidden = walk->arch->hidden;
    walk->repeated = layer->shares_weights;
    switch (ffn->kind) {
    case MX_FEED_FORWARD_NONE: break;
    case MX_FEED_FORWARD_DENSE: dense(walk, ffn, ffn->width); break;
    case MX_FEED_FORWARD_EXPERTS: experts(walk, ffn); break;
    case MX_FEED_FORWARD_CHANNEL_MIX: channel_mix(walk, ffn); break;
    case MX_FEED_FORWARD_LINEAR: matrix(walk, MX_ROLE_LINEAR_FFN, hidden, hidden, false); break;
    }
    walk->repeated = false;
    if (ffn->output_norm) norm(walk, MX_ROLE_FFN_POST_NORM);
    if (!ffn->adapter) return;
    matrix(walk, MX_ROLE_FFN_ADAPTER_A, ffn->adapter, hidden, false);
    if (walk->arch->gated) matrix(walk, MX_ROLE_GATE_ADAPTER_B, ffn->width, ffn->adapter, false);
    matrix(walk, MX_ROLE_UP_ADAPTER_B, ffn->width, ffn->adapter, false);
}

/* ---- layers ---- */

static void layer_norms(struct walk *walk, const struct mx_layer *layer)
{
    const bool mixer = mx_layer_attends(layer) || mx_layer_recurs(layer) || layer->linear_mixer;
    const bool ffn = layer->feed_forward.kind != MX_FEED_FORWARD_NONE;
    const bool before = layer->block != MX_BLOCK_POST;
    const bool after = layer->block == MX_BLOCK_POST || layer->block == MX_BLOCK_SANDWICH;
    if (layer->input_norm) norm(walk, MX_ROLE_INPUT_NORM);
    if (mixer && before && !layer->no_input_norm) norm(walk, MX_ROLE_MIXER_NORM);
    if (mixer && after) norm(walk, MX_ROLE_MIXER_POST_NORM);
    walk->repeated = layer->shares_weights;
    if (ffn && before && layer->block != MX_BLOCK_PARALLEL) norm(walk, MX_ROLE_FFN_NORM);
    walk->repeated = false;
    if (ffn && after) norm(walk, MX_ROLE_FFN_POST_NORM);
}

/* What Gemma 3n, Gemma 4 and Doge add around a layer. */
static void layer_extras(struct walk *walk)
{
    const struct mx_arch *arch = walk->arch;
    const uint64_t hidden = arch->hidden, width = arch->layer_input_width, streams = arch->streams;
    if (arch->residual_weights) {
        floats(walk, MX_ROLE_MIXER_RESIDUAL, hidden, 1, false);
        floats(walk, MX_ROLE_FFN_RESIDUAL, hidden, 1, false);
    }
    if (arch->layer_scalar) floats(walk, MX_ROLE_LAYER_SCALAR, 1, 1, false);
    if (width) {
        matrix(walk, MX_ROLE_LAYER_INPUT_GATE, width, hidden, false);
        matrix(walk, MX_ROLE_LAYER_INPUT_OUT, hidden, width, false);
        norm(walk, MX_ROLE_LAYER_INPUT_POST_NORM);
    }
    if (streams) {
        floats(walk, MX_ROLE_ALTUP_SCALE, hidden, 1, false);
        matrix(walk, MX_ROLE_ALTUP_CORRECT, streams, streams, false);
        matrix(walk, MX_ROLE_ALTUP_PREDICT, streams * streams, streams, false);
        matrix(walk, MX_ROLE_ALTUP_ROUTER, streams, hidden, false);
        norm(walk, MX_ROLE_ALTUP_NORM);
    }
    if (arch->laurel_rank) {
        matrix(walk, MX_ROLE_LAUREL_LEFT, arch->laurel_rank, hidden, false);
        matrix(walk, MX_ROLE_LAUREL_RIGHT, hidden, arch->laurel_rank, false);
        norm(walk, MX_ROLE_LAUREL_NORM);
    }
}

/* Attention to an image, each part let in by a gate. */
static void cross_layer(struct walk *walk, const struct mx_layer *own)
{
    const struct mx_attention *attention = &own->attention;
    const uint64_t hidden = walk->arch->hidden, q = (uint64_t)attention->heads * attention->k_dim;
    const uint64_t kv = (uint64_t)attention->kv_heads * attention->k_dim;
    norm(walk, MX_ROLE_MIXER_NORM);
    norm(walk, MX_ROLE_FFN_NORM);
    matrix(walk, MX_ROLE_CROSS_Q, q, hidden, false);
    matrix(walk, MX_ROLE_CROSS_K, kv, hidden, false);
    matrix(walk, MX_ROLE_CROSS_V, kv, hidden, false);
    matrix(walk, MX_ROLE_CROSS_O, hidden, q, false);
    inner_norm(walk, MX_ROLE_CROSS_Q_NORM, attention->k_dim);
    inner_norm(walk, MX_ROLE_CROSS_K_NORM, attention->k_dim);
    floats(walk, MX_ROLE_CROSS_GATE, 1, 1, false);
    floats(walk, MX_ROLE_CROSS_FFN_GATE, 1, 1, false);
    dense(walk, &own->feed_forward, own->feed_forward.width);
}

static void layer(struct walk *walk, uint32_t index)
{
    const struct mx_layer *own = &walk->arch->layers[index];
    walk->layer = (int32_t)index;
    walk->idle = own->cross;
    if (own->cross) {
        cross_layer(walk, own);
        return;
    }
    layer_norms(walk, own);
    if (mx_layer_attends(own)) attention(walk, own);
    recurrence(walk, &own->recurrence);
    if (own->linear_mixer) matrix(walk, MX_ROLE_LINEAR_MIXER, walk->arch->hidden, walk->arch->hidden, false);
    feed_forward(walk, own);
    layer_extras(walk);
}

/* ---- the ends ---- */

static void beginning(struct walk *walk)
{
    const struct mx_arch *arch = walk->arch;
    const uint64_t hidden = arch->hidden, width = arch->embedding_width ? arch->embedding_width : hidden;
    const uint64_t inputs = (uint64_t)arch->layer_count * arch->layer_input_width;
    matrix(walk, MX_ROLE_EMBEDDING, (uint64_t)arch->vocab + arch->image_rows, width, false);
    if (arch->embedding_width) matrix(walk, MX_ROLE_EMBEDDING_IN, hidden, width, false);
    if (arch->embedding_norm) norm(walk, MX_ROLE_EMBEDDING_NORM);
    if (arch->positions == MX_POSITIONS_LEARNED) matrix(walk, MX_ROLE_POSITIONS, arch->position_rows, hidden, false);
    if (inputs) {
        matrix(walk, MX_ROLE_LAYER_INPUTS, arch->layer_input_vocab, inputs, false);
        matrix(walk, MX_ROLE_LAYER_INPUTS_PROJECTION, inputs, hidden, false);
        norm_with(walk, MX_ROLE_LAYER_INPUTS_NORM, arch->layer_input_width, false);
    }
    for (enum mx_role role = MX_ROLE_STREAM_IN; role <= MX_ROLE_STREAM_OUT && arch->streams > 1; role++)
        emit(walk,
             (struct mx_tensor_spec){
                 .role = role, .kind = MX_TENSOR_MATRIX, .count = arch->streams - 1, .rows = hidden, .cols = hidden});
}

static void end(struct walk *walk)
{
    const struct mx_arch *arch = walk->arch;
    const uint64_t hidden = arch->hidden, width = arch->embedding_width ? arch->embedding_width : hidden;
    if (!arch->no_final_norm) norm(walk, MX_ROLE_FINAL_NORM);
    if (arch->embedding_width) matrix(walk, MX_ROLE_EMBEDDING_OUT, width, hidden, false);
    if (arch->head_dense) {
        matrix(walk, MX_ROLE_HEAD_DENSE, hidden, hidden, arch->head_dense_bias);
        norm(walk, MX_ROLE_HEAD_NORM);
    }
    if (!arch->tied)
        matrix(walk, MX_ROLE_HEAD, arch->vocab, width, arch->lm_head_bias);
    else if (arch->lm_head_bias)
        floats(walk, MX_ROLE_HEAD_BIAS, arch->vocab, 1, false);
}

mx_status mx_tensors_each(const struct mx_arch *arch, mx_tensor_visit *visit, void *context)
{
    struct walk walk = {.arch = arch, .visit = visit, .context = context, .layer = -1};
    beginning(&walk);
    for (uint32_t i = 0; i < arch->layer_count && walk.status == MX_OK; i++) layer(&walk, i);
    walk.layer = -1;
    walk.idle = false;
    end(&walk);
    return walk.status;
}

mx_status mx_tensors_of_layer(const struct mx_arch *arch, uint32_t index, mx_tensor_visit *visit, void *context)
{
    struct walk walk = {.arch = arch, .visit = visit, .context = context};
    layer(&walk, index);
    return walk.status;
}
