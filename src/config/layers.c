/* What kind each layer is. Configs say it in many ways, which are tried from the most explicit to the least: a list or
 * string with one word per layer; the indices or the period of the attention layers among recurrent ones; a pattern or
 * range of windowed layers; one window or chunk for all.
 */
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/str.h"
#include "config/build.h"

enum { ATTEND = 1, RECUR = 2, SPARSE = 4 };

/* The words that lists of layers use. ATTEND with attention NONE is full or latent, whichever the model has. */
struct kind_word {
    const char *word;
    unsigned what;
    enum mx_attention_kind attention;
    enum mx_recurrence_kind recurrence; /* NONE: the model's kind */
};
static const struct kind_word kind_words[] = {
    {"full_attention", ATTEND, MX_ATTENTION_FULL, 0},
    {"attention", ATTEND, MX_ATTENTION_FULL, 0},
    {"full", ATTEND, MX_ATTENTION_FULL, 0},
    {"global", ATTEND, MX_ATTENTION_FULL, 0},
    {"global_attention", ATTEND, MX_ATTENTION_FULL, 0},
    {"deepseek_sparse_attention", ATTEND, MX_ATTENTION_FULL, 0},
    {"minimax_m3_sparse", ATTEND, MX_ATTENTION_FULL, 0},
    {"qwen_sparse_attention", ATTEND, MX_ATTENTION_FULL, 0},
    {"compressed_sparse_attention", ATTEND, MX_ATTENTION_SLIDING, 0}, /* what they keep besides: the family says */
    {"heavily_compressed_attention", ATTEND, MX_ATTENTION_SLIDING, 0},
    {"sliding_attention", ATTEND, MX_ATTENTION_SLIDING, 0},
    {"sliding_window_attention", ATTEND, MX_ATTENTION_SLIDING, 0},
    {"sliding_window", ATTEND, MX_ATTENTION_SLIDING, 0},
    {"sliding", ATTEND, MX_ATTENTION_SLIDING, 0},
    {"local_attention", ATTEND, MX_ATTENTION_SLIDING, 0},
    {"local", ATTEND, MX_ATTENTION_SLIDING, 0},
    {"chunked_attention", ATTEND, MX_ATTENTION_CHUNKED, 0},
    {"hybrid", ATTEND | RECUR, MX_ATTENTION_FULL, 0},
    {"hybrid_sliding", ATTEND | RECUR, MX_ATTENTION_SLIDING, 0},
    {"linear_attention", RECUR, MX_ATTENTION_NONE, 0},
    {"linear", RECUR, MX_ATTENTION_NONE, 0},
    {"mamba", RECUR, MX_ATTENTION_NONE, 0},
    {"mamba2", RECUR, MX_ATTENTION_NONE, MX_RECURRENCE_MAMBA2},
    {"conv", RECUR, MX_ATTENTION_NONE, MX_RECURRENCE_SHORT_CONV},
    {"short_conv", RECUR, MX_ATTENTION_NONE, MX_RECURRENCE_SHORT_CONV},
    {"recurrent", RECUR, MX_ATTENTION_NONE, 0},
    {"mlp", 0, MX_ATTENTION_NONE, 0},
    {"dense", 0, MX_ATTENTION_NONE, 0},
    {"moe", SPARSE, MX_ATTENTION_NONE, 0},
    {"sparse", SPARSE, MX_ATTENTION_NONE, 0},
    /* One letter per layer (Nemotron-H, EXAONE 4). */
    {"M", RECUR, MX_ATTENTION_NONE, 0},
    {"*", ATTEND, MX_ATTENTION_FULL, 0},
    {"-", 0, MX_ATTENTION_NONE, 0},
    {"E", SPARSE, MX_ATTENTION_NONE, 0},
    {"L", ATTEND, MX_ATTENTION_SLIDING, 0},
    {"G", ATTEND, MX_ATTENTION_FULL, 0},
};

static const struct kind_word *find_word(const char *word, size_t length)
{
    for (size_t i = 0; i < sizeof kind_words / sizeof *kind_words; i++)
        if (strlen(kind_words[i].word) == length && !memcmp(kind_words[i].word, word, length)) return &kind_words[i];
    return NULL;
}

uint32_t mx_layer_own(const struct mx_build *build, const char *field, uint32_t layer, uint32_t all)
{
    char path[160];
    snprintf(path, sizeof path, "per_layer_config.%u.%s|per_layer_config.%02u.%s|per_layer_config.%03u.%s", layer,
             field, layer, field, layer, field);
    return mx_config_whole(build->config, path, 1, MX_ARCH_MAX_WIDTH, all);
}

/* A layer's own value where a field lists one per layer, or an object has it under the layer's number (in as many
 * digits as the last one's); else the model's. `field`: the first of the spellings. */
static uint32_t of_layer(const struct mx_build *build, const char *spellings, const char *field, uint32_t layer,
                         uint32_t all)
{
    if (mx_config_find(build->config, "per_layer_config")) all = mx_layer_own(build, field, layer, all);
    if (!cJSON_IsArray(mx_config_peek(build->config, spellings))) return all;
    return mx_config_per_layer(build->config, spellings, layer, 1, MX_ARCH_MAX_WIDTH, all);
}

void mx_layer_attend(const struct mx_build *build, struct mx_layer *layer, enum mx_attention_kind attention)
{
    const uint32_t index = (uint32_t)(layer - build->arch->layers);
    layer->attention.kind = attention;
    layer->attention.heads = of_layer(build, MX_FIELD_HEADS, "num_attention_heads", index, build->heads);
    layer->attention.kv_heads = of_layer(build, MX_FIELD_KV_HEADS, "num_key_value_heads", index, build->kv_heads);
    layer->attention.k_dim = of_layer(build, MX_FIELD_HEAD_DIM, "head_dim", index, build->head_dim);
    layer->attention.v_dim = build->v_dim == build->head_dim ? layer->attention.k_dim : build->v_dim;
    layer->attention.window =
        attention == MX_ATTENTION_SLIDING || attention == MX_ATTENTION_CHUNKED ? build->window : 0;
    layer->attention.cache_copies = 1;
    layer->attention.gate = build->family->gate;
    layer->attention.shares_cache_of = -1;
    if (attention != MX_ATTENTION_FULL || !build->latent.kv_rank) return;
    layer->attention.kind = MX_ATTENTION_LATENT;
    layer->attention.kv_heads = build->heads;
    layer->attention.latent = build->latent;
}

void mx_build_block(struct mx_build *build, enum mx_block_shape block)
{
    for (uint32_t i = 0; i < build->arch->layer_count; i++) build->arch->layers[i].block = block;
}

uint32_t mx_build_window(struct mx_build *build)
{
    struct mx_config *config = build->config;
    const struct mx_family *family = build->family;
    if (mx_config_is_null(config, MX_FIELD_WINDOW)) return 0;
    return mx_config_whole(config, MX_FIELD_WINDOW, 0, MX_ARCH_MAX_CONTEXT, family->window);
}

/* Of a type that is not in the table, a word that nobody knows and that speaks of attention: on the safe side, the
 * layer keeps everything. It is told. */
static const struct kind_word *guess_word(struct mx_build *build, const char *name, const char *word)
{
    static const struct kind_word full = {"", ATTEND, MX_ATTENTION_FULL, 0};
    char path[128];
    if (build->arch->known || !mx_ends_with(word, "_attention")) return NULL;
    snprintf(path, sizeof path, "%s.%.60s", name, word);
    mx_build_tell(build, path);
    return &full;
}

static void set_kind(struct mx_build *build, struct mx_layer *layer, const struct kind_word *kind,
                     enum mx_recurrence_kind recurrence)
{
    /* Of a type that is not in the table: beside attention, a recurrence of which nothing more is known. */
    if ((kind->what & (ATTEND | RECUR)) == (ATTEND | RECUR) && !kind->recurrence && !recurrence &&
        !build->arch->known) {
        recurrence = MX_RECURRENCE_OTHER;
        mx_build_tell(build, "layer_types");
    }
    if (!(kind->what & (ATTEND | RECUR))) build->parts_apart = true;
    if (kind->what & ATTEND) mx_layer_attend(build, layer, kind->attention);
    if (kind->what & RECUR) mx_layer_recur(build, layer, kind->recurrence ? kind->recurrence : recurrence);
    /* A layer that is nothing but a feed-forward part says so here; experts.c fills its width. */
    if (kind->what == SPARSE) layer->feed_forward.kind = MX_FEED_FORWARD_EXPERTS;
    if (kind->what == 0) layer->feed_forward.kind = MX_FEED_FORWARD_DENSE;
}

/* One word or letter per layer. `cyclic`: a shorter list repeats. */
static void by_words(struct mx_build *build, const cJSON *list, const char *name, bool cyclic)
{
    struct mx_config *config = build->config;
    struct mx_arch *arch = build->arch;
    const bool letters = cJSON_IsString(list);
    const size_t count = letters ? strlen(list->valuestring) : (size_t)cJSON_GetArraySize(list);
    const enum mx_recurrence_kind recurrence = mx_build_recurrence(build);
    if (count == 0 || (!cyclic && count < arch->layer_count)) { /* of a longer list the first ones count */
        mx_config_fail(config, "field \"%s\" has %zu entries for %u layers", name, count, arch->layer_count);
        return;
    }
    const cJSON *item = letters ? NULL : list->child;
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        const char *word = letters ? list->valuestring + i % count : cJSON_IsString(item) ? item->valuestring : "";
        const struct kind_word *kind = find_word(word, letters ? 1 : strlen(word));
        if (!kind && !letters) kind = guess_word(build, name, word);
        if (!kind) {
            mx_config_fail(config, "field \"%s\", entry %u: \"%.40s\" is not a kind of layer that is known", name, i,
                           word);
            return;
        }
        set_kind(build, &arch->layers[i], kind, recurrence);
        if (!letters) item = item->next ? item->next : list->child;
    }
}

/* Attention where `is_attention[i]`, recurrence elsewhere (and there too, where `both`). */
static void by_mask(struct mx_build *build, const bool *is_attention, bool both)
{
    struct mx_arch *arch = build->arch;
    const enum mx_recurrence_kind recurrence = mx_build_recurrence(build);
    const bool windowed = build->window && mx_config_find(build->config, "attn.window_size") != NULL;
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        if (is_attention[i])
            mx_layer_attend(build, &arch->layers[i], windowed ? MX_ATTENTION_SLIDING : MX_ATTENTION_FULL);
        if (!is_attention[i] || both) mx_layer_recur(build, &arch->layers[i], recurrence);
    }
}

/* The indices of a list, as a mask. `base`: 1 where layers are counted from 1 (Kimi Linear). */
static bool mask_of(struct mx_build *build, const char *spellings, uint32_t base, bool mask[MX_ARCH_MAX_LAYERS])
{
    const cJSON *list = mx_config_list_or_null(build->config, spellings);
    if (!list) return false;
    memset(mask, 0, MX_ARCH_MAX_LAYERS * sizeof *mask);
    const cJSON *item;
    cJSON_ArrayForEach (item, list) {
        const uint32_t index =
            mx_config_item(build->config, item, list->string, base, build->arch->layer_count - 1 + base);
        if (build->config->status != MX_OK) return true;
        mask[index - base] = true;
    }
    return true;
}

/* A list of ones, where nothing but attention is known, says what is done already. */
static void read_as_one(const struct mx_config *config, const char *name)
{
    const cJSON *item, *list = mx_config_peek(config, name);
    cJSON_ArrayForEach (item, list) {
        if (!cJSON_IsNumber(item) || item->valuedouble != 1) return;
    }
    mx_config_mark(config, list);
}

/* The list of the other layers, which says the same once more. */
static void read_complement(const struct mx_build *build, const char *spelling, uint32_t base, const bool *mask)
{
    const cJSON *item, *list = mx_config_peek(build->config, spelling);
    uint32_t others = 0, listed = 0;
    for (uint32_t i = 0; i < build->arch->layer_count; i++) others += !mask[i];
    cJSON_ArrayForEach (item, list) {
        int64_t index;
        if (!mx_json_whole(item, base, (int64_t)build->arch->layer_count - 1 + base, &index) || mask[index - base])
            return;
        listed++;
    }
    if (listed == others) mx_config_mark(build->config, list);
}

/* The layers that attend among recurrent ones, where the config gives indices or a period. */
static bool by_positions(struct mx_build *build)
{
    struct mx_config *config = build->config;
    const uint32_t layers = build->arch->layer_count;
    bool mask[MX_ARCH_MAX_LAYERS] = {false};
    if (mx_build_recurrence(build) == MX_RECURRENCE_NONE) {
        read_as_one(config, "attn_type_list");
        return false;
    }

    if (mask_of(build, "attn_layer_indices|full_attn_idxs|attention_layer_indices|attention_layers_idx|attn.layers", 0,
                mask) ||
        mask_of(build, "linear_attn_config.full_attn_layers", 1, mask)) {
        read_complement(build, "linear_attn_config.kda_layers", 1, mask);
        by_mask(build, mask, false);
        return true;
    }
    if (mask_of(build, "hybrid_layer_ids", 0, mask)) { /* Zamba 2: recurrence in every layer, attention in these too */
        by_mask(build, mask, true);
        return true;
    }
    const cJSON *list = mx_config_list(config, "attn_type_list"); /* MiniMax: 1 attends */
    if (list) {
        if ((uint32_t)cJSON_GetArraySize(list) != layers)
            mx_config_fail(config, "field \"attn_type_list\" has %d entries for %u layers", cJSON_GetArraySize(list),
                           layers);
        const cJSON *item = list->child;
        for (uint32_t i = 0; i < layers && item; i++, item = item->next)
            mask[i] = mx_config_item(config, item, "attn_type_list", 0, 1) == 1;
        by_mask(build, mask, false);
        return true;
    }
    const struct mx_family *family = build->family;
    const uint32_t interval = mx_config_whole(config, "full_attention_interval", 1, MX_ARCH_MAX_LAYERS, 0);
    const uint32_t period = mx_config_whole(config, "attn_layer_period", 1, MX_ARCH_MAX_LAYERS, family->period);
    const uint32_t offset = mx_config_whole(config, "attn_layer_offset", 0, MX_ARCH_MAX_LAYERS, family->offset);
    if (!interval && !period && !family->all_recurrent) {
        if (!build->arch->known)
            mx_config_fail(config, "some layers are recurrent, but no field that is known tells which");
        return false;
    }
    for (uint32_t i = 0; i < layers; i++)
        mask[i] = interval ? (i + 1) % interval == 0 : period && i % period == offset % period;
    by_mask(build, mask, family->both);
    return true;
}

/* Layers that all attend, some of them within a window or a chunk. */
static void by_window(struct mx_build *build)
{
    struct mx_config *config = build->config;
    const struct mx_family *family = build->family;
    struct mx_arch *arch = build->arch;
    const bool used = mx_config_flag(config, "use_sliding_window", !family->window_off);
    const bool windowed = build->window != 0 && used && family->window_rule != MX_WINDOW_NEVER;
    const cJSON *word = mx_config_peek(config, MX_FIELD_PATTERN);
    if (windowed && cJSON_IsString(word)) {
        mx_config_mark(config, word);
        by_words(build, word, "sliding_window_pattern", true);
        return;
    }
    /* Every so many layers full (as hybrids say it, too), or a list in which 1 is a window (MiMo): of unknown types. */
    const uint32_t interval = mx_config_whole(config, "full_attention_interval", 1, MX_ARCH_MAX_LAYERS, 0);
    const cJSON *marks = mx_config_peek(config, "hybrid_layer_pattern");
    if (!arch->known && windowed && (interval || cJSON_IsArray(marks))) {
        for (uint32_t i = 0; i < arch->layer_count; i++) {
            const bool sliding = cJSON_IsArray(marks)
                                     ? mx_config_per_layer(config, "hybrid_layer_pattern", i, 0, 1, 0) == 1
                                     : (i + 1) % interval != 0;
            mx_layer_attend(build, &arch->layers[i], sliding ? MX_ATTENTION_SLIDING : MX_ATTENTION_FULL);
        }
        return;
    }
    const uint32_t pattern = mx_config_is_null(config, MX_FIELD_PATTERN)
                                 ? 0
                                 : mx_config_whole(config, MX_FIELD_PATTERN, 1, MX_ARCH_MAX_LAYERS, family->pattern);
    const uint32_t first = mx_config_whole(config, "max_window_layers", 0, 1 << 20, family->max_window_layers);
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        bool sliding = windowed;
        if (family->window_rule == MX_WINDOW_FULL_FIRST)
            sliding &= pattern && i % pattern != 0;
        else if (family->window_rule == MX_WINDOW_EVEN)
            sliding &= i % 2 == 0 && i < first;
        else if (pattern)
            sliding &= (i + 1) % pattern != 0;
        else
            sliding &= i >= first;
        mx_layer_attend(build, &arch->layers[i], sliding ? MX_ATTENTION_SLIDING : MX_ATTENTION_FULL);
    }
}

/* Chunks (Llama 4): no_rope_layers says 1 for a layer that has rotary positions and sees its chunk. */
static bool by_chunk(struct mx_build *build)
{
    struct mx_config *config = build->config;
    struct mx_arch *arch = build->arch;
    const uint32_t chunk =
        mx_config_whole(config, "attention_chunk_size", 1, MX_ARCH_MAX_CONTEXT,
                        mx_config_is_null(config, "attention_chunk_size") ? 0 : build->family->chunk);
    if (!chunk || build->window) return false;
    build->window = chunk;
    const uint32_t interval =
        mx_config_whole(config, "no_rope_layer_interval", 1, MX_ARCH_MAX_LAYERS, build->family->chunk_interval);
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        const bool by_interval = !interval || (i + 1) % interval != 0;
        const cJSON *list = mx_config_peek(config, "no_rope_layers");
        const bool chunked =
            cJSON_GetArraySize(list) ? mx_config_per_layer(config, "no_rope_layers", i, 0, 1, 0) != 0 : by_interval;
        mx_layer_attend(build, &arch->layers[i], chunked ? MX_ATTENTION_CHUNKED : MX_ATTENTION_FULL);
    }
    return true;
}

/* The last layers may read the cache of the last layer of their kind that keeps one (Gemma 3n, Gemma 4). */
static void share_caches(struct mx_build *build)
{
    struct mx_config *config = build->config;
    struct mx_arch *arch = build->arch;
    const uint32_t shared =
        mx_config_whole(config, "num_kv_shared_layers", 0, MX_ARCH_MAX_LAYERS, build->family->kv_shared);
    if (!shared || config->status != MX_OK) return;
    if (shared >= arch->layer_count) {
        mx_config_fail(config, "num_kv_shared_layers is %u, but there are %u layers", shared, arch->layer_count);
        return;
    }
    const uint32_t first = arch->layer_count - shared;
    for (uint32_t i = first; i < arch->layer_count; i++) {
        int32_t owner = -1;
        for (uint32_t j = 0; j < first; j++)
            if (arch->layers[j].attention.kind == arch->layers[i].attention.kind) owner = (int32_t)j;
        if (owner < 0) {
            mx_config_fail(config, "num_kv_shared_layers is %u, but layer %u has none of its kind to share with",
                           shared, i);
            return;
        }
        arch->layers[i].attention.cache_copies = 0;
        arch->layers[i].attention.shares_cache_of = owner;
    }
}

void mx_build_layers(struct mx_build *build)
{
    struct mx_config *config = build->config;
    struct mx_arch *arch = build->arch;
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        arch->layers[i].attention.shares_cache_of = -1;
        arch->layers[i].block = build->family->block;
    }
    if (!build->heads) {
        for (uint32_t i = 0; i < arch->layer_count; i++)
            mx_layer_recur(build, &arch->layers[i], mx_build_recurrence(build));
        return;
    }
    build->window = mx_build_window(build);
    const cJSON *words = mx_config_find(config, MX_FIELD_LAYER_TYPES);
    if (words && !cJSON_IsArray(words) && !cJSON_IsString(words)) {
        char text[64];
        mx_config_fail(config, "field \"%s\" is %s; it must be a list with a word for each layer", words->string,
                       mx_json_describe(words, text, sizeof text));
    } else if (words) {
        mx_config_mark(config, mx_config_find(config, "full_attention_interval")); /* the list says it, too */
        if (!build->window) build->window = mx_config_whole(config, "attention_chunk_size", 1, MX_ARCH_MAX_CONTEXT, 0);
        by_words(build, words, words->string ? words->string : "layer_types",
                 words->string && !strcmp(words->string, "block_types"));
    } else if (!by_positions(build) && !by_chunk(build)) {
        by_window(build);
    }
    share_caches(build);
}
