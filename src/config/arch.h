/* struct mx_arch: what a model is, as data. It is filled from config.json once, and everything follows from it: the
 * advisor classifies and estimates from it, the engine runs it, `mlxcel arch` prints it. Nothing else in the program
 * asks for a model's name.
 *
 * Sizes are counts of numbers, never bytes. A size of 0 means "has none". Everything here was checked while it was
 * filled: sizes are positive and bounded (MX_ARCH_MAX_*), head counts divide, windows are positive, a shared layer
 * points to an earlier layer that holds a cache. Read next: arch.c (how it is filled), fields.h (the spellings of each
 * config field), families.h (the table of model types).
 */
#ifndef MX_CONFIG_ARCH_H
#define MX_CONFIG_ARCH_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum {
    MX_ARCH_MAX_LAYERS = 1024,
    MX_ARCH_MAX_WIDTH = 1 << 20, /* hidden, feed-forward, heads * head_dim */
    MX_ARCH_MAX_VOCAB = 1 << 24,
    MX_ARCH_MAX_EXPERTS = 1 << 14,
    MX_ARCH_MAX_CONTEXT = 1 << 28,
};

/* What decides the KV advice. */
enum mx_class {
    MX_CLASS_STANDARD,       /* every layer attends to everything */
    MX_CLASS_SLIDING_WINDOW, /* some or all layers see a window or a chunk */
    MX_CLASS_MLA,            /* latent attention (DeepSeek-V2, section 2.1) */
    MX_CLASS_HYBRID,         /* attention and recurrent layers */
    MX_CLASS_RECURRENT,      /* no attention at all */
};

enum mx_attention {
    MX_ATTENTION_NONE,
    MX_ATTENTION_FULL,
    MX_ATTENTION_SLIDING, /* sees the newest `window` tokens, itself among them */
    MX_ATTENTION_CHUNKED, /* sees its own chunk of `window` tokens up to itself */
    MX_ATTENTION_LATENT,  /* full, over a compressed latent and a shared rotary part */
};

enum mx_recurrence {
    MX_RECURRENCE_NONE,
    MX_RECURRENCE_MAMBA,
    MX_RECURRENCE_MAMBA2,
    MX_RECURRENCE_DELTA,      /* gated delta rule (Qwen3-Next, Kimi Linear, OLMo hybrid) */
    MX_RECURRENCE_SHORT_CONV, /* LFM2 */
    MX_RECURRENCE_RG_LRU,     /* RecurrentGemma */
    MX_RECURRENCE_LIGHTNING,  /* linear attention of MiniMax */
    MX_RECURRENCE_RWKV,
    MX_RECURRENCE_OTHER,
};

enum mx_feed_forward {
    MX_FEED_FORWARD_NONE,
    MX_FEED_FORWARD_DENSE,
    MX_FEED_FORWARD_EXPERTS,
};

enum mx_activation {
    MX_ACTIVATION_SILU,
    MX_ACTIVATION_GELU,      /* with erf */
    MX_ACTIVATION_GELU_TANH, /* gelu_new, gelu_pytorch_tanh, gelu_fast */
    MX_ACTIVATION_RELU,
    MX_ACTIVATION_RELU2, /* relu(x)^2 */
};

/* One layer. Layers of a model differ in many families, so each has its own row. */
struct mx_layer {
    enum mx_attention attention;
    uint32_t heads, kv_heads; /* query heads, and K/V heads as the cache stores them */
    uint32_t k_dim, v_dim;    /* numbers per head; latent layers: v_dim = kv_lora_rank, k_dim = qk_rope_head_dim and
                                 kv_heads = 1, which is what such a cache holds per token */
    uint32_t window;          /* sliding: tokens seen; chunked: tokens per chunk */
    uint32_t cache_copies;    /* caches that this layer owns: 1 as a rule, 0 for a layer that shares another's, more
                                 where a layer runs several times per token (HRM) */
    int32_t shares_cache_of;  /* index of the layer whose K and V it reads, or -1 */
    uint32_t indexer_dim;     /* extra numbers per token kept by a sparse-attention indexer */
    bool rope;                /* rotary positions are applied in this layer */
    uint8_t rope_index;       /* which of mx_arch.rope */

    enum mx_recurrence recurrence; /* may stand beside attention (Falcon-H1) */
    uint64_t state_elements;       /* recurrent state, numbers per sequence, convolution not counted */
    uint64_t conv_elements;        /* convolution state */

    enum mx_feed_forward feed_forward;
    uint32_t intermediate;        /* width of the dense feed-forward, or of one expert */
    uint32_t shared_intermediate; /* width of the shared expert(s) together */

    /* For counting parameters only. */
    uint64_t mixer_parameters; /* of the recurrent mixer */
    int64_t extra_parameters;  /* of what this description has no words for: gates, sinks, router biases, ... */
    bool shares_weights;       /* attention and feed-forward are those of an earlier layer (Zamba, HRM) */
};

/* What the cache of a layer holds for each token of a text, and who reads it. Derived from the layer by
 * mx_layer_kv_shape and stored nowhere else: the cache, its size, the estimate and saved files rely on this alone.
 * A layer that attends to nothing has attention MX_ATTENTION_NONE and sizes of 0. */
struct mx_kv_shape {
    enum mx_attention attention;
    uint32_t heads;        /* query heads that read; a multiple of kv_heads */
    uint32_t kv_heads;     /* heads that are held; latent: 1 */
    uint32_t k_dim, v_dim; /* elements per held head; latent: v_dim = kv_lora_rank and k_dim = qk_rope_head_dim, and
                              scores read both */
    uint32_t window;       /* sliding: newest tokens seen, itself among them; chunked: tokens per chunk; else 0 */
    uint32_t copies;       /* caches that the layer owns: 0 where it reads another's, more than 1 where it runs several
                              times per token */
    int32_t shares;        /* index of the earlier layer whose cache it reads, which may itself share; -1: its own */
    uint32_t indexer_dim;  /* elements per token of a sparse-attention indexer's keys; 0: no indexer */
    bool rope;             /* keys are held rotated, by mx_arch.rope[rope_index] */
    uint8_t rope_index;
};
struct mx_kv_shape mx_layer_kv_shape(const struct mx_layer *layer);

/* What a recurrent layer keeps for each text, whatever its length: elements of the recurrence's state and of the
 * columns that its convolution still needs. Both 0 where a layer has none. */
struct mx_state_shape {
    uint64_t state, conv;
};
struct mx_state_shape mx_layer_state_shape(const struct mx_layer *layer);

/* It keeps keys and values of its own. */
static inline bool mx_layer_owns_cache(const struct mx_layer *layer)
{
    return layer->attention != MX_ATTENTION_NONE && layer->cache_copies > 0;
}

enum mx_rope_type {
    MX_ROPE_DEFAULT,
    MX_ROPE_LINEAR,
    MX_ROPE_DYNAMIC,
    MX_ROPE_LLAMA3,
    MX_ROPE_YARN,
    MX_ROPE_LONGROPE,
    MX_ROPE_OTHER, /* known to exist, not one that the engine runs; `name` in messages */
};

/* Rotary positions (RoFormer, arXiv 2104.09864) and their stretched forms. Absent numbers have the defaults of the
 * reference implementation filled in. */
struct mx_rope {
    enum mx_rope_type type;
    uint32_t dims;    /* rotated numbers per head: head_dim * partial_rotary_factor, even */
    bool interleaved; /* pairs (0,1), (2,3), ... instead of (0, d/2), (1, d/2 + 1), ... */
    double theta, factor;
    double low_freq_factor, high_freq_factor;            /* llama3 */
    double beta_fast, beta_slow, mscale, mscale_all_dim; /* yarn (arXiv 2309.00071) */
    double attention_factor;                             /* yarn, longrope; 0: derive from factor */
    bool truncate;                                       /* yarn: round the ramp's corners to whole dimensions */
    uint32_t original_context;                           /* positions of the original training */
};

enum mx_norm {
    MX_NORM_RMS,
    MX_NORM_LAYER,
    MX_NORM_LAYER_PLAIN, /* layer norm without weight or bias (OLMo) */
    MX_NORM_RMS_PLAIN,   /* the same without weight (nanochat) */
};

enum mx_qk_norm {
    MX_QK_NORM_NONE,
    MX_QK_NORM_HEAD, /* over each head, one weight [head_dim] (Qwen3) */
    MX_QK_NORM_ALL,  /* over all heads together, weight [heads * head_dim] (OLMo 2) */
    MX_QK_NORM_EACH, /* over each head, with weights of its own: [heads, head_dim] (Cohere, StableLM) */
};

/* Where a block normalizes and how its parts are joined. */
enum mx_block_shape {
    MX_BLOCK_PRE,          /* x += attn(norm(x)); x += ffn(norm(x)) */
    MX_BLOCK_PARALLEL,     /* x += attn(norm(x)) + ffn(norm(x)), one norm for both (Phi, GPT-J, Cohere) */
    MX_BLOCK_PARALLEL_TWO, /* the same with a norm of its own for each (GPT-NeoX) */
    MX_BLOCK_POST,         /* x += norm(attn(x)); x += norm(ffn(x)) (OLMo 2, EXAONE 4) */
    MX_BLOCK_SANDWICH,     /* x += norm(attn(norm(x))); x += norm(ffn(norm(x))) (Gemma 2 and later) */
};

struct mx_experts {
    uint32_t count, used; /* routed experts per layer, and how many each token takes */
    bool normalize;       /* the weights of the experts taken are divided by their sum */
    bool softmax_first;   /* softmax over all experts, then the best; otherwise the best, then softmax over them */
    bool sigmoid;         /* sigmoid scores instead of softmax */
    bool shared_gate;     /* the shared expert's output is multiplied by sigmoid(gate . x) (Qwen2-MoE) */
    double scale;         /* of the routed sum; 1 as a rule */
};

/* How the tensors of a layer are called, relative to "<prefix>layers.N." where not stated. A NULL is a tensor that the
 * family does not have. "%u" stands for the expert. Names without ".weight"/".bias". */
struct mx_tensor_names {
    const char *embedding, *final_norm, *lm_head; /* whole names, prefix included */
    const char *layer;                            /* "model.layers.%u." */
    const char *attention_norm, *attention_post_norm, *ffn_norm, *ffn_post_norm;
    const char *q, *k, *v, *qkv, *o; /* qkv: one fused matrix, rows q then k then v */
    const char *q_norm, *k_norm;
    const char *gate, *up, *down, *gate_up; /* dense; gate_up: fused, gate rows first */
    const char *router;
    const char *expert_gate, *expert_up, *expert_down;    /* Hugging Face, one matrix per expert, with "%u" */
    const char *stacked_gate, *stacked_up, *stacked_down; /* MLX, [experts, out, in] */
    const char *fused_gate_up; /* Hugging Face 5.x: [experts, 2 * out, in], gate rows first; no ".weight" follows */
    const char *fused_down;    /* the same, [experts, out, in] */
    const char *shared_gate, *shared_up, *shared_down, *shared_expert_gate;
};

struct mx_arch {
    char model_type[64]; /* as the config says, of the text model */
    char outer_type[64]; /* of the wrapping model if nested ("qwen2_5_vl"), otherwise "" */
    char dtype[16];      /* "bfloat16", ...: as the config says; "" if it doesn't */
    bool known;          /* the type stands in the table; otherwise classified from its fields alone */
    bool runnable;       /* the engine runs it; otherwise `not_runnable` says why, in one line */
    char not_runnable[160];
    enum mx_class class_;

    uint32_t hidden, vocab, layer_count;
    uint32_t max_context;    /* max_position_embeddings; 0 if the config does not say */
    uint32_t head_dim;       /* of the attention layers that hold the most; latent: of the expanded keys */
    struct mx_layer *layers; /* [layer_count], owned */

    /* Latent attention (0 where there is none). */
    uint32_t kv_lora_rank, q_lora_rank, qk_nope_dim, qk_rope_dim, v_head_dim;

    struct mx_experts experts; /* count 0: dense */
    enum mx_activation activation;
    enum mx_norm norm;
    bool gated;     /* act(gate) * up, then down; otherwise down(act(up)) */
    bool norm_bias; /* layer norms have one, as a rule (not in Cohere, DBRX) */
    double norm_eps;
    double norm_offset; /* added to each stored norm weight (1 for Gemma) */
    enum mx_qk_norm qk_norm;
    enum mx_block_shape block;
    bool qkv_bias, o_bias, mlp_bias, lm_head_bias;
    bool tied;                /* the output matrix is the embedding */
    bool parameters_complete; /* everything that has parameters is described */

    struct mx_rope rope[2];                  /* [1]: the other kind of layer, where a family has two (Gemma 3) */
    uint8_t rope_count;                      /* 0: learned positions, ALiBi or none */
    double attention_scale;                  /* 1/sqrt(head_dim) unless the family says otherwise */
    double attention_softcap, logit_softcap; /* 0: none */
    double embedding_scale, residual_scale, logit_scale; /* 1 as a rule */

    int64_t extra_parameters;     /* outside the layers: learned positions, norms of the embedding, ... */
    struct mx_tensor_names names; /* static strings; only meaningful if `runnable` */
};

/* Fills *arch from a parsed config.json. `name` (the file's) starts every message. Fails with MX_ERR_FORMAT, naming the
 * field, where a needed field is absent or makes no sense: there is never a guess in place of a number. Accepts every
 * model type: an unknown one has known == false. *arch is to be freed with mx_arch_free, after a failure too. */
mx_status mx_arch_from_json(struct mx_arch *arch, const cJSON *root, const char *name, struct mx_error *err);

/* The same from a path: a config.json, or a folder that holds one. At most 16 MiB; bare NaN and Infinity accepted. */
mx_status mx_arch_open(struct mx_arch *arch, const char *path, struct mx_error *err);

void mx_arch_free(struct mx_arch *arch);

/* "standard", "sliding_window", "mla", "hybrid", "recurrent". */
const char *mx_class_name(enum mx_class class_);

/* Tokens to plan for where nobody said how many: MX_DEFAULT_CONTEXT, or the model's own limit if that is smaller. */
enum { MX_DEFAULT_CONTEXT = 4096 };
static inline uint32_t mx_arch_default_context(const struct mx_arch *arch)
{
    return arch->max_context && arch->max_context < MX_DEFAULT_CONTEXT ? arch->max_context : MX_DEFAULT_CONTEXT;
}

/* Layers that own an attention cache; those with recurrent state. */
uint32_t mx_arch_cache_layers(const struct mx_arch *arch);
uint32_t mx_arch_recurrent_layers(const struct mx_arch *arch);

/* Numbers of K, V (and latent, and indexer) that one sequence of `tokens` tokens leaves in the caches of all layers,
 * as the reference implementation holds them after a prompt: a window of W holds min(tokens, W - 1). This is the count
 * of the architecture; what an allocation takes is cache/size.h. */
uint64_t mx_arch_cache_elements(const struct mx_arch *arch, uint64_t tokens);
/* Recurrent and convolution state, numbers per sequence. */
uint64_t mx_arch_state_elements(const struct mx_arch *arch);

/* Parameters of the text model, counted from the description: all, and those that one token reads (of the experts only
 * those used; the embedding only if it is also the output; a block that several layers share once per use). */
struct mx_parameters {
    uint64_t total, active;
    uint64_t embedding; /* in `total`: the input embedding */
    bool complete;      /* false where the description lacks a part (recurrent mixers of unknown make): an estimate */
};
struct mx_parameters mx_arch_parameters(const struct mx_arch *arch);

#endif
