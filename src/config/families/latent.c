/* Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434): what its relatives add. */
#include <math.h>
#include <string.h>

#include "base/json.h"
#include "config/families/fills.h"
#include "config/runs.h"

/* The lightning indexer of DeepSeek-V3.2 and GLM-5 keeps keys of its own, in the layers that run one. */
void mx_fill_sparse_indexer(struct mx_build *build)
{
    struct mx_config *config = build->config;
    struct mx_arch *arch = build->arch;
    const uint32_t dim = mx_config_whole(config, "index_head_dim", 1, MX_ARCH_MAX_WIDTH, 128);
    const uint32_t heads = mx_config_whole(config, "index_n_heads", 1, MX_ARCH_MAX_WIDTH, 64);
    const uint32_t every = mx_config_whole(config, "index_topk_freq", 1, MX_ARCH_MAX_LAYERS, 1);
    const uint32_t offset = mx_config_whole(config, "index_skip_topk_offset", 1, MX_ARCH_MAX_LAYERS, 2);
    const cJSON *types = mx_config_peek(config, "indexer_types|index_topk_pattern");
    if (cJSON_IsArray(types) || cJSON_IsString(types)) mx_config_mark(config, types);
    const uint32_t top = mx_config_whole(config, "index_topk", 1, MX_ARCH_MAX_CONTEXT, 2048);
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        struct mx_layer *layer = &arch->layers[i];
        bool own = i + 1 <= offset || (i + 1 - offset) % every == 0;
        if (cJSON_IsArray(types)) {
            const cJSON *type = cJSON_GetArrayItem(types, (int)i);
            if (!cJSON_IsString(type))
                mx_config_fail(config, "field \"%s\" has no word for layer %u", types->string, i);
            own = !cJSON_IsString(type) ||
                  (strcmp(type->valuestring, "shared") != 0 && strcmp(type->valuestring, "S") != 0);
        } else if (cJSON_IsString(types)) {
            own = i >= strlen(types->valuestring) || types->valuestring[i] == 'F';
        }
        if (layer->attention.kind != MX_ATTENTION_LATENT) continue;
        layer->attention.indexer.top = top;
        if (own) layer->attention.indexer = (struct mx_indexer){.heads = heads, .dim = dim, .top = top};
    }
}

/* GLM-5's indexer turns neighbours, as its heads do, unless the config says otherwise. */
void mx_fill_glm_sparse(struct mx_build *build)
{
    mx_fill_sparse_indexer(build);
    const bool neighbours = mx_config_flag(build->config, "indexer_rope_interleave", build->arch->rope[0].interleaved);
    for (uint32_t i = 0; i < build->arch->layer_count; i++)
        build->arch->layers[i].attention.indexer.interleaved = neighbours;
}

/* How many tokens leave one entry behind, where the config says it by the layer's kind. */
static uint32_t compress_of(struct mx_build *build, uint32_t layer)
{
    struct mx_config *config = build->config;
    const cJSON *types = mx_config_list(config, "layer_types");
    const cJSON *word = types ? cJSON_GetArrayItem(types, (int)layer) : NULL;
    if (!word || !cJSON_IsString(word)) return 0;
    const bool sparse = !strcmp(word->valuestring, "compressed_sparse_attention");
    if (!sparse && strcmp(word->valuestring, "heavily_compressed_attention") != 0) return 0;
    return sparse ? mx_config_whole(config, "compress_rates.compressed_sparse_attention", 1, MX_ARCH_MAX_CONTEXT, 4)
                  : mx_config_whole(config, "compress_rates.heavily_compressed_attention", 1, MX_ARCH_MAX_CONTEXT, 128);
}

/* DeepSeek-V4: every layer sees a window; besides, compress_ratios tells for each layer of how many tokens one entry is
 * left for all later ones (0: none). Keys are values. Entries of the lower ratios are chosen among by an indexer, whose
 * keys stand beside them. Queries and outputs go by way of low ranks. */
void mx_fill_deepseek_v4(struct mx_build *build)
{
    enum { CHOSEN = 16 }; /* ratios up to this one are searched by the indexer */
    struct mx_config *config = build->config;
    struct mx_arch *arch = build->arch;
    const uint32_t window = mx_config_whole(config, MX_FIELD_WINDOW, 1, MX_ARCH_MAX_CONTEXT, 128);
    const uint32_t indexer = mx_config_whole(config, "index_head_dim", 0, MX_ARCH_MAX_WIDTH, 128);
    const uint32_t q_rank = mx_config_whole(config, "q_lora_rank", 0, MX_ARCH_MAX_WIDTH, 1024);
    const uint32_t o_rank = mx_config_whole(config, "o_lora_rank", 0, MX_ARCH_MAX_WIDTH, 1024);
    const uint32_t groups = mx_config_whole(config, "o_groups", 1, MX_ARCH_MAX_WIDTH, 8);
    mx_config_whole(config, "index_n_heads", 1, MX_ARCH_MAX_WIDTH, 64);
    mx_config_whole(config, "index_topk", 1, MX_ARCH_MAX_CONTEXT, 512);
    mx_config_whole(config, "qk_rope_head_dim", 0, MX_ARCH_MAX_WIDTH, 64);
    mx_config_whole(config, "num_hash_layers", 0, MX_ARCH_MAX_LAYERS, 0);
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        struct mx_layer *layer = &arch->layers[i];
        struct mx_attention *own = &layer->attention;
        build->window = window;
        mx_layer_attend(build, layer, MX_ATTENTION_SLIDING);
        own->rope = true;
        own->values_are_keys = true;
        own->compress =
            mx_config_per_layer(config, "compress_ratios", i, 0, MX_ARCH_MAX_CONTEXT, compress_of(build, i));
        own->compressed_dim = own->k_dim + (own->compress && own->compress <= CHOSEN ? indexer : 0);
        own->latent.q_rank = q_rank;
        own->o_rank = o_rank;
        own->o_groups = groups;
        if ((uint64_t)o_rank * groups > MX_ARCH_MAX_WIDTH || own->heads % groups)
            mx_config_fail(config, "%u output groups of %u numbers make no sense for %u heads", groups, o_rank,
                           own->heads);
    }
    arch->parameters_complete = false; /* compressors, hyper-connections and hash routing are not counted */
}

/* One more norm, behind the experts. */
void mx_fill_axk1(struct mx_build *build)
{
    struct mx_arch *arch = build->arch;
    for (uint32_t i = 0; i < arch->layer_count; i++)
        if (arch->layers[i].feed_forward.kind == MX_FEED_FORWARD_EXPERTS)
            arch->layers[i].feed_forward.output_norm = true;
}

/* Every layer of the file is two here: two attentions and two dense parts, with the experts beside the first
 * (shortcut-connected; arXiv 2509.01322). Some experts are empty: they pass their input on. */
void mx_fill_longcat(struct mx_build *build)
{
    struct mx_config *config = build->config;
    struct mx_arch *arch = build->arch;
    arch->experts.empty = mx_config_whole(config, "zero_expert_num", 0, MX_ARCH_MAX_EXPERTS, 0);
    arch->experts.router_bias = MX_ROUTER_BIAS_CHOICE;
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        struct mx_layer *layer = &arch->layers[i];
        const bool first = i % 2 == 0 && arch->experts.count;
        const uint32_t width = layer->feed_forward.width;
        struct mx_latent *latent = &layer->attention.latent;
        if (latent->q_rank) latent->q_scale = sqrt((double)arch->hidden / latent->q_rank);
        if (latent->kv_rank) latent->kv_scale = sqrt((double)arch->hidden / latent->kv_rank);
        layer->feed_forward.kind = first ? MX_FEED_FORWARD_EXPERTS : MX_FEED_FORWARD_DENSE;
        layer->feed_forward.width = build->intermediate;
        if (!first) continue;
        layer->feed_forward.width = width;
        layer->feed_forward.dense_width = build->intermediate;
        layer->feed_forward.late = true;
    }
}

/* Queries that grow with the position, and groups of experts that are as good as their two best. */
void mx_fill_mistral4(struct mx_build *build)
{
    struct mx_experts *experts = &build->arch->experts;
    mx_fill_ministral3(build);
    experts->group_pairs = experts->groups > 0;
}

void mx_fill_minicpm(struct mx_build *build)
{
    mx_fill_minicpm3(build);
    if (mx_config_object(build->config, "sparse_config")) /* MiniCPM 4: attention is full while a text is short */
        build->arch->text_limit =
            mx_config_whole(build->config, "sparse_config.dense_len", 1, MX_ARCH_MAX_CONTEXT, 8192);
    if (build->arch->experts.count) mx_arch_refuse(build->arch, "the engine has no experts of MiniCPM");
}

void mx_fill_minicpm3(struct mx_build *build)
{
    struct mx_config *config = build->config;
    struct mx_arch *arch = build->arch;
    const double depth = mx_config_number(config, "scale_depth", 1e-6, 1e6, 1.4);
    const double base = mx_config_number(config, "dim_model_base", 1, 1e7, 256);
    arch->embedding_scale = mx_config_number(config, "scale_emb", 1e-6, 1e6, 12);
    arch->residual_scale = depth / sqrt(arch->layer_count);
    arch->logit_scale = base / arch->hidden;
}

/* Kimi delta attention (arXiv 2510.26692): a gate per channel, three short convolutions. */
void mx_fill_kimi_linear(struct mx_build *build)
{
    struct mx_config *config = build->config;
    struct mx_arch *arch = build->arch;
    const uint32_t heads =
        mx_config_whole(config, "linear_attn_config.num_heads|linear_num_heads", 1, MX_ARCH_MAX_WIDTH, 32);
    const uint32_t dim =
        mx_config_whole(config, "linear_attn_config.head_dim|linear_head_dim", 1, MX_ARCH_MAX_WIDTH, 128);
    const uint32_t conv =
        mx_config_whole(config, "linear_attn_config.short_conv_kernel_size|linear_conv_kernel_dim", 1, 1024, 4);
    if ((uint64_t)heads * dim > MX_ARCH_MAX_WIDTH)
        mx_config_fail(config, "linear attention: heads times head_dim is too large");
    static const struct {
        const char *field, *what;
    } later[] = {
        {"linear_attn_config.use_full_rank_gate", "full-rank gates of Kimi delta attention"},
        {"linear_attn_config.gate_lower_bound", "bound on the gates of Kimi delta attention"},
        {"mla_use_output_gate", "gate on latent attention's output"},
        {"routed_expert_hidden_size", "experts in a narrower space"},
        {"attn_res_block_size", "attention over the layers before"},
    };
    for (size_t i = 0; i < sizeof later / sizeof *later; i++) {
        const cJSON *field = mx_config_find(config, later[i].field);
        if (field && !cJSON_IsFalse(field)) mx_arch_refuse(arch, "the engine has no %s", later[i].what);
    }
    if (!mx_config_flag(config, "mla_use_nope", true))
        mx_arch_refuse(arch, "the engine has no Kimi Linear with rotary positions");
    const uint32_t space = mx_config_whole(config, "routed_expert_hidden_size", 1, MX_ARCH_MAX_WIDTH, 0);
    arch->rope_count = 0; /* positions come from the delta layers alone */
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        struct mx_layer *layer = &arch->layers[i];
        layer->attention.rope = false;
        if (layer->feed_forward.kind == MX_FEED_FORWARD_EXPERTS) layer->feed_forward.latent = space;
        if (!mx_layer_recurs(layer)) continue;
        layer->recurrence.kind = MX_RECURRENCE_KIMI_DELTA;
        layer->recurrence.kimi_delta = (struct mx_kimi_delta){.heads = heads, .dim = dim, .conv = conv};
    }
}
