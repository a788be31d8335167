/* The table of model types, in alphabetical order, and its look-up. families.h tells what the columns mean. */
#include "config/families.h"

#include <stdlib.h>
#include <string.h>

#include "config/build.h"
#include "config/names.h"

static const struct mx_family families[] = {
    {.type = "llama",
     .layers = 32,
     .hidden = 4096,
     .heads = 32,
     .intermediate = 11008,
     .vocab = 32000,
     .context = 2048,
     .o_bias = MX_ASK_NO,
     .window_rule = MX_WINDOW_NEVER,
     .names = &mx_names_llama},
    {.type = "mistral",
     .layers = 32,
     .hidden = 4096,
     .heads = 32,
     .kv_heads = 8,
     .intermediate = 14336,
     .vocab = 32000,
     .context = 131072,
     .window = 4096,
     .qkv_bias = MX_NO,
     .o_bias = MX_NO,
     .mlp_bias = MX_NO,
     .class_ = MX_CLASS_SLIDING_WINDOW,
     .names = &mx_names_llama},
    {.type = "mixtral",
     .kv_heads = 8,
     .context = 131072,
     .theta = 1e6,
     .norm_eps = 1e-5,
     .experts = 8,
     .experts_used = 2,
     .normalize_experts = true,
     .no_normalize_field = true,
     .softmax_last = true,
     .qkv_bias = MX_NO,
     .o_bias = MX_NO,
     .mlp_bias = MX_NO,
     .names = &mx_names_mixtral},
    {.type = "phi",
     .norm = MX_NORM_LAYER,
     .norm_eps = 1e-5,
     .block = MX_BLOCK_PARALLEL,
     .rope_part = 0.5,
     .context = 2048,
     .qkv_bias = MX_YES,
     .o_bias = MX_YES,
     .mlp_bias = MX_YES,
     .lm_head_bias = true,
     .plain = true,
     .activation = MX_ACTIVATION_GELU_TANH,
     .window_rule = MX_WINDOW_NEVER,
     .names = &mx_names_phi},
    {.type = "qwen2",
     .context = 32768,
     .kv_heads = 32,
     .window = 4096,
     .window_off = true,
     .max_window_layers = 28,
     .qkv_bias = MX_YES,
     .o_bias = MX_NO,
     .mlp_bias = MX_NO,
     .names = &mx_names_llama},
    {.type = "qwen2_moe",
     .context = 32768,
     .kv_heads = 16,
     .window = 4096,
     .window_off = true,
     .max_window_layers = 28,
     .window_rule = MX_WINDOW_EVEN,
     .experts = 60,
     .experts_used = 4,
     .expert_width = 1408,
     .shared_width = 5632,
     .shared_gate = true,
     .qkv_bias = MX_ASK_YES,
     .o_bias = MX_NO,
     .mlp_bias = MX_NO,
     .names = &mx_names_llama},
    {.type = "qwen3",
     .context = 32768,
     .kv_heads = 32,
     .head_dim = 128,
     .window = 4096,
     .window_off = true,
     .max_window_layers = 28,
     .qk_norm = MX_QK_NORM_HEAD,
     .o_bias = MX_ASK_NO,
     .mlp_bias = MX_NO,
     .names = &mx_names_llama},
    {.type = "qwen3_moe",
     .context = 32768,
     .kv_heads = 4,
     .window = 4096,
     .window_off = true,
     .experts = 128,
     .experts_used = 8,
     .expert_width = 768,
     .qk_norm = MX_QK_NORM_HEAD,
     .o_bias = MX_ASK_NO,
     .mlp_bias = MX_NO,
     .names = &mx_names_llama},
};
enum { FAMILY_COUNT = sizeof families / sizeof *families };

static int compare(const void *key, const void *row)
{
    return strcmp(key, ((const struct mx_family *)row)->type);
}

const struct mx_family *mx_family_find(const char *type)
{
    const struct mx_family *row = bsearch(type, families, FAMILY_COUNT, sizeof *families, compare);
    return row && row->like ? mx_family_find(row->like) : row;
}

const char *mx_family_inner_type(const char *outer)
{
    return NULL;
}

size_t mx_family_list(const struct mx_family_entry **entries)
{
    static struct mx_family_entry list[FAMILY_COUNT];
    for (size_t i = 0; i < FAMILY_COUNT; i++) {
        const struct mx_family *row = mx_family_find(families[i].type);
        list[i] = (struct mx_family_entry){families[i].type, row->class_, row->names != NULL};
    }
    *entries = list;
    return FAMILY_COUNT;
}
