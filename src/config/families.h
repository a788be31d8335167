/* The table of model types. A row holds what a type's configs leave unsaid: class defaults that published files rely
 * on, and facts that are the same for every model of the type. Where a type's config is unusual its row names one
 * function that finishes the description. What a config says always comes before what a row says.
 */
#ifndef MX_CONFIG_FAMILIES_H
#define MX_CONFIG_FAMILIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/arch.h"

struct mx_build; /* build.h */

/* A yes or no of the type, or of the field that says so (with what its absence means). */
enum mx_answer { MX_ASK_NO, MX_ASK_YES, MX_NO, MX_YES };

/* Where full attention stands among windowed layers when no list of layers says it. */
enum mx_window_rule {
    MX_WINDOW_BY_FIELDS,  /* sliding_window_pattern, else max_window_layers, else a window means every layer */
    MX_WINDOW_NEVER,      /* the window, if there is one, has no bearing on what is cached */
    MX_WINDOW_FULL_FIRST, /* layers 0, p, 2p, ... are full */
    MX_WINDOW_EVEN,       /* even layers below max_window_layers have the window (Qwen2-MoE) */
};

/* How mlx-lm converts a router's matrix. */
enum mx_mlx_router {
    MX_MLX_ROUTER_AS_REST, /* like every other matrix */
    MX_MLX_ROUTER_8_BITS,  /* 8 bits in groups of 64 */
};

struct mx_family {
    const char *type;
    const char *like;                     /* a row that says all that this one leaves out: the same class, renamed */
    const char *note;                     /* what somebody who runs one should know; NULL: nothing in particular */
    const struct mx_names *names;         /* how its tensors are called (names.h); NULL: not known here */
    void (*fill)(struct mx_build *build); /* finishes what the fields alone do not say */

    /* Class defaults, of fields that may be left out; 0: the field is derived, or must be there. */
    double theta, rope_part, norm_eps;
    uint32_t layers, hidden, heads, kv_heads, head_dim, intermediate, vocab, context;
    uint32_t intermediate_factor; /* intermediate is this times hidden where the config does not say */
    uint32_t window, pattern, max_window_layers;
    uint32_t chunk, chunk_interval; /* attention_chunk_size, no_rope_layer_interval */
    uint32_t kv_shared;             /* num_kv_shared_layers */
    uint32_t layer_factor;          /* layers per layer of the file (LongCat: 2) */
    uint32_t experts, experts_used, expert_width, first_dense, shared_experts, shared_width;
    uint32_t expert_period, expert_offset;
    uint32_t kv_rank, q_rank, nope, rope, v_head;                       /* latent; 0: those of DeepSeek-V2 */
    uint32_t ssm_heads, ssm_head_dim, ssm_state, ssm_groups, ssm_inner; /* Mamba-2 */
    uint32_t period, offset; /* layers that attend among recurrent ones: index % period == offset */

    /* Facts. */
    double norm_offset;
    enum mx_class class_; /* of the published models of this type, for lists; a config decides */
    enum mx_window_rule window_rule;
    enum mx_norm norm;
    enum mx_block_shape block;
    enum mx_positions positions;
    enum mx_qk_norm qk_norm;
    enum mx_answer qkv_bias, o_bias, mlp_bias, tied;
    enum mx_activation activation;
    enum mx_router_bias router_bias;
    enum mx_gate gate; /* of attention's output */
    enum mx_recurrence_kind recurrence;

    bool window_off;      /* use_sliding_window is false unless the config says otherwise */
    bool no_norm_bias;    /* layer norms have a weight only */
    bool qk_norm_late;    /* queries and keys are normalized after they are rotated */
    bool rope_in_windows; /* where some layers have a window, the others have no positions */
    bool qk_norm_asked;   /* use_qk_norm or qk_layernorm decides, false unless the config says otherwise */
    bool no_qk_norm_bias; /* norms of queries and keys have a weight only, though the others have both */
    bool lm_head_bias;
    bool plain; /* down(act(up)), no gate */
    bool sinks; /* attention has a number per head in its softmax's sum */
    bool interleaved;
    bool latent;             /* attention is latent */
    bool q_rank_none;        /* queries are not compressed unless the config says so */
    bool all_recurrent;      /* without a word about attention, no layer attends */
    bool both;               /* layers that attend recur as well (Falcon-H1, Zamba) */
    bool feed_forward;       /* of purely recurrent types: layers have one too (RWKV) */
    bool delta_by_heads;     /* delta heads as many as query heads, keys 3/4 of their share, values twice the keys */
    bool sigmoid;            /* experts are scored by sigmoid, unless scoring_func says otherwise */
    bool normalize_experts;  /* norm_topk_prob's default */
    bool no_normalize_field; /* norm_topk_prob is not read */
    bool softmax_last;       /* the best experts first, then softmax over them */
    bool shared_gate;        /* the shared expert's output is gated */
    bool group_choice;       /* groups limit the choice of experts, though it has no bias */
    bool width_by_modality;  /* moe_intermediate_size lists the experts of text, then of images */
    bool incomplete;         /* parameters are counted roughly */

    /* Of other programs' conversions and of measurements. */
    bool mlx_names; /* MLX calls its tensors as Hugging Face does, but for the stacking of experts */
    enum mx_mlx_router mlx_router;
};

/* The row of a type; NULL if the table does not have it. */
const struct mx_family *mx_family_find(const char *type);

/* Why the text part of a wrapper does not compute what its text model alone does, in a few words; NULL where it does.
 */
const char *mx_family_wrapper_mixes(const char *outer);

/* The type of the text model in a wrapper that does not say it ("llava" holds a "llama"); NULL if unknown. */
const char *mx_family_inner_type(const char *outer);

/* A small model of a known type, as the fields that all configs share describe it: what its layers are, and whether it
 * runs. To be freed with mx_arch_free, after a failure too. MX_ERR_ARGUMENT where the type is not in the table. */
mx_status mx_family_example(struct mx_arch *arch, const char *type, struct mx_error *err);

/* All rows, for `mlxcel arch` and docs/models.md: sorted by type. `class_` is the class of the type's published
 * models. Static storage. */
struct mx_family_entry {
    const char *type;
    enum mx_class class_;
    bool runnable;
    const char *note; /* NULL: none */
};
size_t mx_family_list(const struct mx_family_entry **entries);

#endif
