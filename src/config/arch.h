/* struct mx_arch: what a model is, as data. It is filled from config.json once, and everything follows from it: the
 * advisor classifies and estimates from it, the engine runs it, `mlxcel arch` prints it. Nothing else in the program
 * asks for a model's name.
 *
 * Sizes are counts of numbers, never bytes. A size of 0 means "has none". Everything here was checked while it was
 * filled: sizes are positive and bounded (MX_ARCH_MAX_*), head counts divide, windows are positive, a shared layer
 * points to an earlier layer that holds a cache. Read next: arch.c (how it is filled), fields.h (the spellings of each
 * config field), layer.h (mixers and feed-forwards), families.h (the table of model types), tensors.h (what the
 * weights are), runs.c (what the engine does).
 */
#ifndef MX_CONFIG_ARCH_H
#define MX_CONFIG_ARCH_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "config/layer.h"

enum {
    MX_ARCH_MAX_LAYERS = 1024,
    MX_ARCH_MAX_WIDTH = 1 << 20, /* hidden, feed-forward, heads * head_dim */
    MX_ARCH_MAX_VOCAB = 1 << 24,
    MX_ARCH_MAX_EXPERTS = 1 << 14,
    MX_ARCH_MAX_CONTEXT = 1 << 28,
};

/* What a model does with text. All but the first get no KV advice. */
enum mx_kind {
    MX_KIND_DECODER,         /* writes one token after the other */
    MX_KIND_ENCODER,         /* reads a text at once: no KV cache */
    MX_KIND_ENCODER_DECODER, /* reads one text, writes another: the decoder's cache, and its cross attention's */
    MX_KIND_DIFFUSION,       /* refines whole sequences or images, both ways: no KV cache as a rule */
    MX_KIND_OTHER,           /* nothing speaks for text being written */
};
const char *mx_kind_name(enum mx_kind kind); /* "decoder", "encoder", "encoder_decoder", "diffusion", "other" */

/* Figures that fields which nobody read may change. */
enum mx_uncertain {
    MX_UNCERTAIN_CACHE = 1 << 0,
    MX_UNCERTAIN_PARAMETERS = 1 << 1,
    MX_UNCERTAIN_CONTEXT = 1 << 2,
};

/* What decides the KV advice. */
enum mx_class {
    MX_CLASS_STANDARD,       /* every layer attends to everything */
    MX_CLASS_SLIDING_WINDOW, /* some or all layers see a window or a chunk */
    MX_CLASS_MLA,            /* latent attention (DeepSeek-V2, section 2.1) */
    MX_CLASS_HYBRID,         /* attention and recurrent layers */
    MX_CLASS_RECURRENT,      /* no attention at all */
    MX_CLASS_OTHER,          /* none of these: attention over compressed entries (DeepSeek-V4) */
};

enum mx_activation {
    MX_ACTIVATION_SILU,
    MX_ACTIVATION_GELU,      /* with erf */
    MX_ACTIVATION_GELU_TANH, /* gelu_new, gelu_pytorch_tanh, gelu_fast */
    MX_ACTIVATION_RELU,
    MX_ACTIVATION_RELU2,          /* relu(x)^2 */
    MX_ACTIVATION_XIELU,          /* with learned slopes (Apertus, arXiv 2411.13010) */
    MX_ACTIVATION_SWIGLU_CLAMPED, /* gpt-oss: gate and up clamped, gate * sigmoid(1.702 gate) * (up + 1) */
};

enum { MX_ROPE_PAIRS = 256 }; /* planes that a rope with a factor for each may have */

enum mx_rope_type {
    MX_ROPE_DEFAULT,
    MX_ROPE_LINEAR,
    MX_ROPE_DYNAMIC,
    MX_ROPE_LLAMA3,
    MX_ROPE_YARN,
    MX_ROPE_LONGROPE,
    MX_ROPE_PROPORTIONAL, /* wave lengths of all planes, of which the first few turn (Gemma 4) */
    MX_ROPE_OTHER,        /* known to exist, not one that the engine runs; `name` in messages */
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
    bool short_waves; /* longrope: the short factors whatever the length, which counts for the scale alone (PhiMoE) */
    uint32_t planes;  /* proportional: that turn */
    bool backwards;   /* the planes turn the other way (nanochat) */
    double short_scale, long_scale; /* longrope: of cosines and sines; 0: attention_factor (PhiMoE) */
    float short_factor[MX_ROPE_PAIRS], long_factor[MX_ROPE_PAIRS]; /* longrope: of each plane's wave length */
    uint32_t original_context;                                     /* positions of the original training */
};

enum mx_norm {
    MX_NORM_RMS,
    MX_NORM_LAYER,
    MX_NORM_LAYER_PLAIN, /* layer norm without weight or bias (OLMo) */
    MX_NORM_RMS_PLAIN,   /* the same without weight (nanochat) */
};

/* Frequencies, and the cosines' factor, depend on how long the text is (dynamic) or may become (longrope). */
static inline bool mx_rope_by_length(const struct mx_rope *rope)
{
    return rope->type == MX_ROPE_DYNAMIC || rope->type == MX_ROPE_LONGROPE;
}

enum mx_qk_norm {
    MX_QK_NORM_NONE,
    MX_QK_NORM_HEAD,  /* over each head, one weight [head_dim] (Qwen3) */
    MX_QK_NORM_ALL,   /* over all heads together, weight [heads * head_dim] (OLMo 2) */
    MX_QK_NORM_EACH,  /* over each head, with weights of its own: [heads, head_dim] (Cohere, StableLM) */
    MX_QK_NORM_LAYER, /* layer norm over each head, whatever the model's norm, with weights and biases of its own */
    MX_QK_NORM_UNIT,  /* RMS over each head of the layers that rotate, without weights (Llama 4) */
};

/* Positions that are not rotary. Rotary ones are described per layer. */
enum mx_positions {
    MX_POSITIONS_ROPE, /* rotary, in the layers that have it */
    MX_POSITIONS_NONE,
    MX_POSITIONS_LEARNED,    /* a row of a table is added to the embedding */
    MX_POSITIONS_SINUSOIDAL, /* computed, and added */
    MX_POSITIONS_ALIBI,      /* a slope per head times the distance is taken off the scores (arXiv 2108.12409) */
};

/* A number per expert. */
enum mx_router_bias {
    MX_ROUTER_BIAS_NONE,
    MX_ROUTER_BIAS_CHOICE, /* added to the scores for the choice alone (arXiv 2408.15664) */
    MX_ROUTER_BIAS_SCORE,  /* an ordinary bias of the router's matrix (gpt-oss) */
};

/* What the output matrix is divided by before it is used. */
enum mx_head_unit {
    MX_HEAD_AS_IS,
    MX_HEAD_UNIT_ROWS,    /* each row by its length (Baichuan 2) */
    MX_HEAD_UNIT_COLUMNS, /* each column by its length (Ling's norm_head) */
};

struct mx_experts {
    uint32_t count, used; /* routed experts per layer, and how many each token takes */
    bool normalize;       /* the weights of the experts taken are divided by their sum */
    bool softmax_first;   /* softmax over all experts, then the best; otherwise the best, then softmax over them */
    bool sigmoid;         /* sigmoid scores instead of softmax */
    bool shared_gate;     /* the shared expert's output is multiplied by sigmoid(gate . x) (Qwen2-MoE) */
    bool bias;            /* the experts' matrices have biases */
    uint32_t groups, groups_used; /* the choice is among the experts of the best so many groups; 0: of all */
    bool group_pairs;             /* a group is as good as its two best experts together; else as its best */
    enum mx_router_bias router_bias;
    bool weigh_input; /* a token is multiplied by its weight before an expert sees it (Llama 4) */
    double margin;    /* SparseMixer (arXiv 2310.00811): each expert in turn, weighed by softmax over those whose scores
                         are within this part of its own; 0: none */
    uint32_t empty;   /* experts that pass their input on, besides `count` (LongCat) */
    uint32_t others;  /* kinds of input besides text that have as many experts, behind those for text, and a row of the
                         router's bias: none is read (ERNIE 4.5 VL) */
    double scale;     /* of the routed sum; 1 as a rule */
};

struct mx_names; /* names.h */

struct mx_arch {
    char model_type[64]; /* as the config says, of the text model */
    char outer_type[64]; /* of the wrapping model if nested ("qwen2_5_vl"), otherwise "" */
    char dtype[16];      /* "bfloat16", ...: as the config says; "" if it doesn't */
    enum mx_kind kind;
    bool known;    /* the type stands in the table; otherwise classified from its fields alone */
    bool runnable; /* the engine runs it; otherwise `not_runnable` says why, in one line */
    char not_runnable[160];
    enum mx_class class_;

    uint32_t hidden, vocab, layer_count;
    uint32_t max_context;    /* max_position_embeddings; 0 if the config does not say */
    uint32_t head_dim;       /* of the attention layers that hold the most; latent: of the expanded keys */
    struct mx_layer *layers; /* [layer_count], owned; none where a model that is no decoder has fields of its own */
    uint64_t cross_elements; /* of an encoder-decoder: keys and values of a source of fixed length, per sequence */

    /* What the config says and nobody read, by path: "sparse_config.new_width". Owned. */
    char **unread;
    uint32_t unread_count;
    unsigned uncertain; /* enum mx_uncertain, or-ed: figures that some of these may change */

    struct mx_experts experts; /* count 0: dense */
    enum mx_activation activation;
    enum mx_norm norm;
    double activation_limit; /* SWIGLU_CLAMPED: gate at most this, up within it on either side */
    bool gated;              /* act(gate) * up, then down; otherwise down(act(up)) */
    bool norm_bias;          /* layer norms have one, as a rule (not in Cohere, DBRX) */
    double norm_eps;
    double norm_offset; /* added to each stored norm weight (1 for Gemma) */
    enum mx_qk_norm qk_norm;
    bool qk_norm_bias;
    bool qk_norm_late; /* after rotary */
    bool qkv_bias, o_bias, mlp_bias, lm_head_bias;
    bool tied;           /* the output matrix is the embedding */
    bool tie_disputed;   /* a wrapper says otherwise (mx_names_settle_tie) */
    bool embedding_norm; /* the embedding is normalized (BLOOM) */
    bool no_final_norm;  /* the output matrix sees the last layer's sum as it is (OPT-350m) */
    bool head_dense;     /* a dense layer, its activation and a norm before the output matrix (ModernBERT) */
    bool head_dense_bias;
    bool residual_weights;    /* a weight per element for each residual (Doge) */
    bool layer_scalar;        /* a learned factor per layer (Gemma 4) */
    bool expert_norms;        /* norms and scales of their own around experts and dense part (Gemma 4) */
    bool parameters_complete; /* everything that has parameters is described */
    enum mx_head_unit head_unit;
    uint32_t text_limit; /* the model computes otherwise beyond so many tokens, which the engine does not; 0: none */
    uint32_t further_layers;  /* behind layer_count, that only guess more tokens (multi-token prediction) */
    uint32_t image_rows;      /* of the embedding behind those of the vocabulary: for images (Mllama) */
    uint32_t embedding_width; /* narrower than hidden, with a projection on either side (OPT-350m); 0: hidden */
    uint32_t streams;         /* of the residual, mixed by AltUp (Gemma 3n); 0: one, plainly */
    uint32_t laurel_rank;     /* of the low-rank path beside the residual (Gemma 3n) */
    uint32_t layer_input_width, layer_input_vocab; /* per-layer inputs beside the embedding (Gemma 3n) */

    struct mx_rope rope[2]; /* [1]: the other kind of layer, where a family has two (Gemma 3) */
    uint8_t rope_count;     /* 0: no layer is rotary */
    bool value_norm;        /* values are normalized per head, RMS without weights (Gemma 3n, 4) */
    enum mx_positions positions;
    uint32_t position_rows, position_offset; /* learned: rows of the table, of which the first are never used */
    uint32_t position_steps; /* sinusoidal: wave lengths grow by 10000 in so many steps; the first position is
                                position_offset */
    double alibi_max;        /* ALiBi: the exponent of the last slope, 8 as a rule */
    double alibi_scale;      /* ALiBi: of the slopes; 1 as a rule */
    double attention_scale;  /* 1/sqrt(head_dim) unless the family says otherwise */
    double value_scale;      /* of values; 1 as a rule */
    double clip_qkv;         /* queries, keys and values are kept within +-clip_qkv; 0: as they are */
    double attention_softcap, logit_softcap;             /* 0: none */
    double embedding_scale, residual_scale, logit_scale; /* 1 as a rule */
    /* Of attention's output, of a dense feed-forward's gate before its activation, of its output (Falcon-H1); 1. */
    double attention_out_scale, gate_scale, down_scale;

    uint32_t *muted; /* [muted_count] tokens that the model never writes: their logits are the least there is. Owned */
    uint32_t muted_count;

    const struct mx_names *names; /* static; NULL where no names are known, and then not `runnable` */
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

/* Parameters of the text model, counted from its list of tensors (tensors.h), which the loader reads: all, and those
 * that one token uses (of the experts only those chosen; the embedding only if it is also the output). */
struct mx_parameters {
    uint64_t total, active; /* active is never more than total */
    uint64_t read;          /* like `active`, but a block that several layers share counts once for each of its uses */
    uint64_t embedding;     /* in `total`: the input embedding */
    bool overflows;         /* more than 64 bits count: all figures are 0 */
    bool complete; /* false where the description lacks a part (recurrent mixers of unknown make): an estimate */
};
struct mx_parameters mx_arch_parameters(const struct mx_arch *arch);

#endif
