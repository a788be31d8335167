/* Fills struct mx_arch: sizes first, then the parts in the order that build.h tells, then checks and the class. */
#include "config/arch.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clean.h"
#include "base/file.h"
#include "base/json.h"
#include "base/str.h"
#include "config/build.h"
#include "config/kind.h"
#include "config/runs.h"

enum { CONFIG_LIMIT = 16 << 20 };

static const struct mx_family generic = {.type = ""};

static const char *const class_names[] = {
    [MX_CLASS_STANDARD] = "standard", [MX_CLASS_SLIDING_WINDOW] = "sliding_window", [MX_CLASS_MLA] = "mla",
    [MX_CLASS_HYBRID] = "hybrid",     [MX_CLASS_RECURRENT] = "recurrent",           [MX_CLASS_OTHER] = "other",
};

static const char *const kind_names[] = {
    [MX_KIND_DECODER] = "decoder",     [MX_KIND_ENCODER] = "encoder", [MX_KIND_ENCODER_DECODER] = "encoder_decoder",
    [MX_KIND_DIFFUSION] = "diffusion", [MX_KIND_OTHER] = "other",
};

const char *mx_kind_name(enum mx_kind kind)
{
    return kind_names[kind];
}

const char *mx_class_name(enum mx_class class_)
{
    return class_names[class_];
}

/* A type at a level of its own, not one that a level inherits from the level around it. */
static void own_type(struct mx_config *config, unsigned level, char *buffer, size_t size)
{
    const cJSON *type = mx_json_get_set(config->levels[level], "model_type");
    const char *name = type ? cJSON_GetStringValue(type) : "";
    char text[64];
    if (!name)
        mx_config_fail(config, "field \"model_type\" is %s; it must be a string",
                       mx_json_describe(type, text, sizeof text));
    mx_clean_copy(buffer, size, name ? name : "");
}

/* A file without model_type: by its class, "MiniCPM3ForCausalLM" is minicpm3; the fields of Meta's and Mistral's own
 * params.json are Llama's. */
static void type_by_class(const struct mx_config *config, char type[64])
{
    const cJSON *class_ = cJSON_GetArrayItem(mx_config_find(config, "architectures"), 0);
    char name[64] = "";
    if (cJSON_IsString(class_)) {
        size_t length = 0;
        for (const char *c = class_->valuestring; *c && strncmp(c, "For", 3) != 0 && length < sizeof name - 1; c++)
            name[length++] = (char)tolower((unsigned char)*c);
        name[length] = '\0';
    } else if (mx_config_find(config, "dim") && mx_config_find(config, "n_layers")) {
        snprintf(name, sizeof name, "%s", mx_config_find(config, "moe") ? "mixtral" : "llama");
    }
    if (mx_family_find(name)) snprintf(type, 64, "%s", name);
}

static void find_type(struct mx_build *build)
{
    struct mx_config *config = build->config;
    struct mx_arch *arch = build->arch;
    own_type(config, 0, arch->model_type, sizeof arch->model_type);
    if (config->level_count > 1) own_type(config, config->level_count - 1, arch->outer_type, sizeof arch->outer_type);
    if (!arch->model_type[0] && arch->outer_type[0]) {
        const char *inner = mx_family_inner_type(arch->outer_type);
        snprintf(arch->model_type, sizeof arch->model_type, "%s", inner ? inner : arch->outer_type);
    }
    if (!arch->model_type[0]) type_by_class(config, arch->model_type);
    const struct mx_family *family = mx_family_find(arch->model_type);
    if (!family && mx_config_find(config, "compress_ratios")) family = mx_family_find("deepseek_v4");
    if (!family &&
        config->level_count == 1) { /* a wrapper whose text model stands at the top, beside the other parts */
        const char *inner = mx_family_inner_type(arch->model_type);
        family = inner ? mx_family_find(inner) : NULL;
        if (family) {
            snprintf(arch->outer_type, sizeof arch->outer_type, "%s", arch->model_type);
            snprintf(arch->model_type, sizeof arch->model_type, "%s", inner);
        }
    }
    arch->kind = mx_kind_of(config, arch->model_type, family != NULL);
    arch->known = family != NULL;
    if (!family) family = mx_kind_family(arch->kind);
    build->family = family ? family : &generic;
    const cJSON *dtype = mx_config_find(config, MX_FIELD_DTYPE);
    if (cJSON_IsString(dtype)) { /* "torch.bfloat16" is bfloat16 */
        const char *text = dtype->valuestring;
        mx_clean_copy(arch->dtype, sizeof arch->dtype, strncmp(text, "torch.", 6) ? text : text + 6);
    }
}

/* A size whose class default counts only in a nested config: wrappers leave out what their text model's class says,
 * but a file of its own that lacks it is broken, and gets no guess. */
static uint32_t size_field(struct mx_build *build, const char *spellings, uint32_t high, uint32_t class_default)
{
    struct mx_config *config = build->config;
    if (class_default && config->level_count > 1) return mx_config_whole(config, spellings, 1, high, class_default);
    return mx_config_need(config, spellings, 1, high);
}

static uint32_t count_layers(struct mx_build *build)
{
    struct mx_config *config = build->config;
    if (build->arch->kind == MX_KIND_ENCODER_DECODER)
        return size_field(build, "decoder_layers|num_decoder_layers|" MX_FIELD_LAYERS, MX_ARCH_MAX_LAYERS, 0);
    const cJSON *types = mx_config_find(config, "layers_block_type|layer_types|hybrid_override_pattern");
    if (types && !mx_config_find(config, MX_FIELD_LAYERS)) {
        const size_t count = cJSON_IsString(types) ? strlen(types->valuestring) : (size_t)cJSON_GetArraySize(types);
        if (count >= 1 && count <= MX_ARCH_MAX_LAYERS) return (uint32_t)count;
    }
    const uint32_t factor = mx_config_find(config, "num_hidden_layers") ? 0 : build->family->layer_factor;
    const uint32_t layers = size_field(build, MX_FIELD_LAYERS, MX_ARCH_MAX_LAYERS, build->family->layers);
    if (factor && layers > MX_ARCH_MAX_LAYERS / factor)
        mx_config_fail(config, "%u layers, each of them %u, are more than %d", layers, factor, MX_ARCH_MAX_LAYERS);
    return factor ? layers * factor : layers;
}

/* True if the config speaks of attention at all; purely recurrent models have no heads to read. */
static bool has_attention(const struct mx_build *build)
{
    if (build->family->class_ == MX_CLASS_RECURRENT) return mx_config_find(build->config, "attn.layers") != NULL;
    if (build->arch->known) return true;
    const enum mx_recurrence_kind recurrence = mx_build_recurrence(build);
    return recurrence == MX_RECURRENCE_NONE || mx_config_find(build->config, "num_attention_heads") != NULL;
}

/* kv_lora_rank makes an unknown type latent; a null one, or a zero in use_mla, a known type plain. */
static bool is_latent(struct mx_build *build)
{
    struct mx_config *config = build->config;
    if (!mx_config_flag(config, "use_mla", true)) return false;
    if (!build->family->latent) return !build->arch->known && mx_config_find(config, "kv_lora_rank");
    return !mx_config_is_null(config, "kv_lora_rank");
}

/* Query heads, K/V heads and numbers per head. Layers with sizes of their own are the families' business. */
static void read_heads(struct mx_build *build)
{
    struct mx_config *config = build->config;
    const struct mx_family *family = build->family;
    const uint32_t hidden = build->arch->hidden;
    if (!has_attention(build)) return;
    const bool both = build->arch->kind == MX_KIND_ENCODER_DECODER;
    if (both) {
        build->heads = size_field(build, "decoder_attention_heads|" MX_FIELD_HEADS, MX_ARCH_MAX_WIDTH, 0);
    } else if (cJSON_IsArray(mx_config_peek(config, MX_FIELD_HEADS "|num_query_heads"))) {
        build->heads = mx_config_per_layer(config, MX_FIELD_HEADS "|num_query_heads", 0, 1, MX_ARCH_MAX_WIDTH, 1);
    } else {
        build->heads = size_field(build, MX_FIELD_HEADS, MX_ARCH_MAX_WIDTH, family->heads);
    }
    const uint32_t heads = build->heads;

    uint32_t kv_default = heads;
    if (mx_config_flag(config, "multi_query|attn_config.multi_query", false)) kv_default = 1;
    if (family->kv_heads && family->kv_heads <= heads && heads % family->kv_heads == 0 &&
        !mx_config_is_null(config, MX_FIELD_KV_HEADS))
        kv_default = family->kv_heads;
    build->kv_heads = mx_config_per_layer(config, MX_FIELD_KV_HEADS, 0, 1, MX_ARCH_MAX_WIDTH, kv_default);

    /* Of latent attention it is the rotary part, which may be none. */
    const uint32_t least = is_latent(build) ? 0 : 1;
    build->head_dim = mx_config_per_layer(config, both ? "d_kv|" MX_FIELD_HEAD_DIM : MX_FIELD_HEAD_DIM, 0, least,
                                          MX_ARCH_MAX_WIDTH, family->head_dim);
    if (!build->head_dim && config->status == MX_OK && !is_latent(build)) {
        build->head_dim = hidden / heads;
        if (hidden % heads)
            mx_config_fail(config,
                           "hidden_size %u is not a multiple of num_attention_heads %u, and there is no head_dim",
                           hidden, heads);
    }
    if (build->kv_heads > heads)
        mx_config_fail(config, "num_key_value_heads %u is more than num_attention_heads %u", build->kv_heads, heads);
    else if (heads % build->kv_heads)
        mx_config_fail(config, "num_attention_heads %u is not a multiple of num_key_value_heads %u", heads,
                       build->kv_heads);
    if ((uint64_t)heads * build->head_dim > MX_ARCH_MAX_WIDTH)
        mx_config_fail(config, "num_attention_heads %u times head_dim %u is more than %d", heads, build->head_dim,
                       MX_ARCH_MAX_WIDTH);
    build->v_dim = build->head_dim;
}

static uint32_t latent_field(struct mx_config *config, const char *key, uint32_t class_default, uint32_t usual)
{
    return mx_config_whole(config, key, 1, MX_ARCH_MAX_WIDTH, class_default ? class_default : usual);
}

/* Head sizes of latent attention. */
static void read_latent(struct mx_build *build)
{
    struct mx_config *config = build->config;
    struct mx_latent *latent = &build->latent;
    const struct mx_family *family = build->family;
    if (!is_latent(build)) return;
    const uint32_t q_rank = mx_config_is_null(config, "q_lora_rank") || family->q_rank_none ? 0 : 1536;
    latent->kv_rank = latent_field(config, "kv_lora_rank", family->kv_rank, 512);
    latent->q_rank = mx_config_whole(config, "q_lora_rank", 0, MX_ARCH_MAX_WIDTH,
                                     q_rank && family->q_rank ? family->q_rank : q_rank);
    latent->nope = latent_field(config, "qk_nope_head_dim", family->nope, 128);
    latent->rope = mx_config_whole(config, "qk_rope_head_dim", 0, MX_ARCH_MAX_WIDTH, family->rope ? family->rope : 64);
    latent->v = latent_field(config, "v_head_dim", family->v_head, 128);
    const cJSON *both = mx_config_peek(config, "qk_head_dim"); /* says the sum once more */
    if (cJSON_IsNumber(both) && both->valuedouble == latent->nope + latent->rope) mx_config_mark(config, both);
    latent->norm_eps = 1e-6; /* whatever the model's other norms have */
    build->head_dim = latent->nope + latent->rope;
    build->v_dim = latent->v;
}

struct activation_name {
    const char *name;
    enum mx_activation activation;
};
static const struct activation_name activation_names[] = {
    {"silu", MX_ACTIVATION_SILU},           {"swish", MX_ACTIVATION_SILU},
    {"swiglu", MX_ACTIVATION_SILU},         {"gelu", MX_ACTIVATION_GELU},
    {"gelu_new", MX_ACTIVATION_GELU_TANH},  {"gelu_pytorch_tanh", MX_ACTIVATION_GELU_TANH},
    {"gelu_fast", MX_ACTIVATION_GELU_TANH}, {"gelu_accurate", MX_ACTIVATION_GELU_TANH},
    {"relu", MX_ACTIVATION_RELU},           {"relu2", MX_ACTIVATION_RELU2},
    {"xielu", MX_ACTIVATION_XIELU},         {"gegelu", MX_ACTIVATION_SWIGLU_CLAMPED},
};

static void read_activation(struct mx_build *build)
{
    struct mx_arch *arch = build->arch;
    char name[64];
    arch->activation = build->family->activation;
    arch->activation_limit = mx_config_number(build->config, "swiglu_limit|gegelu_limit", 1e-6, 1e6, 7);
    if (!mx_config_text(build->config, MX_FIELD_ACTIVATION, name, sizeof name)) return;
    for (size_t i = 0; i < sizeof activation_names / sizeof *activation_names; i++) {
        if (strcmp(name, activation_names[i].name) != 0) continue;
        /* A family whose activation has no word in a config calls it by its kin's. */
        if (arch->activation != MX_ACTIVATION_SWIGLU_CLAMPED) arch->activation = activation_names[i].activation;
        return;
    }
    mx_arch_refuse(arch, "the engine has no activation \"%s\"", name);
}

/* Where the type leaves no choice, a field that says the same has been read; one that says otherwise is told. */
static bool fact(struct mx_config *config, const char *spellings, bool value)
{
    const cJSON *said = mx_config_peek(config, spellings);
    if (cJSON_IsBool(said) && cJSON_IsTrue(said) == value) mx_config_mark(config, said);
    return value;
}

static bool answer(struct mx_config *config, enum mx_answer answer, const char *spellings)
{
    switch (answer) {
    case MX_NO: return fact(config, spellings, false);
    case MX_YES: return fact(config, spellings, true);
    case MX_ASK_NO: return mx_config_flag(config, spellings, false);
    case MX_ASK_YES: return mx_config_flag(config, spellings, true);
    }
    return false;
}

/* Facts that hold for all layers alike. */
static void read_facts(struct mx_build *build)
{
    struct mx_config *config = build->config;
    struct mx_arch *arch = build->arch;
    const struct mx_family *family = build->family;
    arch->vocab = mx_config_whole(config, MX_FIELD_VOCAB, 1, MX_ARCH_MAX_VOCAB, family->vocab);
    arch->max_context = mx_config_whole(config, MX_FIELD_CONTEXT, 1, MX_ARCH_MAX_CONTEXT, family->context);
    arch->gated = !family->plain;
    arch->norm = family->norm;
    arch->norm_bias = family->norm == MX_NORM_LAYER && !family->no_norm_bias;
    arch->norm_eps = mx_config_number(config, MX_FIELD_NORM_EPS, 0, 1, family->norm_eps != 0 ? family->norm_eps : 1e-6);
    arch->norm_offset = family->norm_offset;
    arch->qk_norm = family->qk_norm;
    if (family->qk_norm_asked && !mx_config_flag(config, MX_FIELD_QK_NORM, false)) arch->qk_norm = MX_QK_NORM_NONE;
    arch->qk_norm_late = family->qk_norm_late;
    arch->alibi_max = mx_config_number(config, "attn_config.alibi_bias_max|alibi_bias_max", 1e-3, 1e3, 8);
    arch->alibi_scale = arch->value_scale = 1;
    arch->further_layers =
        mx_config_whole(config, "num_nextn_predict_layers|num_mtp_modules", 0, MX_ARCH_MAX_LAYERS, 0);
    arch->qk_norm_bias = arch->norm_bias && !family->no_qk_norm_bias;
    arch->qkv_bias = answer(config, family->qkv_bias, MX_FIELD_QKV_BIAS);
    arch->o_bias = answer(config, family->o_bias, MX_FIELD_QKV_BIAS);
    arch->mlp_bias = answer(config, family->mlp_bias, MX_FIELD_MLP_BIAS);
    arch->lm_head_bias = mx_config_flag(config, "lm_head_bias", family->lm_head_bias);
    fact(config, "attn_output_gate", family->gate == MX_GATE_ELEMENTS);
    arch->tied = answer(config, family->tied, "tie_word_embeddings|tie_embeddings|weight_tying");
    for (unsigned i = 1; i < config->level_count; i++) {
        const cJSON *tied = mx_json_get_set(config->levels[i], "tie_word_embeddings");
        arch->tie_disputed |= cJSON_IsBool(tied) && cJSON_IsTrue(tied) != arch->tied;
    }
    arch->embedding_scale = arch->residual_scale = arch->logit_scale = 1;
    arch->attention_out_scale = arch->gate_scale = arch->down_scale = 1;
    arch->clip_qkv = mx_config_number(config, "clip_qkv|attn_config.clip_qkv", 0, 1e9, 0);
    arch->attention_scale = build->head_dim ? 1 / sqrt(build->head_dim) : 0;
    arch->parameters_complete = arch->known && arch->vocab != 0 && !family->incomplete;
    read_activation(build);
}

static void classify(struct mx_arch *arch)
{
    bool attention = false, recurrence = false, latent = false, windowed = false, compressed = false;
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        const struct mx_layer *layer = &arch->layers[i];
        attention |= mx_layer_attends(layer);
        recurrence |= mx_layer_recurs(layer);
        latent |= layer->attention.kind == MX_ATTENTION_LATENT;
        compressed |= layer->attention.compress != 0;
        windowed |= !layer->attention.keeps_all &&
                    (layer->attention.kind == MX_ATTENTION_SLIDING || layer->attention.kind == MX_ATTENTION_CHUNKED);
    }
    arch->class_ = recurrence && attention ? MX_CLASS_HYBRID
                   : recurrence            ? MX_CLASS_RECURRENT
                   : compressed            ? MX_CLASS_OTHER
                   : latent                ? MX_CLASS_MLA
                   : windowed              ? MX_CLASS_SLIDING_WINDOW
                                           : MX_CLASS_STANDARD;
}

/* What the family functions filled is checked as strictly as what was read. */
static void validate(struct mx_build *build)
{
    struct mx_config *config = build->config;
    const struct mx_arch *arch = build->arch;
    bool any = false;
    for (uint32_t i = 0; i < arch->layer_count && config->status == MX_OK; i++) {
        const struct mx_layer *layer = &arch->layers[i];
        any |= mx_layer_attends(layer) || mx_layer_recurs(layer);
        if (!mx_layer_attends(layer)) continue;
        if (!layer->attention.heads || !layer->attention.kv_heads || !layer->attention.k_dim || !layer->attention.v_dim)
            mx_config_fail(config, "layer %u has attention, but no heads or no head size", i);
        else if (layer->attention.heads % layer->attention.kv_heads)
            mx_config_fail(config, "layer %u: %u heads are not a multiple of its %u K/V heads", i,
                           layer->attention.heads, layer->attention.kv_heads);
        else if ((uint64_t)layer->attention.heads * layer->attention.k_dim > MX_ARCH_MAX_WIDTH ||
                 (uint64_t)layer->attention.heads * layer->attention.v_dim > MX_ARCH_MAX_WIDTH)
            mx_config_fail(config, "layer %u: heads times head size is more than %d", i, MX_ARCH_MAX_WIDTH);
        else if ((layer->attention.kind == MX_ATTENTION_SLIDING || layer->attention.kind == MX_ATTENTION_CHUNKED) &&
                 !layer->attention.window)
            mx_config_fail(config, "layer %u sees a window, but field \"%s\" is missing", i,
                           layer->attention.kind == MX_ATTENTION_SLIDING ? "sliding_window" : "attention_chunk_size");
        else if (layer->attention.shares_cache_of >= (int32_t)i)
            mx_config_fail(config, "layer %u shares the cache of layer %d, which does not come before it", i,
                           layer->attention.shares_cache_of);
    }
    if (!any) mx_config_fail(config, "no layer has attention or recurrent state");
}

/* A window that no text of the model's length fills is none. */
static void drop_wide_windows(struct mx_arch *arch)
{
    if (mx_arch_recurrent_layers(arch) > 0) return; /* made to run on: beyond its length the window counts */
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        struct mx_attention *own = &arch->layers[i].attention;
        if (own->kind != MX_ATTENTION_SLIDING && own->kind != MX_ATTENTION_CHUNKED) continue;
        if (!arch->max_context || own->window < arch->max_context) continue;
        own->kind = MX_ATTENTION_FULL;
        own->window = 0;
    }
}

void mx_build_mute(struct mx_build *build, const cJSON *token)
{
    struct mx_arch *arch = build->arch;
    const uint32_t id =
        mx_config_item(build->config, token, token->string ? token->string : "dummy_token_indices", 0, arch->vocab - 1);
    const size_t step = 64;
    if (arch->muted_count % step == 0) {
        uint32_t *grown = realloc(arch->muted, (arch->muted_count + step) * sizeof *grown);
        if (!grown) {
            mx_config_fail(build->config, "no memory for the tokens that are never written");
            return;
        }
        arch->muted = grown;
    }
    arch->muted[arch->muted_count++] = id;
}

/* ---- what nobody read ---- */

enum { MAX_UNREAD = 128 };

static void keep_unread(void *context, const char *path, bool bears)
{
    static const struct {
        const char *word;
        unsigned figures;
    } words[] = {
        {"expert", MX_UNCERTAIN_PARAMETERS}, {"bit", MX_UNCERTAIN_PARAMETERS}, {"position", MX_UNCERTAIN_CONTEXT}};
    struct mx_arch *arch = context;
    if (bears) {
        unsigned figures = MX_UNCERTAIN_CACHE | MX_UNCERTAIN_PARAMETERS;
        for (size_t i = 0; i < sizeof words / sizeof *words; i++)
            if (strstr(path, words[i].word)) figures = words[i].figures;
        arch->uncertain |= figures;
    }
    if (arch->unread_count == MAX_UNREAD) return;
    if (!arch->unread) arch->unread = calloc(MAX_UNREAD, sizeof *arch->unread);
    char *copy = arch->unread ? mx_strndup(path, strlen(path)) : NULL;
    if (copy) arch->unread[arch->unread_count++] = copy;
}

void mx_build_tell(struct mx_build *build, const char *path)
{
    for (uint32_t i = 0; i < build->arch->unread_count; i++)
        if (!strcmp(build->arch->unread[i], path)) return;
    keep_unread(build->arch, path, true);
}

/* Of a type that is not in the table, fields that nobody read may say which layers see everything: the safe side is
 * that all do. */
static void take_safe_side(struct mx_arch *arch)
{
    if (arch->known || !(arch->uncertain & MX_UNCERTAIN_CACHE)) return;
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        struct mx_attention *own = &arch->layers[i].attention;
        if (own->kind != MX_ATTENTION_SLIDING && own->kind != MX_ATTENTION_CHUNKED) continue;
        own->kind = MX_ATTENTION_FULL;
        own->window = 0;
    }
}

/* Llama's own rule, where the file gives its parts: two thirds of four times the width, stretched, rounded up. A plain
 * feed-forward part has two matrices for the three of a gated one, and twice the width. */
static uint32_t width_by_rule(const struct mx_build *build)
{
    struct mx_config *config = build->config;
    const uint32_t unit = mx_config_whole(config, "multiple_of", 1, MX_ARCH_MAX_WIDTH, 0);
    if (!unit) return 0;
    const double stretch = mx_config_number(config, "ffn_dim_multiplier", 1e-3, 64, 1);
    const uint64_t two_thirds = 2 * 4 * (uint64_t)build->arch->hidden / 3;
    const uint64_t width =
        ((uint64_t)(stretch * (double)two_thirds) + unit - 1) / unit * unit * (build->family->plain ? 2 : 1);
    return width <= MX_ARCH_MAX_WIDTH ? (uint32_t)width : 0;
}

static uint32_t default_intermediate(const struct mx_build *build)
{
    const uint32_t rule = width_by_rule(build);
    if (rule) return rule;
    const uint64_t wide = (uint64_t)build->family->intermediate_factor * build->arch->hidden;
    return wide && wide <= MX_ARCH_MAX_WIDTH ? (uint32_t)wide : build->family->intermediate;
}

static mx_status fill(struct mx_build *build)
{
    struct mx_config *config = build->config;
    struct mx_arch *arch = build->arch;
    find_type(build);
    arch->hidden = size_field(build, MX_FIELD_HIDDEN, MX_ARCH_MAX_WIDTH, build->family->hidden);
    arch->layer_count = count_layers(build);
    config->layers = arch->layer_count;
    read_heads(build);
    MX_TRY(config->status);
    read_latent(build);
    build->intermediate =
        mx_config_per_layer(config, MX_FIELD_INTERMEDIATE, 0, 1, MX_ARCH_MAX_WIDTH, default_intermediate(build));
    read_facts(build);
    arch->layers = calloc(arch->layer_count, sizeof *arch->layers);
    if (!arch->layers) return mx_fail_memory(config->err, "the layers", arch->layer_count * sizeof *arch->layers);
    arch->head_dim = build->head_dim;

    mx_build_layers(build);
    mx_build_experts(build);
    mx_build_rope(build);
    MX_TRY(config->status);
    if (build->family->fill) build->family->fill(build);
    MX_TRY(config->status);
    for (uint32_t i = 0; build->family->rope_in_windows && build->window && i < arch->layer_count; i++) {
        struct mx_attention *attention = &arch->layers[i].attention;
        if (attention->kind == MX_ATTENTION_FULL) attention->rope = false;
    }
    drop_wide_windows(arch);
    mx_kind_finish(build);
    mx_config_unread(config, arch->known, keep_unread, arch);
    take_safe_side(arch);
    validate(build);
    MX_TRY(config->status);
    arch->names = build->family->names;
    classify(arch);
    mx_arch_decide_runs(arch);
    return MX_OK;
}

/* A model that is no decoder and whose fields are its own: what it is, and no layers. */
static mx_status describe_barely(struct mx_build *build)
{
    struct mx_arch *arch = build->arch;
    mx_arch_free(arch);
    build->config->status = MX_OK;
    find_type(build);
    mx_config_unread(build->config, arch->known, keep_unread, arch);
    mx_arch_refuse(arch, "the engine runs decoders, and this is none");
    return MX_OK;
}

mx_status mx_arch_from_json(struct mx_arch *arch, const cJSON *root, const char *name, struct mx_error *err)
{
    *arch = (struct mx_arch){0};
    struct mx_config config;
    mx_status status = mx_config_init(&config, root, name, err);
    if (status == MX_OK) {
        struct mx_build build = {.config = &config, .arch = arch};
        status = fill(&build);
        const bool named = arch->model_type[0] || mx_config_find(&config, "architectures");
        if (status != MX_OK && arch->kind != MX_KIND_DECODER && named) status = describe_barely(&build);
    }
    mx_config_close(&config);
    if (status != MX_OK) mx_arch_free(arch);
    return status;
}

mx_status mx_arch_open(struct mx_arch *arch, const char *path, struct mx_error *err)
{
    *arch = (struct mx_arch){0};
    char *inside = mx_is_directory(path) ? mx_path_join(path, "config.json") : NULL;
    cJSON *root = NULL;
    const struct mx_json_rules rules = {.allow_nan = true};
    const char *file = inside ? inside : path;
    mx_status status = mx_json_read_file(&root, file, CONFIG_LIMIT, &rules, err);
    if (status == MX_OK) status = mx_arch_from_json(arch, root, file, err);
    cJSON_Delete(root);
    free(inside);
    return status;
}

void mx_arch_free(struct mx_arch *arch)
{
    free(arch->layers);
    free(arch->muted);
    for (uint32_t i = 0; i < arch->unread_count; i++) free(arch->unread[i]);
    free(arch->unread);
    *arch = (struct mx_arch){0};
}
