/* Rotary positions: old fields (rope_theta, rope_scaling) and new ones (rope_parameters), with the defaults of the
 * reference implementation (modeling_rope_utils). */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "config/build.h"
#include "config/runs.h"

struct rope_name {
    const char *name;
    enum mx_rope_type type;
};
static const struct rope_name rope_names[] = {
    {"default", MX_ROPE_DEFAULT},   {"mrope", MX_ROPE_DEFAULT}, {"linear", MX_ROPE_LINEAR},
    {"dynamic", MX_ROPE_DYNAMIC},   {"llama3", MX_ROPE_LLAMA3}, {"yarn", MX_ROPE_YARN},
    {"longrope", MX_ROPE_LONGROPE}, {"su", MX_ROPE_LONGROPE},   {"proportional", MX_ROPE_PROPORTIONAL},
};

static enum mx_rope_type type_of(const char *name)
{
    for (size_t i = 0; i < sizeof rope_names / sizeof *rope_names; i++)
        if (!strcmp(name, rope_names[i].name)) return rope_names[i].type;
    return MX_ROPE_OTHER;
}

/* "PREFIX.a|PREFIX.b|behind" into a buffer: the spellings of a field inside one object of the config. */
static const char *inside(char buffer[320], const char *prefix, const char *first, const char *second,
                          const char *behind)
{
    const int length = snprintf(buffer, 320, "%s.%s", prefix, first);
    if (second[0]) snprintf(buffer + length, 320 - (size_t)length, "|%s.%s", prefix, second);
    if (behind[0]) snprintf(buffer + strlen(buffer), 320 - strlen(buffer), "|%s", behind);
    return buffer;
}

/* One factor per plane; false if they are not there, or make no sense. */
static bool read_factors(struct mx_config *config, const char *spellings, uint32_t pairs, float *factors)
{
    const cJSON *list = mx_config_find(config, spellings);
    if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) != (int)pairs) return false;
    for (const cJSON *item = list->child; item; item = item->next) {
        const double value = cJSON_IsNumber(item) ? cJSON_GetNumberValue(item) : 0;
        if (!(value >= 1e-6 && value <= 1e6)) return false;
        *factors++ = (float)value;
    }
    return true;
}

/* The factors of short and of long texts; how far the context was stretched is what its two lengths say. */
static void read_longrope(struct mx_build *build, struct mx_rope *rope, const char *prefix)
{
    struct mx_config *config = build->config;
    char path[320];
    const uint32_t pairs = rope->dims / 2;
    if (pairs > MX_ROPE_PAIRS ||
        !read_factors(config, inside(path, prefix, "short_factor", "", ""), pairs, rope->short_factor) ||
        !read_factors(config, inside(path, prefix, "long_factor", "", ""), pairs, rope->long_factor)) {
        mx_arch_refuse(build->arch, "rope type \"longrope\" needs %u numbers in short_factor and in long_factor",
                       pairs);
        return;
    }
    rope->short_scale = mx_config_number(config, inside(path, prefix, "short_mscale", "", ""), 0, 1e3, 0);
    rope->long_scale = mx_config_number(config, inside(path, prefix, "long_mscale", "", ""), 0, 1e3, 0);
    if (build->arch->max_context && rope->original_context)
        rope->factor = (double)build->arch->max_context / rope->original_context;
}

void mx_rope_read(struct mx_build *build, struct mx_rope *rope, const char *prefix, uint32_t dims, double theta)
{
    struct mx_config *config = build->config;
    char path[320], name[32];
    *rope = (struct mx_rope){.interleaved = mx_config_flag(config, "rope_interleave", build->family->interleaved)};
    rope->theta = mx_config_number(config, inside(path, prefix, "rope_theta", "", ""), 1e-3, 1e15, theta);
    mx_config_text(config, inside(path, prefix, "rope_type", "type", ""), name, sizeof name);
    rope->type = name[0] ? type_of(name) : MX_ROPE_DEFAULT;

    const double part = mx_config_number(config, inside(path, prefix, "partial_rotary_factor", "", ""), 0, 1, 0);
    rope->dims = part > 0 && rope->type != MX_ROPE_PROPORTIONAL ? (uint32_t)(dims * part) : dims;
    rope->planes = part > 0 ? (uint32_t)(dims * part / 2) : dims / 2;

    /* Types that stretch need to know by how much; longrope derives it from the two context lengths. */
    inside(path, prefix, "factor", "", "");
    if (rope->type >= MX_ROPE_LINEAR && rope->type <= MX_ROPE_YARN && !mx_config_find(config, path))
        mx_config_fail(config, "field \"%s\" is missing; rope type \"%s\" needs it", path, name);
    rope->factor = mx_config_number(config, path, 1e-3, 1e6, 1);
    rope->low_freq_factor = mx_config_number(config, inside(path, prefix, "low_freq_factor", "", ""), 0, 1e6, 1);
    rope->high_freq_factor = mx_config_number(config, inside(path, prefix, "high_freq_factor", "", ""), 0, 1e6, 4);
    rope->beta_fast = mx_config_number(config, inside(path, prefix, "beta_fast", "", ""), 0, 1e6, 32);
    rope->beta_slow = mx_config_number(config, inside(path, prefix, "beta_slow", "", ""), 0, 1e6, 1);
    rope->mscale = mx_config_number(config, inside(path, prefix, "mscale", "", ""), 0, 1e3, 0);
    rope->mscale_all_dim = mx_config_number(config, inside(path, prefix, "mscale_all_dim", "", ""), 0, 1e3, 0);
    rope->attention_factor = mx_config_number(config, inside(path, prefix, "attention_factor", "", ""), 0, 1e3, 0);
    rope->truncate = mx_config_flag(config, inside(path, prefix, "truncate", "", ""), true);
    rope->original_context = mx_config_whole(
        config, inside(path, prefix, "original_max_position_embeddings", "", "original_max_position_embeddings"), 1,
        MX_ARCH_MAX_CONTEXT, build->arch->max_context);
    if (rope->type == MX_ROPE_DEFAULT) rope->factor = 1;
}

/* YaRN and linear scaling of a length that is not scaled yet extend the context: to the product of the original length
 * and the factor, where the config's own length is less. Linear scaling without an original length is taken at its
 * word in the old spelling alone ("type"): newer files give the length that was reached. */
static void stretch_context(struct mx_build *build, const struct mx_rope *rope, const char *prefix)
{
    struct mx_arch *arch = build->arch;
    char path[128];
    snprintf(path, sizeof path, "%s.original_max_position_embeddings|original_max_position_embeddings", prefix);
    const bool original = mx_config_find(build->config, path) != NULL;
    if (!arch->max_context || rope->factor <= 1) return;
    if (rope->type != MX_ROPE_YARN && rope->type != MX_ROPE_LINEAR) return;
    if (rope->type == MX_ROPE_LINEAR && !original) {
        snprintf(path, sizeof path, "%s.type", prefix);
        if (!mx_config_find(build->config, path) || build->family->pattern) return;
    }
    const double reached = (original ? rope->original_context : arch->max_context) * rope->factor;
    if (reached > arch->max_context && reached <= MX_ARCH_MAX_CONTEXT) arch->max_context = (uint32_t)reached;
}

/* Scores of latent attention grow with a stretched context (DeepSeek-V2's mscale_all_dim), by what rotary parts don't.
 */
static void sharpen_latent(struct mx_arch *arch)
{
    const struct mx_rope *rope = &arch->rope[0];
    if (rope->type == MX_ROPE_DEFAULT || rope->mscale_all_dim == 0 || rope->factor <= 1) return;
    const double mscale = 0.1 * rope->mscale_all_dim * log(rope->factor) + 1;
    arch->attention_scale *= mscale * mscale;
}

/* A number of each layer out of a list, which must be one and the same for all layers of a kind; `fallback` where there
 * is no list. */
static double of_kind(struct mx_build *build, const char *spellings, bool windowed, double fallback)
{
    const struct mx_arch *arch = build->arch;
    const cJSON *list = mx_config_peek(build->config, spellings), *item = cJSON_IsArray(list) ? list->child : NULL;
    double found = 0;
    if (!item) return fallback;
    mx_config_mark(build->config, list);
    for (uint32_t i = 0; i < arch->layer_count; i++, item = item ? item->next : NULL) {
        const double value = cJSON_IsNumber(item) ? cJSON_GetNumberValue(item) : 0;
        if (!(value > 0)) {
            mx_config_fail(build->config, "field \"%s\" has no positive number for layer %u", list->string, i);
            return fallback;
        }
        if ((arch->layers[i].attention.kind == MX_ATTENTION_SLIDING) != windowed) continue;
        if (found != 0 && value != found)
            mx_arch_refuse(build->arch, "the engine has no rotary positions that differ among layers of one kind");
        if (found == 0) found = value;
    }
    return found != 0 ? found : fallback;
}

/* A base, and how much of a head is rotated, for each layer (Step): two kinds of them. A stretch is that of the layers
 * that see everything. False: the config has no such lists. */
static bool rope_by_layer(struct mx_build *build, uint32_t dims)
{
    static const char parts[] = "partial_rotary_factors|partial_rotary_factor", base[] = "rope_theta";
    struct mx_config *config = build->config;
    struct mx_arch *arch = build->arch;
    if (!cJSON_IsArray(mx_config_peek(config, base)) && !cJSON_IsArray(mx_config_peek(config, parts))) return false;
    for (int windowed = 0; windowed < 2; windowed++) {
        const double theta = of_kind(build, base, windowed, build->family->theta != 0 ? build->family->theta : 10000.0);
        mx_rope_read(build, &arch->rope[windowed], windowed ? "rope_parameters.sliding_attention" : "rope_scaling",
                     dims, theta);
        arch->rope[windowed].dims = (uint32_t)(dims * fmin(of_kind(build, parts, windowed, 1), 1));
    }
    arch->rope_count = 1;
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        struct mx_attention *own = &arch->layers[i].attention;
        own->rope = own->heads != 0;
        own->rope_index = own->kind == MX_ATTENTION_SLIDING;
        if (own->rope_index) arch->rope_count = 2;
    }
    stretch_context(build, &arch->rope[0], "rope_scaling");
    return true;
}

void mx_build_rope(struct mx_build *build)
{
    struct mx_config *config = build->config;
    struct mx_arch *arch = build->arch;
    const struct mx_family *family = build->family;
    arch->positions = family->positions;
    if (arch->positions != MX_POSITIONS_ROPE || !build->head_dim) return;
    const uint32_t dims = build->latent.kv_rank ? build->latent.rope : build->head_dim;
    if (rope_by_layer(build, dims)) return;
    const double theta =
        mx_config_number(config, MX_FIELD_ROPE_THETA, 1e-3, 1e15, family->theta != 0 ? family->theta : 10000.0);
    const char *prefix = mx_config_object(config, "rope_parameters") ? "rope_parameters" : "rope_scaling";
    const bool by_kind = mx_config_object(config, "rope_parameters.full_attention") != NULL;
    mx_rope_read(build, &arch->rope[0], by_kind ? "rope_parameters.full_attention" : prefix, dims, theta);
    arch->rope_count = 1;
    if (mx_config_object(config, "rope_parameters.sliding_attention")) {
        mx_rope_read(build, &arch->rope[1], "rope_parameters.sliding_attention", dims, theta);
        bool windowed = false;
        for (uint32_t i = 0; i < arch->layer_count; i++) {
            const bool own = arch->layers[i].attention.kind == MX_ATTENTION_SLIDING;
            arch->layers[i].attention.rope_index = own;
            windowed |= own;
        }
        if (windowed) arch->rope_count = 2;
    }
    stretch_context(build, &arch->rope[0], prefix);

    /* How much of a head is rotated stands outside rope_scaling in older files. */
    const double part = mx_config_number(config, MX_FIELD_ROPE_PART, 0, 1, family->rope_part);
    if (part > 0 && !by_kind) arch->rope[0].dims = (uint32_t)(dims * part);
    if (build->latent.kv_rank) sharpen_latent(arch);
    if (build->latent.kv_rank) arch->rope[0].dims = dims; /* the rotated part is a field of its own there */
    const uint32_t rotated = mx_config_whole(config, "rotary_dim|rope_dim", 1, dims, 0);
    if (rotated) arch->rope[0].dims = rotated;
    for (uint8_t i = 0; i < arch->rope_count; i++)
        if (arch->rope[i].type == MX_ROPE_LONGROPE)
            read_longrope(build, &arch->rope[i],
                          !by_kind ? prefix
                          : i      ? "rope_parameters.sliding_attention"
                                   : "rope_parameters.full_attention");
    for (uint32_t i = 0; i < arch->layer_count; i++)
        arch->layers[i].attention.rope = arch->layers[i].attention.heads != 0;
}
