/* Metadata to config: a table of architectures, a table of keys, and the few things that a key alone does not say. */
#include "checkpoint/gguf_config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clean.h"

enum { LIST_LIMIT = 1024, NAME_SIZE = 64 };

static const struct mx_gguf_architecture architectures[] = {
    {"afmoe", "afmoe"},
    {"apertus", "apertus"},
    {"arcee", "arcee"},
    {"baichuan", "baichuan"},
    {"bailingmoe", "bailing_moe"},
    {"bert", "bert"},
    {"bitnet", "bitnet"},
    {"bloom", "bloom"},
    {"chameleon", "chameleon"},
    {"chatglm", "chatglm"},
    {"cohere2", "cohere2"},
    {"cohere2moe", "cohere2_moe"},
    {"command-r", "cohere"},
    {"dbrx", "dbrx"},
    {"deci", "nemotron-nas"},
    {"deepseek", "deepseek"},
    {"deepseek2", "deepseek_v3"},
    {"deepseek2-ocr", "deepseek_v2"},
    {"deepseek32", "deepseek_v32"},
    {"deepseek4", "deepseek_v4"},
    {"dots1", "dots1"},
    {"dream", "dream"},
    {"ernie4_5", "ernie4_5"},
    {"ernie4_5-moe", "ernie4_5_moe"},
    {"eurobert", "eurobert"},
    {"exaone", "exaone"},
    {"exaone-moe", "exaone_moe"},
    {"exaone4", "exaone4"},
    {"falcon", "falcon"},
    {"falcon-h1", "falcon_h1"},
    {"gemma", "gemma"},
    {"gemma-embedding", "gemma3_embedding"},
    {"gemma2", "gemma2"},
    {"gemma3", "gemma3_text"},
    {"gemma3n", "gemma3n_text"},
    {"gemma4", "gemma4_text"},
    {"glm-dsa", "glm_moe_dsa"},
    {"glm4", "glm4"},
    {"glm4moe", "glm4_moe"},
    {"gpt-oss", "gpt_oss"},
    {"gpt2", "gpt2"},
    {"gptj", "gptj"},
    {"gptneox", "gpt_neox"},
    {"granite", "granite"},
    {"granitehybrid", "granitemoehybrid"},
    {"granitemoe", "granitemoe"},
    {"hunyuan-dense", "hunyuan_v1_dense"},
    {"hunyuan-moe", "hunyuan_v1_moe"},
    {"hunyuan_vl", "hunyuan_v1_dense"},
    {"hy_v3", "hy_v3"},
    {"internlm2", "internlm2"},
    {"jais2", "jais2"},
    {"jamba", "jamba"},
    {"jina-bert-v2", "bert"},
    {"jina-bert-v3", "xlm-roberta"},
    {"kimi-linear", "kimi_linear"},
    {"laguna", "laguna"},
    {"lfm2", "lfm2"},
    {"lfm2moe", "lfm2_moe"},
    {"llada", "llada"},
    {"llada-moe", "llada_moe"},
    {"llama", "llama"},
    {"llama-embed", "llama_bidirec"},
    {"llama4", "llama4_text"},
    {"mamba", "mamba"},
    {"mamba2", "mamba2"},
    {"mellum", "mellum"},
    {"mimo2", "mimo_v2_flash"},
    {"minicpm", "minicpm"},
    {"minicpm3", "minicpm3"},
    {"minimax-m2", "minimax_m2"},
    {"mistral3", "ministral3"},
    {"mistral4", "mistral4"},
    {"modern-bert", "modernbert"},
    {"mpt", "mpt"},
    {"nemotron", "nemotron"},
    {"nemotron_h", "nemotron_h"},
    {"nemotron_h_moe", "nemotron_h"},
    {"neo-bert", "neobert"},
    {"nomic-bert", "nomic_bert"},
    {"nomic-bert-moe", "nomic_bert"},
    {"olmo", "olmo"},
    {"olmo2", "olmo2"},
    {"olmoe", "olmoe"},
    {"openelm", "openelm"},
    {"paddleocr", "paddleocr_vl_text"},
    {"phi2", "phi"},
    {"phi3", "phi3"},
    {"phimoe", "phimoe"},
    {"qwen", "qwen"},
    {"qwen2", "qwen2"},
    {"qwen2moe", "qwen2_moe"},
    {"qwen2vl", "qwen2_vl_text"},
    {"qwen3", "qwen3"},
    {"qwen35", "qwen3_5_text"},
    {"qwen35moe", "qwen3_5_moe_text"},
    {"qwen3moe", "qwen3_moe"},
    {"qwen3next", "qwen3_next"},
    {"qwen3vl", "qwen3_vl_text"},
    {"qwen3vlmoe", "qwen3_vl_moe_text"},
    {"rnd1", "rnd1"},
    {"seed_oss", "seed_oss"},
    {"smollm3", "smollm3"},
    {"stablelm", "stablelm"},
    {"starcoder", "gpt_bigcode"},
    {"starcoder2", "starcoder2"},
    {"step35", "step3p5"},
    {"t5", "t5"},
    {"t5encoder", "t5_encoder"},
    {NULL, NULL},
};

const struct mx_gguf_architecture *mx_gguf_architectures(void)
{
    return architectures;
}

/* A key behind "ARCHITECTURE." and the config's field: a number, or a list of one per layer. */
static const struct key_row {
    const char *key, *field;
} keys[] = {
    {"attention.attn_logit_softcapping", "attn_logit_softcapping"},
    {"attention.chunk_size", "attention_chunk_size"},
    {"attention.indexer.head_count", "index_n_heads"},
    {"attention.indexer.key_length", "index_head_dim"},
    {"attention.indexer.top_k", "index_topk"},
    {"attention.kv_lora_rank", "kv_lora_rank"},
    {"attention.layer_norm_epsilon", "layer_norm_eps"},
    {"attention.layer_norm_rms_epsilon", "rms_norm_eps"},
    {"attention.q_lora_rank", "q_lora_rank"},
    {"attention.shared_kv_layers", "num_kv_shared_layers"},
    {"attention.sliding_window", "sliding_window"},
    {"attn_logit_softcapping", "attn_logit_softcapping"},
    {"context_length", "max_position_embeddings"},
    {"embedding_length", "hidden_size"},
    {"embedding_length_per_layer_input", "hidden_size_per_layer_input"},
    {"expert_count", "num_experts"},
    {"expert_feed_forward_length", "moe_intermediate_size"},
    {"expert_shared_count", "n_shared_experts"},
    {"expert_shared_feed_forward_length", "shared_expert_intermediate_size"},
    {"expert_used_count", "num_experts_per_tok"},
    {"feed_forward_length", "intermediate_size"},
    {"final_logit_softcapping", "final_logit_softcapping"},
    {"full_attention_interval", "full_attention_interval"},
    {"interleave_moe_layer_step", "interleave_moe_layer_step"},
    {"leading_dense_block_count", "first_k_dense_replace"},
    {"logit_scale", "logit_scale"},
    {"moe_every_n_layers", "decoder_sparse_step"},
    {"moe_latent_size", "moe_latent_size"},
    {"rope.freq_base", "rope_theta"},
    {"rope.freq_base_swa", "rope_local_base_freq"},
    {"shortconv.l_cache", "conv_L_cache"},
};

/* What ssm.* means, by what recurs: names of ssm.conv_kernel, state_size, inner_size, time_step_rank, group_count. */
static const char *const ssm_keys[] = {"ssm.conv_kernel", "ssm.state_size", "ssm.inner_size", "ssm.time_step_rank",
                                       "ssm.group_count"};
enum { SSM_KEYS = sizeof ssm_keys / sizeof *ssm_keys };

struct reading {
    const struct mx_gguf *gguf;
    char architecture[NAME_SIZE];
    const char *type; /* ours */
    cJSON *config;
};

static const struct mx_gguf_pair *find(const struct reading *reading, const char *key)
{
    char name[160];
    snprintf(name, sizeof name, "%s.%s", reading->architecture, key);
    return mx_gguf_find(reading->gguf, name);
}

static bool number(const struct reading *reading, const char *key, double *value)
{
    return mx_gguf_number(find(reading, key), 0, value);
}

static double number_or(const struct reading *reading, const char *key, double fallback)
{
    double value;
    return number(reading, key, &value) ? value : fallback;
}

static void set(struct reading *reading, const char *field, double value)
{
    cJSON_DeleteItemFromObjectCaseSensitive(reading->config, field);
    cJSON_AddNumberToObject(reading->config, field, value);
}

static void set_flag(struct reading *reading, const char *field, bool value)
{
    cJSON_DeleteItemFromObjectCaseSensitive(reading->config, field);
    cJSON_AddBoolToObject(reading->config, field, value);
}

static void set_text(struct reading *reading, const char *field, const char *value)
{
    cJSON_DeleteItemFromObjectCaseSensitive(reading->config, field);
    cJSON_AddStringToObject(reading->config, field, value);
}

static bool is(const struct reading *reading, const char *type)
{
    return !strcmp(reading->type, type);
}

static bool has_tensor(const struct reading *reading, const char *name)
{
    return mx_gguf_find_tensor(reading->gguf, name) != NULL;
}

/* A number, or a list: one number where all items are equal. */
static void copy_key(struct reading *reading, const char *key, const char *field)
{
    const struct mx_gguf_pair *pair = find(reading, key);
    double first, value;
    if (!mx_gguf_number(pair, 0, &first)) return;
    bool same = true;
    for (uint64_t i = 1; i < pair->count && i < LIST_LIMIT; i++)
        same = same && mx_gguf_number(pair, i, &value) && value == first;
    if (pair->type != MX_GGUF_ARRAY || same) {
        set(reading, field, first);
        return;
    }
    cJSON *list = cJSON_AddArrayToObject(reading->config, field);
    for (uint64_t i = 0; i < pair->count && i < LIST_LIMIT; i++)
        if (mx_gguf_number(pair, i, &value)) cJSON_AddItemToArray(list, cJSON_CreateNumber(value));
}

/* Item `layer` of a key that is one number or a list of one per layer. */
static double of_layer(const struct mx_gguf_pair *pair, uint64_t layer, double fallback)
{
    double value;
    return mx_gguf_number(pair, pair && pair->type == MX_GGUF_ARRAY ? layer : 0, &value) ? value : fallback;
}

/* Layers of the model itself: those that predict further tokens (MTP) stand behind them and are no part of it. */
static uint64_t layer_count(const struct reading *reading)
{
    const double all = number_or(reading, "block_count", 0), extra = number_or(reading, "nextn_predict_layers", 0);
    return all >= 1 && all <= LIST_LIMIT ? (uint64_t)(extra > 0 && extra < all ? all - extra : all) : 0;
}

/* Gemma 4's full layers may have fewer K/V heads than those with a window, which a list says. */
static void set_global_heads(struct reading *reading, const struct mx_gguf_pair *kv)
{
    const struct mx_gguf_pair *pattern = find(reading, "attention.sliding_window_pattern");
    double full = 0, sliding = 0;
    for (uint64_t i = 0; i < layer_count(reading); i++) {
        double *heads = of_layer(pattern, i, 1) > 0 ? &sliding : &full;
        if (!*heads) *heads = of_layer(kv, i, 0);
    }
    if (sliding > 0) set(reading, "num_key_value_heads", sliding);
    if (full <= 0 || full == sliding) return;
    set(reading, "num_global_key_value_heads", full);
    set_flag(reading, "attention_k_eq_v", true);
}

/* A list that ends before the layers do goes on as it is, for the config's reader to refuse. */
static bool is_short(struct reading *reading, const struct mx_gguf_pair *pair, const char *field)
{
    double value;
    if (!pair || pair->type != MX_GGUF_ARRAY || pair->count >= layer_count(reading)) return false;
    cJSON *list = cJSON_AddArrayToObject(reading->config, field);
    for (uint64_t i = 0; i < pair->count; i++)
        if (mx_gguf_number(pair, i, &value)) cJSON_AddItemToArray(list, cJSON_CreateNumber(value));
    return true;
}

static void set_heads(struct reading *reading)
{
    const struct mx_gguf_pair *heads = find(reading, "attention.head_count"),
                              *kv = find(reading, "attention.head_count_kv");
    const uint64_t layers = layer_count(reading);
    double most_heads = 0, most_kv = 0;
    if (is_short(reading, heads, "num_attention_heads")) return;
    if (is_short(reading, kv, "num_key_value_heads")) {
        set(reading, "num_attention_heads", of_layer(heads, 0, 1));
        return;
    }
    bool same_heads = true, same_kv = true;
    for (uint64_t i = 0; i < layers; i++) { /* 0: a layer without attention, said by its kind */
        const double h = of_layer(heads, i, 0), k = of_layer(kv, i, h);
        if (h > 0) same_heads &= most_heads == 0 || h == most_heads;
        if (k > 0) same_kv &= most_kv == 0 || k == most_kv;
        if (h > most_heads) most_heads = h;
        if (k > most_kv) most_kv = k;
    }
    if (most_heads > 0) set(reading, "num_attention_heads", most_heads);
    if (most_kv > 0) set(reading, "num_key_value_heads", most_kv);
    if (is(reading, "openelm") || is(reading, "nemotron-nas")) return; /* their own lists: below */
    if (is(reading, "gemma4_text")) {
        set_global_heads(reading, kv);
        return;
    }
    if (!same_heads) copy_key(reading, "attention.head_count", "num_attention_heads");
    if (!same_kv && layers) {
        cJSON_DeleteItemFromObjectCaseSensitive(reading->config, "num_key_value_heads");
        cJSON *list = cJSON_AddArrayToObject(reading->config, "num_key_value_heads");
        for (uint64_t i = 0; i < layers; i++) {
            const double k = of_layer(kv, i, most_kv);
            cJSON_AddItemToArray(list, cJSON_CreateNumber(k > 0 ? k : most_kv));
        }
    }
}

static void set_head_dim(struct reading *reading)
{
    const double hidden = number_or(reading, "embedding_length", 0);
    const cJSON *heads_item = cJSON_GetObjectItemCaseSensitive(reading->config, "num_attention_heads");
    const double heads = cJSON_IsNumber(heads_item) ? heads_item->valuedouble : 0;
    const double k = number_or(reading, "attention.key_length", heads > 0 ? floor(hidden / heads) : 0);
    const double v = number_or(reading, "attention.value_length", k);
    const double rope = number_or(reading, "rope.dimension_count", 0);
    double rank;
    if (number(reading, "attention.kv_lora_rank", &rank)) {
        /* Newer files give the expanded heads apart (..._mla), and a cache of one head; older ones only the former. */
        const double k_mla = number_or(reading, "attention.key_length_mla", k);
        const double v_mla = number_or(reading, "attention.value_length_mla", v);
        set(reading, "qk_rope_head_dim", rope);
        set(reading, "qk_nope_head_dim", k_mla > rope ? k_mla - rope : k_mla);
        set(reading, "v_head_dim", v_mla);
        cJSON_DeleteItemFromObjectCaseSensitive(reading->config, "num_key_value_heads");
        if (!find(reading, "attention.q_lora_rank")) cJSON_AddNullToObject(reading->config, "q_lora_rank");
        return;
    }
    if (k > 0) set(reading, "head_dim", k);
    if (v != k && v > 0) set(reading, "v_head_dim", v);
    const double swa = number_or(reading, "attention.key_length_swa", 0);
    if (swa > 0 && swa != k && is(reading, "gemma4_text")) { /* full layers have the larger heads */
        set(reading, "head_dim", swa);
        set(reading, "global_head_dim", k);
    } else if (swa > 0 && swa != k) {
        set(reading, "swa_head_dim", swa);
    }
    if (rope > 0 && k > 0 && rope < k && !is(reading, "gptj")) set(reading, "partial_rotary_factor", rope / k);
    if (is(reading, "gptj") && rope > 0) set(reading, "rotary_dim", rope);
}

/* The names that ssm.* has in the configs of what recurs here; NULL: not said there. */
static void set_ssm(struct reading *reading)
{
    static const char *const mamba[SSM_KEYS] = {"conv_kernel", "state_size", "intermediate_size", "time_step_rank",
                                                NULL};
    static const char *const in_hybrid[SSM_KEYS] = {"mamba_d_conv", "mamba_d_state", NULL, "mamba_dt_rank", NULL};
    static const char *const mamba2[SSM_KEYS] = {"mamba_d_conv", "mamba_d_state", "mamba_d_ssm", "mamba_n_heads",
                                                 "mamba_n_groups"};
    static const char *const delta[SSM_KEYS] = {"linear_conv_kernel_dim", "linear_key_head_dim", NULL,
                                                "linear_num_value_heads", "linear_num_key_heads"};
    const char *const *names = is(reading, "mamba")              ? mamba
                               : is(reading, "jamba")            ? in_hybrid
                               : strstr(reading->type, "qwen3_") ? delta
                                                                 : mamba2;
    for (int i = 0; i < SSM_KEYS; i++)
        if (names[i]) copy_key(reading, ssm_keys[i], names[i]);
    const double inner = number_or(reading, "ssm.inner_size", 0), hidden = number_or(reading, "embedding_length", 0);
    const double heads = number_or(reading, "ssm.time_step_rank", 0);
    if (names == delta && heads > 0) set(reading, "linear_value_head_dim", floor(inner / heads));
    if (names == mamba2 && heads > 0) set(reading, "mamba_d_head", floor(inner / heads));
    if (inner > 0 && hidden > 0) set(reading, "mamba_expand", floor(inner / hidden));
    const double kda = number_or(reading, "kda.head_dim", 0);
    if (kda > 0) {
        cJSON *config = cJSON_AddObjectToObject(reading->config, "linear_attn_config");
        cJSON_AddNumberToObject(config, "head_dim", kda);
        const cJSON *n = cJSON_GetObjectItemCaseSensitive(reading->config, "num_attention_heads");
        if (cJSON_IsNumber(n)) cJSON_AddNumberToObject(config, "num_heads", n->valuedouble);
        cJSON_AddNumberToObject(config, "short_conv_kernel_size", number_or(reading, "ssm.conv_kernel", 4));
        cJSON *full = cJSON_AddArrayToObject(config, "full_attn_layers"),
              *linear = cJSON_AddArrayToObject(config, "kda_layers");
        const struct mx_gguf_pair *kv = find(reading, "attention.head_count_kv");
        for (uint64_t i = 0; i < layer_count(reading); i++)
            cJSON_AddItemToArray(of_layer(kv, i, 1) > 0 ? full : linear, cJSON_CreateNumber((double)i + 1));
    }
}

/* One letter or word per layer where the heads or the feed-forward widths of some are 0, or a list says which see a
 * window. */
static void set_layer_types(struct reading *reading)
{
    const uint64_t layers = layer_count(reading);
    const struct mx_gguf_pair *kv = find(reading, "attention.head_count_kv"),
                              *ffn = find(reading, "feed_forward_length");
    const struct mx_gguf_pair *pattern = find(reading, "attention.sliding_window_pattern");
    bool some = false, every = true;
    for (uint64_t i = 0; i < layers; i++) {
        const bool attends = of_layer(kv, i, 1) > 0;
        some |= attends;
        every &= attends;
    }
    if (is(reading, "nemotron_h") && layers) {
        char word[LIST_LIMIT + 1];
        const bool experts = number_or(reading, "expert_count", 0) > 0;
        for (uint64_t i = 0; i < layers; i++)
            word[i] = of_layer(kv, i, 0) > 0 ? '*' : of_layer(ffn, i, 0) <= 0 ? 'M' : experts ? 'E' : '-';
        word[layers] = '\0';
        set_text(reading, "hybrid_override_pattern", word);
        return;
    }
    if (find(reading, "kda.head_dim")) return; /* told in linear_attn_config */
    if (some && !every && !is(reading, "nemotron-nas")) {
        const bool convolution = find(reading, "shortconv.l_cache") != NULL;
        cJSON *list = cJSON_AddArrayToObject(reading->config, "layer_types");
        for (uint64_t i = 0; i < layers; i++)
            cJSON_AddItemToArray(list, cJSON_CreateString(of_layer(kv, i, 0) > 0 ? "full_attention"
                                                          : convolution          ? "conv"
                                                                                 : "linear_attention"));
    } else if (pattern && pattern->type == MX_GGUF_ARRAY) {
        cJSON *list = cJSON_AddArrayToObject(reading->config, "layer_types");
        for (uint64_t i = 0; i < layers; i++)
            cJSON_AddItemToArray(
                list, cJSON_CreateString(of_layer(pattern, i, 0) > 0 ? "sliding_attention" : "full_attention"));
    } else if (pattern) {
        copy_key(reading, "attention.sliding_window_pattern", "sliding_window_pattern");
    }
}

static void set_rope(struct reading *reading)
{
    struct mx_gguf_text type;
    char name[32] = "linear"; /* what llama.cpp takes for it where a file, an old one for the most part, doesn't say */
    if (mx_gguf_text(find(reading, "rope.scaling.type"), &type) && type.length < sizeof name)
        snprintf(name, sizeof name, "%.*s", (int)type.length, type.data);
    double factor = number_or(reading, "rope.scaling.factor", 0);
    if (!factor) factor = number_or(reading, "rope.scale_linear", 0);
    const bool llama3 = has_tensor(reading, "rope_freqs.weight"); /* the stretch is in a tensor of frequencies */
    const bool longrope = has_tensor(reading, "rope_factors_long.weight");
    if (llama3 || longrope || !strcmp(name, "none") || factor <= 0) return;
    cJSON *rope = cJSON_AddObjectToObject(reading->config, "rope_scaling");
    cJSON_AddStringToObject(rope, "rope_type", name);
    cJSON_AddNumberToObject(rope, "factor", factor);
    const double original = number_or(reading, "rope.scaling.original_context_length", 0);
    if (original > 0) cJSON_AddNumberToObject(rope, "original_max_position_embeddings", original);
}

static void set_vocabulary(struct reading *reading)
{
    const struct mx_gguf_pair *tokens = mx_gguf_find(reading->gguf, "tokenizer.ggml.tokens");
    const struct mx_gguf_tensor *embedding = mx_gguf_find_tensor(reading->gguf, "token_embd.weight");
    double vocab = number_or(reading, "vocab_size", 0);
    if (embedding && embedding->rank == 2) vocab = (double)embedding->shape[1];
    if (!vocab && tokens && tokens->type == MX_GGUF_ARRAY) vocab = (double)tokens->count;
    if (vocab > 0) set(reading, "vocab_size", vocab);
    /* A file of the vocabulary alone has no tensors, and says nothing about what is tied. */
    if (embedding) set_flag(reading, "tie_word_embeddings", !has_tensor(reading, "output.weight"));
}

/* What only the tensors say. */
static void set_biases(struct reading *reading)
{
    if (!mx_gguf_tensor_count(reading->gguf)) return;
    const bool qkv = has_tensor(reading, "blk.0.attn_q.bias") || has_tensor(reading, "blk.0.attn_qkv.bias");
    set_flag(reading, "attention_bias", qkv);
    set_flag(reading, "mlp_bias", has_tensor(reading, "blk.0.ffn_up.bias"));
    if (has_tensor(reading, "blk.0.attn_q_norm.weight")) {
        set_flag(reading, "use_qk_norm", true);
        set_flag(reading, "qk_layernorm", true);
    }
}

/* Nemotron-NAS: what a block lacks, and its own group and width. */
static void set_blocks(struct reading *reading)
{
    const struct mx_gguf_pair *heads = find(reading, "attention.head_count"),
                              *kv = find(reading, "attention.head_count_kv"),
                              *ffn = find(reading, "feed_forward_length");
    const double hidden = number_or(reading, "embedding_length", 1);
    cJSON *list = cJSON_AddArrayToObject(reading->config, "block_configs");
    for (uint64_t i = 0; i < layer_count(reading); i++) {
        cJSON *block = cJSON_CreateObject(), *attention = cJSON_AddObjectToObject(block, "attention"),
              *forward = cJSON_AddObjectToObject(block, "ffn");
        cJSON_AddItemToArray(list, block);
        const double h = of_layer(heads, i, 0), k = of_layer(kv, i, 0), width = of_layer(ffn, i, 0);
        if (h > 0 && k > 0)
            cJSON_AddNumberToObject(attention, "n_heads_in_group", h / k);
        else
            cJSON_AddTrueToObject(attention, h > 0 ? "replace_with_linear" : "no_op");
        if (width > 0) /* the multiple whose rounded width this is */
            cJSON_AddNumberToObject(forward, "ffn_mult", (width - 0.5) * 3 / 2 / hidden);
        else
            cJSON_AddTrueToObject(forward, "no_op");
    }
    cJSON_DeleteItemFromObjectCaseSensitive(reading->config, "intermediate_size");
}

/* Widths grow with depth. */
static void set_openelm(struct reading *reading)
{
    const struct mx_gguf_pair *ffn = find(reading, "feed_forward_length");
    const double hidden = number_or(reading, "embedding_length", 1);
    copy_key(reading, "attention.head_count", "num_query_heads");
    copy_key(reading, "attention.head_count_kv", "num_kv_heads");
    cJSON_DeleteItemFromObjectCaseSensitive(reading->config, "num_key_value_heads");
    cJSON *list = cJSON_AddArrayToObject(reading->config, "ffn_multipliers");
    for (uint64_t i = 0; i < layer_count(reading); i++)
        cJSON_AddItemToArray(list, cJSON_CreateNumber(of_layer(ffn, i, 0) / hidden));
    set(reading, "ffn_dim_divisor", 1);
}

/* Twists of single types. */
static void set_twists(struct reading *reading)
{
    const double kv = number_or(reading, "attention.head_count_kv", 0);
    if (is(reading, "falcon")) {
        set_flag(reading, "new_decoder_architecture", has_tensor(reading, "blk.0.attn_norm_2.weight") || kv > 1);
        set_flag(reading, "multi_query", kv == 1);
        set(reading, "num_kv_heads", kv);
    }
    if (is(reading, "gpt_bigcode")) set_flag(reading, "multi_query", kv == 1);
    if (is(reading, "chatglm")) set_flag(reading, "multi_query_attention", true);
    if (is(reading, "lfm2") || is(reading, "lfm2_moe")) set_flag(reading, "block_auto_adjust_ff_dim", false);
    if (is(reading, "granitemoehybrid") || is(reading, "granitemoe")) {
        const double shared = number_or(reading, "expert_shared_feed_forward_length", 0);
        const double width = number_or(reading, "feed_forward_length", 0);
        set(reading, "shared_intermediate_size",
            shared > 0 || number_or(reading, "expert_count", 0) > 0 ? shared : width);
        set(reading, "num_local_experts", number_or(reading, "expert_count", 0));
    }
    if (is(reading, "recurrent_gemma"))
        set(reading, "intermediate_size", 2 * number_or(reading, "feed_forward_length", 0));
    if (is(reading, "llama4_text")) {
        set(reading, "intermediate_size_mlp", number_or(reading, "feed_forward_length", 0));
        copy_key(reading, "expert_feed_forward_length", "intermediate_size");
    }
    if (is(reading, "nemotron_h")) { /* 0 where a layer is a mixer alone; all others are alike */
        const struct mx_gguf_pair *ffn = find(reading, "feed_forward_length");
        double most = 0;
        for (uint64_t i = 0; i < layer_count(reading); i++)
            if (of_layer(ffn, i, 0) > most) most = of_layer(ffn, i, 0);
        if (most > 0) set(reading, "intermediate_size", most);
    }
    if (is(reading, "gemma4_text")) {
        set_flag(reading, "enable_moe_block", number_or(reading, "expert_count", 0) > 0);
        set(reading, "hidden_size_per_layer_input", number_or(reading, "embedding_length_per_layer_input", 0));
    }
    if (is(reading, "openelm")) set_openelm(reading);
    if (is(reading, "nemotron-nas")) set_blocks(reading);
}

/* The type: by the architecture's name, and where one name covers several types by what they differ in. */
static const char *type_of(const struct reading *reading)
{
    const char *name = reading->architecture;
    const bool experts = number_or(reading, "expert_count", 0) > 0;
    const bool window = number_or(reading, "attention.sliding_window", 0) > 0;
    if (!strcmp(name, "llama") && experts) return "mixtral";
    if (!strcmp(name, "olmo2") && window) return "olmo3";
    if (!strcmp(name, "deepseek2") && !find(reading, "attention.q_lora_rank")) return "deepseek_v2";
    if (!strcmp(name, "minicpm") && find(reading, "attention.kv_lora_rank")) return "minicpm3";
    for (const struct mx_gguf_architecture *row = architectures; row->name; row++)
        if (!strcmp(row->name, name)) return row->model_type;
    return name;
}

static mx_status read_architecture(struct reading *reading, const char *name, struct mx_error *err)
{
    struct mx_gguf_text text;
    char raw[NAME_SIZE];
    if (!mx_gguf_text(mx_gguf_find(reading->gguf, "general.architecture"), &text) || !text.length)
        return mx_fail(err, MX_ERR_FORMAT, "%s: no general.architecture: this is no model", name);
    if (text.length >= sizeof raw || memchr(text.data, '\0', text.length))
        return mx_fail(err, MX_ERR_FORMAT, "%s: general.architecture is no name", name);
    snprintf(raw, sizeof raw, "%.*s", (int)text.length, text.data);
    mx_clean_copy(reading->architecture, sizeof reading->architecture, raw);
    if (!strcmp(raw, "clip"))
        return mx_fail(err, MX_ERR_FORMAT, "%s: a projector of images for a model, not a model; give the model's .gguf",
                       name);
    if (mx_gguf_text(mx_gguf_find(reading->gguf, "general.type"), &text) && text.length == 7 &&
        !memcmp(text.data, "adapter", 7))
        return mx_fail(err, MX_ERR_FORMAT, "%s: an adapter, not a model; give the .gguf of the model that it adapts",
                       name);
    return MX_OK;
}

mx_status mx_gguf_config(cJSON **config, const struct mx_gguf *gguf, const char *name, struct mx_error *err)
{
    struct reading reading = {.gguf = gguf};
    *config = NULL;
    MX_TRY(read_architecture(&reading, name, err));
    reading.type = type_of(&reading);
    reading.config = cJSON_CreateObject();
    set_text(&reading, "model_type", reading.type);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) copy_key(&reading, keys[i].key, keys[i].field);
    const uint64_t layers = layer_count(&reading);
    if (layers) set(&reading, "num_hidden_layers", (double)layers);
    set_heads(&reading);
    set_head_dim(&reading);
    set_layer_types(&reading);
    set_ssm(&reading);
    set_rope(&reading);
    set_vocabulary(&reading);
    set_biases(&reading);
    set_twists(&reading);
    if (!reading.config) return mx_fail_memory(err, "a config", 0);
    *config = reading.config;
    return MX_OK;
}
