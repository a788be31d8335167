/* struct mx_layer: one layer of a model, as data. A layer is a mixer (attention of some kind, a recurrence of some
 * kind, or both side by side) and a feed-forward part, each with every dimension and switch that its block, its tensors
 * and its cache need. What can be derived from these is derived: the tensors (tensors.h), parameters (count.c), the
 * shape of the cache and of the state (below).
 *
 * Sizes are counts of elements, never bytes. A size of 0 means "has none". Part of arch.h, which says what was checked.
 */
#ifndef MX_CONFIG_LAYER_H
#define MX_CONFIG_LAYER_H

#include <stdbool.h>
#include <stdint.h>

/* ---- attention ---- */

enum mx_attention_kind {
    MX_ATTENTION_NONE,
    MX_ATTENTION_FULL,
    MX_ATTENTION_SLIDING, /* sees the newest `window` tokens, itself among them */
    MX_ATTENTION_CHUNKED, /* sees its own chunk of `window` tokens up to itself */
    MX_ATTENTION_LATENT,  /* full, over a compressed latent and a shared rotary part */
};

/* What attention's output is multiplied by, before the output projection: sigmoid of a product of the input, or what
 * the value says. */
enum mx_gate {
    MX_GATE_NONE,
    MX_GATE_ELEMENTS,       /* one number per element (Qwen3-Next, AFMoE) */
    MX_GATE_HEADS,          /* one per query head (Step) */
    MX_GATE_HEADS_SOFTPLUS, /* the same, by softplus (Laguna) */
};

/* Latent attention (DeepSeek-V2, arXiv 2405.04434, section 2.1). */
struct mx_latent {
    uint32_t q_rank;          /* of the compressed queries; 0: queries come from one projection */
    uint32_t kv_rank;         /* of the latent that is held for each token */
    uint32_t nope, rope;      /* of each head's query and key: without and with rotary positions */
    uint32_t v;               /* of each head's value */
    double norm_eps;          /* of the norms on what is compressed */
    double q_scale, kv_scale; /* what is compressed is multiplied by, behind its norm (LongCat); 0: nothing */
};

/* Sparse attention: small heads score all tokens, and the best `top` are attended (DeepSeek-V3.2, arXiv 2512.02556). */
struct mx_indexer {
    uint32_t heads, dim; /* dim 0: none; each token's key of `dim` elements is held */
    uint32_t top;        /* 0: all tokens are attended; with dim 0 those that the indexer before chose (GLM-5) */
    bool interleaved;    /* its rotary part turns pairs of neighbours, whatever the heads' does */
};

enum { MX_MASK_DIMS = 2 }; /* by which a key with a dynamic mask is wider: the mask's term, and what fp16 loses of it */

struct mx_attention {
    enum mx_attention_kind kind;
    uint32_t heads, kv_heads; /* of queries; of keys and values */
    uint32_t k_dim, v_dim;    /* elements per head; latent: of the expanded heads */
    uint32_t window;          /* sliding: tokens seen; chunked: tokens per chunk */
    bool rope;                /* rotary positions are applied in this layer */
    uint8_t rope_index;       /* which of mx_arch.rope */

    /* Queries grow with the position: by 1 + query_growth * log(1 + floor((position + query_shift) / query_period)),
     * which keeps attention sharp beyond the trained length (Llama 4, Ministral 3); 0: they don't. */
    double query_growth;
    uint32_t query_period, query_shift;

    uint32_t cache_copies;   /* caches that this layer owns: 1 as a rule, 0 for a layer that shares another's, more
                                where a layer runs several times per token (HRM) */
    int32_t shares_cache_of; /* index of the earlier layer whose K and V it reads, or -1 */

    enum mx_gate gate;
    bool keeps_all;       /* the reference's cache holds all tokens though the layer sees a window (GPT-Neo) */
    bool sinks;           /* a learned number per query head joins the softmax's sum (gpt-oss) */
    bool values_are_keys; /* values are the keys' projection, normalized in another way (Gemma 4) */
    bool joint_output;    /* no matrix of its own: what it made leaves by the recurrence's beside it (Hymba) */
    bool output_bias;     /* the output projection of this layer alone has a bias (GPT-NeoX Japanese) */
    bool output_norm;     /* a norm over all heads' outputs before the output projection (BitNet) */
    bool differential;    /* the difference of two softmaxes, weighed by four vectors (arXiv 2410.05258) */
    double lambda;        /* differential: what the second softmax's weight starts from */
    bool dynamic_mask;    /* a mask computed from the values (Doge) */
    bool experts;         /* queries and output projections by expert, routed as feed-forwards are (JetMoE) */
    bool wide_input;      /* the input is the hidden state and the embedding side by side, and what attention and
                             feed-forward make of it joins the recurrence's input alone (Zamba) */
    uint32_t adapter;     /* rank of the adapters that each use of shared weights adds to q, k and v (Zamba 2) */
    uint32_t compress;    /* every so many tokens leave one entry behind that all later ones see, besides the window; 0:
                             none (DeepSeek-V4) */
    uint32_t compressed_dim;   /* elements of such an entry, its indexer's key among them */
    uint32_t o_rank, o_groups; /* the output projection by way of so many numbers for each group of heads */
    struct mx_latent latent;
    struct mx_indexer indexer;
};

/* ---- recurrences ---- */

enum mx_recurrence_kind {
    MX_RECURRENCE_NONE,
    MX_RECURRENCE_MAMBA,      /* selective scan (arXiv 2312.00752) */
    MX_RECURRENCE_MAMBA2,     /* SSD (arXiv 2405.21060) */
    MX_RECURRENCE_DELTA,      /* gated delta rule (arXiv 2412.06464): Qwen3-Next, OLMo hybrid */
    MX_RECURRENCE_KIMI_DELTA, /* with a gate per channel (arXiv 2510.26692) */
    MX_RECURRENCE_SHORT_CONV, /* LFM2 */
    MX_RECURRENCE_RG_LRU,     /* RecurrentGemma (arXiv 2402.19427) */
    MX_RECURRENCE_LIGHTNING,  /* linear attention of MiniMax (arXiv 2401.04658) */
    MX_RECURRENCE_RWKV,       /* RWKV-4 (arXiv 2305.13048) */
    MX_RECURRENCE_OTHER,      /* known to exist: only what it keeps is described */
};

/* `conv` is the width of the causal convolution, in tokens; a state keeps that many columns, as the reference does. */
enum { /* what the blocks have room for per head, or per channel */
       MX_RECURRENT_KEYS = 512,
       MX_RECURRENT_VALUES = 1024,
       MX_RECURRENT_STATES = 128,
       MX_RECURRENT_CONV = 16,
};
struct mx_mamba {
    uint32_t inner, state, conv, rank; /* channels; state per channel; convolution; of the step's projection */
    uint32_t heads;                    /* 1; Zamba runs this many side by side, each on its share of the channels */
    bool norms;                        /* of step, B and C (Jamba, Falcon Mamba) */
    bool plain_norms;                  /* these have no weights (Falcon Mamba) */
    double norm_eps;                   /* of these */
    bool bias;                         /* of the projections in and out */
};
struct mx_mamba2 {
    uint32_t heads, head_dim, state, groups, conv;
    bool norm;              /* a gated norm before the output projection */
    bool norm_first;        /* the gate comes after it */
    uint32_t norm_groups;   /* each of which is normalized by itself; 1: all channels together */
    double dt_low, dt_high; /* bounds of the step */
    bool bias;              /* of the projections in and out */
    double scales[5];       /* of z, x, B, C and dt as they are projected (Falcon-H1); 1 as a rule */
    double out_scale;       /* of the mixer's output; 1 as a rule */
};
struct mx_delta {
    uint32_t k_heads, v_heads, k_dim, v_dim, conv;
    double strength; /* of a correction, at most: 1, or 2 where eigenvalues may be negative (arXiv 2411.12537) */
    double norm_eps; /* of the gated norm */
};
struct mx_kimi_delta {
    uint32_t heads, dim, conv;
};
struct mx_short_conv {
    uint32_t width, conv;
    bool bias;
};
struct mx_rg_lru {
    uint32_t width, heads, conv; /* gates are block-diagonal, a block per head */
};
struct mx_lightning {
    uint32_t heads, dim;
    double slope; /* the state of head h of H decays by exp(-slope 2^(-8 (h + 1) / H)) per token */
};
struct mx_rwkv {
    uint32_t width, hidden; /* of the time mixing; of what both mixings remember of the last token */
};
struct mx_other_recurrence {
    uint64_t state, conv; /* elements per text */
};

struct mx_recurrence {
    enum mx_recurrence_kind kind;
    union {
        struct mx_mamba mamba;
        struct mx_mamba2 mamba2;
        struct mx_delta delta;
        struct mx_kimi_delta kimi_delta;
        struct mx_short_conv short_conv;
        struct mx_rg_lru rg_lru;
        struct mx_lightning lightning;
        struct mx_rwkv rwkv;
        struct mx_other_recurrence other;
    };
};

/* ---- feed-forward ---- */

enum mx_feed_forward_kind {
    MX_FEED_FORWARD_NONE,
    MX_FEED_FORWARD_DENSE,
    MX_FEED_FORWARD_EXPERTS,     /* routed: mx_arch.experts says how */
    MX_FEED_FORWARD_CHANNEL_MIX, /* RWKV's, which sees the token before */
    MX_FEED_FORWARD_LINEAR,      /* one matrix [hidden, hidden] in its place (Nemotron-NAS) */
};

struct mx_feed_forward {
    enum mx_feed_forward_kind kind;
    uint32_t width;        /* of the dense feed-forward, or of one expert */
    uint32_t shared_width; /* experts: of the shared expert(s) together */
    uint32_t dense_width;  /* experts: of a dense feed-forward beside them (Gemma 4, LongCat) */
    uint32_t latent;       /* experts work in a space of this size, with a projection on either side (Nemotron-H) */
    uint32_t adapter;      /* rank of the adapters that each use of shared weights adds to gate and up (Zamba 2) */
    double deviations;     /* the gate passes only what exceeds its mean by so many standard deviations, 0: all of it
                              (Gemma 3n) */
    double bound;          /* the activated gate is at most this, and the other half within it (Step); 0: no bounds */
    double shared_bound;   /* the same for the shared expert */
    bool inner_norm;       /* a norm before the down projection (BitNet) */
    bool output_norm;      /* a norm behind the experts (AXK1) */
    bool common_bias;      /* a bias that all experts share (JetMoE) */
    bool late;             /* what the experts made joins the stream at the end of the next layer (LongCat) */
};

/* ---- the layer ---- */

/* Where a layer normalizes and how its parts are joined. */
enum mx_block_shape {
    MX_BLOCK_PRE,          /* x += mix(norm(x)); x += ffn(norm(x)) */
    MX_BLOCK_PARALLEL,     /* x += mix(norm(x)) + ffn(norm(x)), one norm for both (Phi, GPT-J, Cohere) */
    MX_BLOCK_PARALLEL_TWO, /* the same with a norm of its own for each (GPT-NeoX) */
    MX_BLOCK_POST,         /* x += norm(mix(x)); x += norm(ffn(x)) (OLMo 2, EXAONE 4) */
    MX_BLOCK_AFTER,        /* x = norm(x + mix(x)); x = norm(x + ffn(x)) (OPT-350m) */
    MX_BLOCK_SANDWICH,     /* x += norm(mix(norm(x))); x += norm(ffn(norm(x))) (Gemma 2 and later) */
    MX_BLOCK_NORMED,       /* y = norm(x), x = a y + b mix(y); the same with ffn (MiniMax) */
};

struct mx_joint {
    double keep, add; /* a and b */
};

struct mx_layer {
    struct mx_attention attention;
    struct mx_recurrence recurrence; /* may stand beside attention (Falcon-H1) or before it (Zamba) */
    struct mx_feed_forward feed_forward;
    enum mx_block_shape block;
    struct mx_joint joints[2]; /* of MX_BLOCK_NORMED: the mixer's, the feed-forward's */
    bool no_input_norm;        /* the mixer's input is normalized already (ModernBERT's first layer) */
    bool cross;          /* the layer attends to what an encoder made of an image: a text alone passes it by (Mllama) */
    bool linear_mixer;   /* one matrix [hidden, hidden] in attention's place (Nemotron-NAS) */
    bool shares_weights; /* attention and feed-forward are those of an earlier layer (Zamba), number `weights_of` */
    uint32_t weights_of;
    bool input_norm; /* the layer normalizes its input once more (RWKV's first) */
};

/* "full_attention", "mamba2", ...; "" for none. Static. */
const char *mx_attention_name(enum mx_attention_kind kind);
const char *mx_recurrence_name(enum mx_recurrence_kind kind);

static inline bool mx_layer_attends(const struct mx_layer *layer)
{
    return layer->attention.kind != MX_ATTENTION_NONE;
}

static inline bool mx_layer_recurs(const struct mx_layer *layer)
{
    return layer->recurrence.kind != MX_RECURRENCE_NONE;
}

/* It keeps keys and values of its own. */
static inline bool mx_layer_owns_cache(const struct mx_layer *layer)
{
    return mx_layer_attends(layer) && layer->attention.cache_copies > 0;
}

/* What the cache of a layer holds for each token of a text, and who reads it. Derived from the layer by
 * mx_layer_kv_shape and stored nowhere else: the cache, its size, the estimate and saved files rely on this alone.
 * A layer that attends to nothing has attention MX_ATTENTION_NONE and sizes of 0. */
struct mx_kv_shape {
    enum mx_attention_kind attention;
    uint32_t heads;        /* query heads that read; a multiple of kv_heads */
    uint32_t kv_heads;     /* heads that are held; latent: 1 */
    uint32_t k_dim, v_dim; /* elements per held head; latent: v_dim = the latent's rank and k_dim = the rotary part, and
                              scores read both */
    uint32_t window;       /* sliding: newest tokens seen, itself among them; chunked: tokens per chunk; else 0 */
    uint32_t copies;       /* caches that the layer owns: 0 where it reads another's, more than 1 where it runs several
                              times per token */
    int32_t shares;        /* index of the earlier layer whose cache it reads, which may itself share; -1: its own */
    uint32_t indexer_dim;  /* elements per token of a sparse-attention indexer's keys; 0: no indexer */
    uint32_t top;          /* tokens that a query attends to, at most; 0: all */
    uint32_t compress, compressed_dim; /* one entry of so many elements for each `compress` tokens; 0: none */
    bool rope;                         /* keys are held rotated, by mx_arch.rope[rope_index] */
    uint8_t rope_index;
};
struct mx_kv_shape mx_layer_kv_shape(const struct mx_layer *layer);

/* What a recurrent layer keeps for each text, whatever its length: elements of the recurrence's state and of the
 * columns that its convolution still needs. Both 0 where a layer has none. */
struct mx_state_shape {
    uint64_t state, conv;
};
struct mx_state_shape mx_layer_state_shape(const struct mx_layer *layer);

#endif
