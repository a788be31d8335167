/* Planning a conversion. The rules are those of mlx-lm (docs/formats.md): every matrix whose columns are a multiple of
 * the general group is quantized, the embedding too; norms, biases and other vectors never. */
#include "checkpoint/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "checkpoint/checkpoint_impl.h"
#include "checkpoint/floats.h"
#include "config/families.h"
#include "config/names.h"

static const struct mx_quant router_quant = {MX_QUANT_AFFINE, 8, 64};

/* How a module of the source is written. */
struct module_rule {
    const char *module;
    bool router; /* the matrix that chooses experts */
};

struct planner {
    struct mx_plan *plan;
    const struct mx_checkpoint *source;
    const struct mx_arch *arch;
    const struct mx_family *family;
    struct mx_name_world world;
    struct mx_quant quant;
    struct module_rule *matrices; /* [matrix_count], sorted: what products read, by the list of tensors */
    size_t matrix_count, matrix_capacity;
    bool *used; /* [tensors]: taken into a stack */
    struct mx_error *err;
};

static enum mx_dtype target_dtype(const struct mx_arch *arch, enum mx_dtype stored)
{
    static const struct {
        const char *name;
        enum mx_dtype dtype;
    } names[] = {{"float32", MX_F32}, {"float16", MX_F16}, {"bfloat16", MX_BF16}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(arch->dtype, names[i].name) == 0) return names[i].dtype;
    }
    return stored;
}

static enum mx_storage storage_of(enum mx_dtype dtype)
{
    return dtype == MX_F32 ? MX_STORAGE_F32 : dtype == MX_F16 ? MX_STORAGE_F16 : MX_STORAGE_BF16;
}

static mx_status no_memory(const struct planner *planner)
{
    return mx_fail_memory(planner->err, "the plan of the conversion",
                          planner->source->count * sizeof(struct mx_output));
}

/* Appends an output called NAME + part with the first rank - 1 sizes of `shape` and `last`. */
static bool add_output(struct planner *planner, const char *name, const char *part, enum mx_storage storage, int rank,
                       const size_t *shape, size_t last)
{
    struct mx_plan *plan = planner->plan;
    struct mx_str text = {0};
    mx_str_printf(&text, "%s%s", name, part);
    struct mx_output *output = &plan->outputs[plan->output_count++];
    *output = (struct mx_output){.storage = storage, .rank = rank};
    output->name = mx_str_failed(&text) ? NULL : mx_arena_strndup(&plan->arena, text.data, text.length);
    if (rank) memcpy(output->shape, shape, (size_t)rank * sizeof *shape);
    if (rank) output->shape[rank - 1] = last;
    mx_str_free(&text);
    return output->name != NULL;
}

static int compare_modules(const void *a, const void *b)
{
    return strcmp(((const struct module_rule *)a)->module, ((const struct module_rule *)b)->module);
}

static const struct module_rule *rule_for(const struct planner *planner, const char *module)
{
    const struct module_rule key = {.module = module};
    return bsearch(&key, planner->matrices, planner->matrix_count, sizeof key, compare_modules);
}

/* True for a matrix that MLX keeps at 8 bits whatever the others have. */
static bool is_router8(const struct planner *planner, const struct module_rule *rule)
{
    return rule->router && planner->family->mlx_router == MX_MLX_ROUTER_8_BITS;
}

/* How a module's weight of so many columns is quantized; bits 0 if it is not. */
static struct mx_quant quant_for(const struct planner *planner, const struct module_rule *rule, size_t cols)
{
    const struct mx_quant plain = {MX_QUANT_AFFINE, 0, 0};
    if (!rule || cols == 0 || cols % (size_t)planner->quant.group != 0) return plain;
    if (!is_router8(planner, rule)) return planner->quant;
    return cols % (size_t)router_quant.group == 0 ? router_quant : plain;
}

/* Adds a job with the tensors that it writes: `name` is the tensor's, `shape` the one to be written. */
static mx_status add_job(struct planner *planner, const char *name, int rank, const size_t *shape,
                         const struct mx_plan_part *parts, size_t part_count, size_t part_elements)
{
    struct mx_plan *plan = planner->plan;
    struct mx_plan_job *job = &plan->jobs[plan->job_count++];
    const enum mx_storage storage = parts[0].tensor->storage;
    const bool weight = mx_ends_with(name, ".weight");
    *job = (struct mx_plan_job){.parts = parts, .part_count = part_count, .part_elements = part_elements};
    job->module = mx_arena_strndup(&plan->arena, name, strlen(name) - (weight ? strlen(".weight") : 0));
    if (!job->module) return no_memory(planner);
    job->floats = mx_storage_float(storage, &job->dtype);
    if (job->floats) job->dtype = target_dtype(planner->arch, job->dtype);
    job->cols = rank ? shape[rank - 1] : 1;
    const struct module_rule *rule = weight && rank >= 2 ? rule_for(planner, job->module) : NULL;
    if (job->floats) job->quant = quant_for(planner, rule, job->cols);
    job->override = rule && job->quant.bits && is_router8(planner, rule);
    plan->parameters += part_count * part_elements;
    bool stored = true;
    if (job->quant.bits) {
        const size_t words = job->cols * (size_t)job->quant.bits / 32, groups = job->cols / (size_t)job->quant.group;
        stored &= add_output(planner, job->module, ".weight", MX_STORAGE_U32, rank, shape, words);
        const bool affine = job->quant.mode == MX_QUANT_AFFINE;
        const enum mx_storage scales = affine ? storage_of(job->dtype) : MX_STORAGE_U8;
        stored &= add_output(planner, job->module, ".scales", scales, rank, shape, groups);
        if (affine) stored &= add_output(planner, job->module, ".biases", scales, rank, shape, groups);
    } else {
        stored &= add_output(planner, name, "", job->floats ? storage_of(job->dtype) : storage, rank, shape, job->cols);
    }
    return stored ? MX_OK : no_memory(planner);
}

/* ---- experts ---- */

/* The tensor of that name, marked as used; NULL if there is none. */
static const struct mx_tensor *take(struct planner *planner, const char *name)
{
    const struct mx_checkpoint *source = planner->source;
    const struct mx_tensor *tensor = mx_checkpoint_find(source, name);
    if (tensor) planner->used[mx_checkpoint_index(source, name)] = true;
    return tensor;
}

/* What MLX calls the stack of a role: the first name without an expert's number. */
static bool stacked_name(const struct planner *planner, const struct mx_tensor_spec *spec, char name[MX_NAME_SIZE + 8])
{
    struct mx_tensor_source source;
    for (unsigned i = 0; mx_tensor_source(planner->arch, &planner->world, spec, i, &source); i++) {
        if (source.each || source.fused) continue;
        snprintf(name, MX_NAME_SIZE + 8, "%s.weight", source.module);
        return true;
    }
    return false;
}

/* Matrices of one kind, expert by expert, into a stack. */
static mx_status stack_experts(struct planner *planner, const struct mx_tensor_spec *spec, const char *pattern,
                               const char *stacked)
{
    struct mx_plan_part *parts = mx_arena_array(&planner->plan->arena, spec->count, sizeof *parts);
    if (!parts) return no_memory(planner);
    for (uint32_t expert = 0; expert < spec->count; expert++) {
        char module[MX_NAME_SIZE], name[MX_NAME_SIZE + 8];
        mx_name_expert(module, pattern, expert);
        snprintf(name, sizeof name, "%s.weight", module);
        const struct mx_tensor *tensor = take(planner, name), *first = parts[0].tensor;
        if (!tensor)
            return mx_fail(planner->err, MX_ERR_FORMAT, "%s: tensor \"%.200s\" is missing", planner->source->directory,
                           name);
        if (tensor->rank != 2 || (first && (tensor->storage != first->storage || tensor->shape[0] != first->shape[0] ||
                                            tensor->shape[1] != first->shape[1])))
            return mx_fail(planner->err, MX_ERR_FORMAT,
                           "%s: tensor \"%.200s\" differs in shape or dtype from that of the first expert",
                           tensor->file, name);
        parts[expert].tensor = tensor;
    }
    const struct mx_tensor *first = parts[0].tensor;
    const size_t shape[] = {spec->count, first->shape[0], first->shape[1]};
    return add_job(planner, stacked, 3, shape, parts, spec->count, first->elements);
}

/* Our rows of each expert, out of a bare stack [experts, rows of all parts, cols]. */
static mx_status split_stack(struct planner *planner, const struct mx_tensor_spec *spec,
                             const struct mx_tensor_source *source, const char *stacked)
{
    const struct mx_tensor *stack = take(planner, source->module);
    const size_t rows = (size_t)spec->rows, cols = (size_t)spec->cols, all = (size_t)source->rows;
    char shape[160];
    if (stack->rank != 3 || stack->shape[0] != spec->count || stack->shape[1] != all || stack->shape[2] != cols ||
        !mx_source_is_run(source, spec->rows) || source->transposed)
        return mx_fail(planner->err, MX_ERR_FORMAT, "%s: tensor \"%.200s\": %s is not a stack of %u experts",
                       stack->file, stack->name, mx_shape_text(stack->rank, stack->shape, shape), spec->count);
    struct mx_plan_part *parts = mx_arena_array(&planner->plan->arena, spec->count, sizeof *parts);
    if (!parts) return no_memory(planner);
    for (size_t e = 0; e < spec->count; e++)
        parts[e] = (struct mx_plan_part){stack, (e * all + (size_t)source->first) * cols};
    const size_t wanted[] = {spec->count, rows, cols};
    return add_job(planner, stacked, 3, wanted, parts, spec->count, rows * cols);
}

/* Experts one by one, or in the fused stacks of transformers 5, become MLX's stacks; what is stacked already is
 * copied as everything else. */
static mx_status plan_experts(void *context, const struct mx_tensor_spec *spec)
{
    struct planner *planner = context;
    struct mx_tensor_source source;
    char stacked[MX_NAME_SIZE + 8], name[MX_NAME_SIZE + 8], module[MX_NAME_SIZE];
    if (!spec->count || !stacked_name(planner, spec, stacked)) return MX_OK;
    for (unsigned i = 0; mx_tensor_source(planner->arch, &planner->world, spec, i, &source); i++) {
        mx_name_expert(module, source.module, 0);
        snprintf(name, sizeof name, "%s.weight", module);
        if (source.each && mx_checkpoint_find(planner->source, name))
            return stack_experts(planner, spec, source.module, stacked);
        if (!source.each && mx_checkpoint_find(planner->source, module))
            return split_stack(planner, spec, &source, stacked);
    }
    return MX_OK;
}

/* ---- the list of tensors ---- */

static mx_status add_rule(struct planner *planner, const char *module, bool router)
{
    if (planner->matrix_count == planner->matrix_capacity) {
        const size_t wider = planner->matrix_capacity ? 2 * planner->matrix_capacity : 256;
        struct module_rule *grown = realloc(planner->matrices, wider * sizeof *grown);
        if (!grown) return no_memory(planner);
        planner->matrices = grown;
        planner->matrix_capacity = wider;
    }
    const char *copy = mx_arena_strndup(&planner->plan->arena, module, strlen(module));
    if (!copy) return no_memory(planner);
    planner->matrices[planner->matrix_count++] = (struct module_rule){copy, router};
    return MX_OK;
}

/* Notes every module that may hold a matrix of the list. */
static mx_status note_matrix(void *context, const struct mx_tensor_spec *spec)
{
    struct planner *planner = context;
    struct mx_tensor_source source;
    if (spec->kind != MX_TENSOR_MATRIX) return MX_OK;
    for (unsigned i = 0; mx_tensor_source(planner->arch, &planner->world, spec, i, &source); i++)
        if (!source.each) MX_TRY(add_rule(planner, source.module, spec->role == MX_ROLE_ROUTER));
    return MX_OK;
}

/* ---- the rest ---- */

static bool is_dropped(const struct planner *planner, const struct mx_tensor *tensor)
{
    if (mx_ends_with(tensor->name, ".rotary_emb.inv_freq")) return true;
    const struct mx_tensor_spec head = {.role = MX_ROLE_HEAD, .layer = -1};
    struct mx_tensor_source source;
    if (!planner->arch->tied || !mx_tensor_source(planner->arch, &planner->world, &head, 0, &source)) return false;
    const size_t length = strlen(source.module);
    return strncmp(tensor->name, source.module, length) == 0 && strcmp(tensor->name + length, ".weight") == 0;
}

static mx_status plan_all(struct planner *planner)
{
    planner->world = mx_names_world(planner->arch, mx_checkpoint_has_name, planner->source);
    MX_TRY(mx_tensors_each(planner->arch, note_matrix, planner));
    qsort(planner->matrices, planner->matrix_count, sizeof *planner->matrices, compare_modules);
    MX_TRY(mx_tensors_each(planner->arch, plan_experts, planner));
    for (size_t i = 0; i < planner->source->count; i++) {
        const struct mx_tensor *tensor = planner->source->tensors[i];
        if (planner->used[i] || is_dropped(planner, tensor)) continue;
        struct mx_plan_part *part = mx_arena_array(&planner->plan->arena, 1, sizeof *part);
        if (!part) return no_memory(planner);
        part->tensor = tensor;
        MX_TRY(add_job(planner, tensor->name, tensor->rank, tensor->shape, part, 1, tensor->elements));
    }
    return MX_OK;
}

mx_status mx_plan_conversion(struct mx_plan *plan, const struct mx_checkpoint *source, const struct mx_arch *arch,
                             const struct mx_quant *quant, struct mx_error *err)
{
    struct planner planner = {.plan = plan, .source = source, .arch = arch, .quant = *quant, .err = err};
    *plan = (struct mx_plan){0};
    planner.family = mx_family_find(arch->model_type);
    if (!planner.family || !planner.family->mlx_names || !arch->names) {
        return mx_fail(err, MX_ERR_UNSUPPORTED,
                       "%s: cannot convert the model type \"%.60s\" to MLX: its tensors would "
                       "have other names there",
                       source->directory, arch->model_type);
    }
    if (source->quantization.kind != MX_QUANT_NONE) {
        return mx_fail(err, MX_ERR_ARGUMENT, "%s: its weights are quantized already; start from the original model",
                       source->directory);
    }
    /* A fused stack gives two jobs, every other tensor at most one; a job gives at most three outputs. */
    const size_t jobs = 2 * source->count;
    plan->jobs = mx_arena_array(&plan->arena, jobs, sizeof *plan->jobs);
    plan->outputs = mx_arena_array(&plan->arena, 3 * jobs, sizeof *plan->outputs);
    planner.used = mx_arena_array(&plan->arena, source->count, sizeof *planner.used);
    if (!plan->jobs || !plan->outputs || !planner.used) return no_memory(&planner);
    const mx_status status = plan_all(&planner);
    free(planner.matrices);
    MX_TRY(status);
    for (size_t i = 0; i < plan->job_count; i++) {
        plan->source_elements += plan->jobs[i].part_count * plan->jobs[i].part_elements;
    }
    return MX_OK;
}

void mx_plan_free(struct mx_plan *plan)
{
    mx_arena_free(&plan->arena);
    *plan = (struct mx_plan){0};
}
