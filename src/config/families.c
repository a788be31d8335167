/* The table of model types (families/types_a_to_g.inc, types_h_to_z.inc) and its look-up. families.h tells what the
 * columns mean. */
#include "config/families.h"

#include <stdlib.h>
#include <string.h>

#include "config/build.h"
#include "config/families/fills.h"
#include "config/names.h"

/* What whole lines of families have in common. */
#define WINDOW MX_CLASS_SLIDING_WINDOW
#define HYBRID MX_CLASS_HYBRID
#define RECURRENT MX_CLASS_RECURRENT
#define NO_BIAS .qkv_bias = MX_NO, .o_bias = MX_NO, .mlp_bias = MX_NO
#define ALL_BIAS .qkv_bias = MX_YES, .o_bias = MX_YES, .mlp_bias = MX_YES
#define LAYER_NORM .norm = MX_NORM_LAYER
#define LATENT_KIN .class_ = MX_CLASS_MLA, .latent = true, .mlp_bias = MX_NO
#define LATENT LATENT_KIN, .names = &mx_names_deepseek
#define LATENT_HYBRID .class_ = MX_CLASS_HYBRID, .latent = true, .mlp_bias = MX_NO
#define GEMMA_PLAIN .activation = MX_ACTIVATION_GELU_TANH, .tied = MX_ASK_YES, .mlp_bias = MX_NO
#define GEMMA .activation = MX_ACTIVATION_GELU_TANH, .tied = MX_ASK_YES, .norm_offset = 1
#define LINEAR                                                                                                         \
    .class_ = RECURRENT, .recurrence = MX_RECURRENCE_OTHER, .positions = MX_POSITIONS_NONE, .norm_eps = 1e-6,          \
    .fill = mx_fill_linear
#define LAYERED_LLAMA NO_BIAS, .norm_eps = 1e-6
#define OLMO .norm = MX_NORM_LAYER_PLAIN, .mlp_bias = MX_NO, .context = 2048, .norm_eps = 1e-5, .fill = mx_fill_olmo
#define STEP                                                                                                           \
    .kv_heads = 8, .head_dim = 128, .context = 262144, .window = 512, .pattern = 4,                                    \
    .window_rule = MX_WINDOW_FULL_FIRST, .norm_offset = 1, .norm_eps = 1e-5, NO_BIAS, .qk_norm = MX_QK_NORM_HEAD,      \
    .gate = MX_GATE_HEADS, .sigmoid = true, .router_bias = MX_ROUTER_BIAS_CHOICE, .experts = 288, .experts_used = 8,   \
    .expert_width = 1280, .shared_width = 1280, .first_dense = 3, .normalize_experts = true,                           \
    .no_normalize_field = true, .class_ = WINDOW, .fill = mx_fill_step
#define QWEN2_VL                                                                                                       \
    .context = 32768, .kv_heads = 8, .window = 4096, .window_off = true, .max_window_layers = 80, .qkv_bias = MX_YES,  \
    .o_bias = MX_NO, .mlp_bias = MX_NO, .theta = 1e6, .norm_eps = 1e-5, .names = &mx_names_llama

static const struct mx_family families[] = {
#include "config/families/types_a_to_g.inc"
#include "config/families/types_h_to_z.inc"
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

struct wrapper {
    const char *outer, *inner;
    const char *mixes; /* why the text part alone is not the text model; NULL where it is */
};

/* What stands in text_config where it does not say. Types that only add "_text" are not listed. */
static const struct wrapper wrappers[] = {
    {"audioflamingo3", "qwen2"},
    {"aya_vision", "cohere2"},
    {"glm46v", "glm4v_text"},
    {"glmasr", "llama"},
    {"video_llama_3", "qwen2"},
    {"vibevoice_asr", "qwen2"},
    {"cohere2_vision", "cohere2"},
    {"deepseek_vl", "llama"},
    {"deepseek_vl_v2", "deepseek_v2"},
    {"emu3", "emu3_text_model"},
    {"fuyu", "persimmon"},
    {"got_ocr2", "qwen2"},
    {"granite_speech", "granite"},
    {"idefics2", "mistral"},
    {"idefics3", "llama"},
    {"internvl", "qwen2"},
    {"internvl_chat", "internlm2"},
    {"janus", "llama"},
    {"kimi_k25", "deepseek_v3"},
    {"kimi_vl", "deepseek_v3"},
    {"lfm2_vl", "lfm2"},
    {"llava", "llama"},
    {"llava_next", "llama"},
    {"llava_next_video", "llama"},
    {"llava_onevision", "qwen2"},
    {"mistral3", "mistral"},
    {"mllama", "mllama_text_model"},
    {"ovis2", "qwen2"},
    {"paligemma", "gemma", .mixes = "a prefix is attended in both directions"},
    {"perception_lm", "llama"},
    {"pixtral", "mistral"},
    {"qwen2_5_omni_thinker", "qwen2_5_omni_text"},
    {"qwen2_audio", "qwen2"},
    {"llava_llama", "llama"},
    {"qwen3_omni_moe_thinker", "qwen3_omni_moe_text"},
    {"smolvlm", "llama"},
    {"video_llava", "llama"},
    {"vipllava", "llama"},
    {"voxtral", "llama"},
};

static const struct wrapper *find_wrapper(const char *outer)
{
    for (size_t i = 0; i < sizeof wrappers / sizeof *wrappers; i++)
        if (!strcmp(outer, wrappers[i].outer)) return &wrappers[i];
    return NULL;
}

const char *mx_family_wrapper_mixes(const char *outer)
{
    const struct wrapper *wrapper = find_wrapper(outer);
    return wrapper ? wrapper->mixes : NULL;
}

const char *mx_family_inner_type(const char *outer)
{
    const struct wrapper *wrapper = find_wrapper(outer);
    if (wrapper) return wrapper->inner;
    const size_t length = strlen(outer);
    for (size_t i = 0; i < FAMILY_COUNT; i++) {
        const char *type = families[i].type;
        if (!strncmp(type, outer, length) && !strcmp(type + length, "_text")) return type;
    }
    return NULL;
}

size_t mx_family_list(const struct mx_family_entry **entries)
{
    static struct mx_family_entry list[FAMILY_COUNT];
    for (size_t i = 0; i < FAMILY_COUNT; i++) {
        const struct mx_family *row = mx_family_find(families[i].type);
        list[i] = (struct mx_family_entry){families[i].type, row->class_, row->names != NULL, row->note};
    }
    *entries = list;
    return FAMILY_COUNT;
}
