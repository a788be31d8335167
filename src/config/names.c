/* From roles to names (names.h). */
#include "config/names.h"

#include <stdio.h>
#include <string.h>

static const char *look_up(const struct mx_names *names, enum mx_role role)
{
    for (; names; names = names->base)
        if (names->of[role]) return names->of[role];
    return "";
}

#define FIRST_OF(names, field)                                                                                         \
    for (; (names) && !(names)->field; (names) = (names)->base) {}

static const char *body_of(const struct mx_names *names)
{
    FIRST_OF(names, body)
    return names ? names->body : "";
}

static const char *mlx_body_of(const struct mx_names *names)
{
    for (; names && !names->mlx_body; names = names->base)
        if (names->body) return NULL; /* a body of its own, and MLX keeps it */
    return names ? names->mlx_body : NULL;
}

static const char *layer_of(const struct mx_names *names)
{
    FIRST_OF(names, layer)
    return names ? names->layer : "";
}

static uint32_t per_block(const struct mx_names *names)
{
    FIRST_OF(names, layers_per_block)
    return names ? names->layers_per_block : 1;
}

enum mx_mlx_sums mx_names_mlx_sums(const struct mx_names *names)
{
    FIRST_OF(names, mlx_sums)
    return names ? names->mlx_sums : MX_MLX_SUMS_NONE;
}

bool mx_names_are_idle(const struct mx_names *names, const char *tensor)
{
    for (; names; names = names->base) {
        for (size_t i = 0; i < MX_NAMES_IDLE && names->idle[i]; i++)
            if (strstr(tensor, names->idle[i])) return true;
    }
    return false;
}

/* The index-th of the alternatives, which are separated by '|'; false: there are no more. */
static bool alternative(const char *names, unsigned index, char out[MX_NAME_SIZE])
{
    if (!names[0]) return false;
    for (; index; index--) {
        const char *bar = strchr(names, '|');
        if (!bar) return false;
        names = bar + 1;
    }
    const size_t length = strcspn(names, "|");
    if (length >= MX_NAME_SIZE) return false;
    memcpy(out, names, length);
    out[length] = '\0';
    return true;
}

/* How many layers before this one use a shared block. */
static uint32_t uses_before(const struct mx_arch *arch, uint32_t layer)
{
    uint32_t uses = 0;
    for (uint32_t i = 0; i < layer && i < arch->layer_count; i++) uses += arch->layers[i].attention.wide_input;
    return uses;
}

/* Appends `pattern` with its numbers filled in; "%e" stays. */
static void append(char out[MX_NAME_SIZE], const char *pattern, const struct mx_arch *arch, uint32_t layer)
{
    const uint32_t layers_per_block = per_block(arch->names);
    size_t used = strlen(out);
    for (; *pattern && used + 12 < MX_NAME_SIZE; pattern++) {
        const char what = pattern[0] == '%' ? pattern[1] : '\0';
        if (!what || !strchr("udrn", what)) {
            out[used++] = *pattern;
            out[used] = '\0';
            continue;
        }
        const uint32_t number = what == 'u'   ? layer
                                : what == 'd' ? layer / layers_per_block
                                : what == 'r' ? layer % layers_per_block
                                              : uses_before(arch, layer);
        used += (size_t)snprintf(out + used, MX_NAME_SIZE - used, "%u", number);
        pattern++;
    }
}

void mx_name_expert(char out[MX_NAME_SIZE], const char *module, uint32_t expert)
{
    const char *place = strstr(module, "%e");
    if (place)
        snprintf(out, MX_NAME_SIZE, "%.*s%u%s", (int)(place - module), module, expert, place + 2);
    else
        snprintf(out, MX_NAME_SIZE, "%s", module);
}

bool mx_name_part(char out[MX_NAME_SIZE], const char *module, unsigned index)
{
    const char *open = strchr(module, '{'), *close = open ? strchr(open, '}') : NULL;
    if (!close) {
        snprintf(out, MX_NAME_SIZE, "%s", module);
        return index == 0;
    }
    const char *word = open + 1;
    for (; index; index--) {
        word += strcspn(word, ",}");
        if (*word++ == '}') return false;
    }
    snprintf(out, MX_NAME_SIZE, "%.*s%.*s%s", (int)(open - module), module, (int)strcspn(word, ",}"), word, close + 1);
    return true;
}

static bool is_head(enum mx_role role)
{
    return role == MX_ROLE_HEAD || role == MX_ROLE_HEAD_BIAS || role == MX_ROLE_HEAD_DENSE || role == MX_ROLE_HEAD_NORM;
}

/* ---- the body ---- */

/* The index-th body to try. */
static bool world_at(const struct mx_names *names, unsigned index, struct mx_name_world *world)
{
    /* What stands before all names of the text model, its head's too, in wrappers; then before all but its head's: of
     * newer wrappers, and of a bare body. */
    static const char *const outer[] = {"", "language_model.", "text_model.", "thinker.", "llm."};
    static const char *const last[] = {"model.language_model.", "model.text_model.", ""};
    char body[MX_NAME_SIZE];
    unsigned at = 0;
    *world = (struct mx_name_world){0};
    for (size_t o = 0; o < sizeof outer / sizeof *outer; o++) {
        const char *const bodies[] = {body_of(names), mlx_body_of(names)};
        for (int mlx = 0; mlx < 2; mlx++) {
            for (unsigned i = 0; bodies[mlx] && alternative(bodies[mlx], i, body); i++) {
                if (at++ < index) continue;
                snprintf(world->outer, sizeof world->outer, "%s", outer[o]);
                snprintf(world->body, sizeof world->body, "%.63s", body);
                world->mlx = mlx;
                return true;
            }
        }
    }
    const size_t rest = index - at;
    if (rest >= sizeof last / sizeof *last) return false;
    /* A bare body lacks the first step of its path alone: "model.decoder." leaves "decoder." */
    const char *tail = alternative(body_of(names), 0, body) ? strchr(body, '.') : NULL;
    snprintf(world->body, sizeof world->body, "%s%.40s", last[rest], tail && !last[rest][0] ? tail + 1 : "");
    return true;
}

bool mx_names_world_at(const struct mx_arch *arch, unsigned index, struct mx_name_world *world)
{
    return world_at(arch->names, index, world);
}

struct mx_name_world mx_names_world(const struct mx_arch *arch, mx_name_exists *exists, const void *context)
{
    struct mx_name_world world;
    const struct mx_tensor_spec embedding = {.role = MX_ROLE_EMBEDDING, .layer = -1};
    struct mx_tensor_source source;
    for (unsigned i = 0; world_at(arch->names, i, &world); i++) {
        for (unsigned k = 0; mx_tensor_source(arch, &world, &embedding, k, &source); k++)
            if (exists(context, source.module)) return world;
    }
    world_at(arch->names, 0, &world);
    return world;
}

void mx_names_settle_tie(struct mx_arch *arch, mx_name_exists *exists, const void *context)
{
    const struct mx_tensor_spec head = {.role = MX_ROLE_HEAD, .layer = -1};
    const struct mx_name_world world = mx_names_world(arch, exists, context);
    struct mx_tensor_source source;
    if (!arch->tie_disputed) return;
    arch->tied = true;
    for (unsigned i = 0; mx_tensor_source(arch, &world, &head, i, &source); i++)
        if (exists(context, source.module)) arch->tied = false;
}

/* ---- the sources ---- */

struct parts {
    const struct mx_fusion *fusion;
    uint64_t rows[MX_FUSION_PARTS];
};

static mx_status note_rows(void *context, const struct mx_tensor_spec *spec)
{
    struct parts *parts = context;
    for (uint8_t i = 0; i < parts->fusion->part_count; i++)
        if (parts->fusion->parts[i] == spec->role) parts->rows[i] = spec->rows;
    return MX_OK;
}

static uint64_t block_count(const struct mx_arch *arch, const struct mx_tensor_spec *spec, enum mx_blocks blocks)
{
    const struct mx_layer *layer = &arch->layers[spec->layer];
    switch (blocks) {
    case MX_BLOCKS_ONE: return 1;
    case MX_BLOCKS_HEADS: return layer->attention.heads;
    case MX_BLOCKS_KV_HEADS: return layer->attention.kv_heads;
    case MX_BLOCKS_FOUR: return 4;
    case MX_BLOCKS_ROWS: return spec->rows;
    case MX_BLOCKS_K_HEADS: return layer->recurrence.delta.k_heads;
    }
    return 0;
}

/* Which rows of the fused matrix are ours; false where a part is missing or doesn't divide into the blocks. */
static bool place_in_fusion(const struct mx_arch *arch, const struct mx_tensor_spec *spec,
                            const struct mx_fusion *fusion, struct mx_tensor_source *source)
{
    struct parts parts = {.fusion = fusion};
    const uint64_t blocks = block_count(arch, spec, fusion->blocks);
    mx_tensors_of_layer(arch, (uint32_t)spec->layer, note_rows, &parts);
    source->fused = true;
    source->rows = source->first = source->stride = 0;
    bool before = true;
    for (uint8_t i = 0; i < fusion->part_count; i++) {
        const uint64_t rows = parts.rows[i];
        if (!blocks || !rows || rows % blocks) return false;
        if (fusion->parts[i] == spec->role) before = false;
        if (before) source->first += rows / blocks;
        source->stride += rows / blocks;
        source->rows += rows;
    }
    source->run = spec->rows / blocks;
    return !before;
}

static bool contains(const struct mx_fusion *fusion, enum mx_role role)
{
    for (uint8_t i = 0; i < fusion->part_count; i++)
        if (fusion->parts[i] == role) return true;
    return false;
}

/* Takes the marks off the end of a name. */
static void read_marks(char *name, const struct mx_name_world *world, struct mx_tensor_source *source)
{
    char *mark = strchr(name, '^');
    if (!mark) return;
    source->flat = strchr(mark, 'F') != NULL;
    source->bare = strchr(mark, 'B') != NULL;
    source->transposed = source->bare || (strchr(mark, 'T') && !world->mlx);
    *mark = '\0';
}

static void finish(const struct mx_arch *arch, const struct mx_name_world *world, const struct mx_tensor_spec *spec,
                   char *name, struct mx_tensor_source *source)
{
    read_marks(name, world, source);
    snprintf(source->module, sizeof source->module, "%s%s", world->outer, is_head(spec->role) ? "" : world->body);
    const uint32_t layer = spec->layer >= 0 ? (uint32_t)spec->layer : 0;
    if (spec->layer >= 0) append(source->module, layer_of(arch->names), arch, layer);
    append(source->module, name, arch, layer);
    source->each = strstr(source->module, "%e") != NULL;
}

bool mx_tensor_source(const struct mx_arch *arch, const struct mx_name_world *world, const struct mx_tensor_spec *spec,
                      unsigned index, struct mx_tensor_source *source)
{
    char name[MX_NAME_SIZE];
    *source = (struct mx_tensor_source){.rows = spec->rows, .run = spec->rows, .stride = spec->rows};
    if (!arch->names) return false;
    const char *own = look_up(arch->names, spec->role);
    if (alternative(own, index, name)) {
        finish(arch, world, spec, name, source);
        return true;
    }
    for (unsigned i = 0; index && alternative(own, i, name); i++) index--;
    if (spec->layer < 0) return false;
    for (const struct mx_names *names = arch->names; names; names = names->base) {
        for (int i = 0; i < MX_NAMES_FUSIONS && names->fused[i].name; i++) {
            if (!contains(&names->fused[i], spec->role)) continue;
            for (unsigned k = 0; alternative(names->fused[i].name, k, name); k++) {
                if (index--) continue;
                if (!place_in_fusion(arch, spec, &names->fused[i], source)) return false;
                finish(arch, world, spec, name, source);
                return true;
            }
        }
    }
    return false;
}
