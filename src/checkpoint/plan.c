/* Planning a conversion. The rules are those of mlx-lm (docs/formats.md): every matrix whose columns are a multiple of
 * the general group is quantized, the embedding too; norms, biases and other vectors never. */
#include "checkpoint/plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "checkpoint/checkpoint_impl.h"
#include "checkpoint/floats.h"

/* Model types that keep their Hugging Face names in MLX, but for the stacking of experts; and the router that mlx-lm
 * keeps at 8 bits in groups of 64, if any. A type that is missing here would come out with names that MLX does not
 * know. */
static const struct convertible {
    const char *model_type;
    const char *router8;
} convertible[] = {
    {"llama", NULL},   {"mistral", NULL},   {"qwen2", NULL},
    {"qwen3", NULL},   {"qwen2_moe", NULL}, {"qwen3_moe", ".mlp.gate"},
    {"mixtral", NULL}, {"phi", NULL},       {"phi3", NULL},
    {"gemma", NULL},   {"gemma2", NULL},    {"starcoder2", NULL},
    {"cohere", NULL},
};
static const struct mx_quant router_quant = {MX_QUANT_AFFINE, 8, 64};

struct planner {
    struct mx_plan *plan;
    const struct mx_checkpoint *source;
    const struct mx_arch *arch;
    const struct convertible *family;
    struct mx_quant quant;
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

/* How a weight [.., rows, cols] is quantized; bits 0 if it is not. */
static struct mx_quant quant_for(const struct planner *planner, const char *module, int rank, size_t cols)
{
    const struct mx_quant plain = {MX_QUANT_AFFINE, 0, 0};
    if (rank < 2 || cols == 0 || cols % (size_t)planner->quant.group != 0) return plain;
    if (!planner->family->router8 || !mx_ends_with(module, planner->family->router8)) return planner->quant;
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
    if (job->floats && weight) job->quant = quant_for(planner, job->module, rank, job->cols);
    job->override = job->quant.bits && planner->family->router8 && mx_ends_with(job->module, planner->family->router8);
    plan->parameters += part_count * part_elements;
    bool stored = true;
    if (job->quant.bits) {
        const size_t words = job->cols / 32 * (size_t)job->quant.bits, groups = job->cols / (size_t)job->quant.group;
        stored &= add_output(planner, job->module, ".weight", MX_STORAGE_U32, rank, shape, words);
        stored &= add_output(planner, job->module, ".scales", storage_of(job->dtype), rank, shape, groups);
        stored &= add_output(planner, job->module, ".biases", storage_of(job->dtype), rank, shape, groups);
    } else {
        stored &= add_output(planner, name, "", job->floats ? storage_of(job->dtype) : storage, rank, shape, job->cols);
    }
    return stored ? MX_OK : no_memory(planner);
}

/* ---- experts ---- */

/* "model.layers.%u." and "mlp.experts.%u.up_proj" with their numbers, and ending; the caller frees. */
static char *layer_name(const struct planner *planner, uint32_t layer, const char *pattern, uint32_t expert,
                        const char *ending)
{
    const char *const patterns[] = {planner->arch->names.layer, pattern};
    const uint32_t numbers[] = {layer, expert};
    struct mx_str name = {0};
    for (int i = 0; i < 2; i++) {
        const char *place = strstr(patterns[i], "%u");
        const size_t before = place ? (size_t)(place - patterns[i]) : strlen(patterns[i]);
        mx_str_append(&name, patterns[i], before);
        if (place) mx_str_printf(&name, "%u%s", numbers[i], place + 2);
    }
    mx_str_puts(&name, ending);
    if (mx_str_failed(&name)) mx_str_free(&name);
    return name.data;
}

/* The tensor of that name, marked as used; NULL if there is none. */
static const struct mx_tensor *take(struct planner *planner, const char *name)
{
    const struct mx_checkpoint *source = planner->source;
    const struct mx_tensor *tensor = name ? mx_checkpoint_find(source, name) : NULL;
    if (tensor) planner->used[mx_checkpoint_index(source, name)] = true;
    return tensor;
}

/* Matrices of one kind, expert by expert, into a stack. Nothing happens if expert 0 is not there. */
static mx_status stack_experts(struct planner *planner, uint32_t layer, const char *expert_name,
                               const char *stacked_name)
{
    const uint32_t experts = planner->arch->experts.count;
    if (!expert_name || !stacked_name) return MX_OK;
    struct mx_plan_part *parts = NULL;
    const struct mx_tensor *first = NULL;
    for (uint32_t expert = 0; expert < experts; expert++) {
        char *name = layer_name(planner, layer, expert_name, expert, ".weight");
        if (!name) return no_memory(planner);
        const struct mx_tensor *tensor = take(planner, name);
        mx_status status = MX_OK;
        if (expert == 0 && tensor) {
            first = tensor;
            parts = mx_arena_array(&planner->plan->arena, experts, sizeof *parts);
            if (!parts) status = no_memory(planner);
        } else if (expert > 0 && !tensor) {
            status = mx_fail(planner->err, MX_ERR_FORMAT, "%s: tensor \"%.200s\" is missing",
                             planner->source->directory, name);
        }
        if (status == MX_OK && tensor &&
            (tensor->rank != 2 || tensor->storage != first->storage || tensor->shape[0] != first->shape[0] ||
             tensor->shape[1] != first->shape[1])) {
            status = mx_fail(planner->err, MX_ERR_FORMAT,
                             "%s: tensor \"%.200s\" differs in shape or dtype from that of the first expert",
                             tensor->file, name);
        }
        free(name);
        MX_TRY(status);
        if (!tensor) return MX_OK;
        parts[expert].tensor = tensor;
    }
    if (!first) return MX_OK;
    const size_t shape[] = {experts, first->shape[0], first->shape[1]};
    char *name = layer_name(planner, layer, stacked_name, 0, ".weight");
    const mx_status status =
        name ? add_job(planner, name, 3, shape, parts, experts, first->elements) : no_memory(planner);
    free(name);
    return status;
}

/* Rows [half * out, (half + 1) * out) of each expert of a bare stack [experts, halves * out, in]. */
static mx_status split_stack(struct planner *planner, uint32_t layer, const struct mx_tensor *stack, size_t half,
                             size_t halves, const char *stacked_name)
{
    const size_t experts = stack->shape[0], out = stack->shape[1] / halves, elements = out * stack->shape[2];
    struct mx_plan_part *parts = mx_arena_array(&planner->plan->arena, experts, sizeof *parts);
    char *name = layer_name(planner, layer, stacked_name, 0, ".weight");
    mx_status status = name && parts ? MX_OK : no_memory(planner);
    if (status == MX_OK) {
        for (size_t e = 0; e < experts; e++) parts[e] = (struct mx_plan_part){stack, (e * halves + half) * elements};
        const size_t shape[] = {experts, out, stack->shape[2]};
        status = add_job(planner, name, 3, shape, parts, experts, elements);
    }
    free(name);
    return status;
}

/* The stacks of transformers 5: gate and up in one, gate first. */
static mx_status split_fused(struct planner *planner, uint32_t layer)
{
    const struct mx_tensor_names *names = &planner->arch->names;
    if (!names->fused_gate_up || !names->fused_down) return MX_OK;
    char *both_name = layer_name(planner, layer, names->fused_gate_up, 0, "");
    char *down_name = layer_name(planner, layer, names->fused_down, 0, "");
    const struct mx_tensor *both = take(planner, both_name), *down = take(planner, down_name);
    free(both_name);
    free(down_name);
    const size_t experts = planner->arch->experts.count;
    const struct mx_tensor *const found[] = {both, down};
    for (int i = 0; i < 2; i++) {
        const struct mx_tensor *tensor = found[i];
        if (!tensor || (tensor->rank == 3 && tensor->shape[0] == experts && tensor->shape[1] % 2 == 0)) continue;
        char shape[160];
        return mx_fail(planner->err, MX_ERR_FORMAT, "%s: tensor \"%.200s\": %s is no stack of %zu experts",
                       tensor->file, tensor->name, mx_shape_text(tensor->rank, tensor->shape, shape), experts);
    }
    if (both) {
        MX_TRY(split_stack(planner, layer, both, 0, 2, names->stacked_gate));
        MX_TRY(split_stack(planner, layer, both, 1, 2, names->stacked_up));
    }
    return down ? split_stack(planner, layer, down, 0, 1, names->stacked_down) : MX_OK;
}

/* ---- the rest ---- */

static bool is_dropped(const struct planner *planner, const struct mx_tensor *tensor)
{
    if (mx_ends_with(tensor->name, ".rotary_emb.inv_freq")) return true;
    return planner->arch->tied && strcmp(tensor->name, "lm_head.weight") == 0;
}

static mx_status plan_all(struct planner *planner)
{
    const struct mx_tensor_names *names = &planner->arch->names;
    if (planner->arch->experts.count && names->layer) {
        for (uint32_t layer = 0; layer < planner->arch->layer_count; layer++) {
            MX_TRY(stack_experts(planner, layer, names->expert_gate, names->stacked_gate));
            MX_TRY(stack_experts(planner, layer, names->expert_up, names->stacked_up));
            MX_TRY(stack_experts(planner, layer, names->expert_down, names->stacked_down));
            MX_TRY(split_fused(planner, layer));
        }
    }
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
    for (size_t i = 0; i < sizeof convertible / sizeof *convertible; i++) {
        if (strcmp(arch->model_type, convertible[i].model_type) == 0) planner.family = &convertible[i];
    }
    if (!planner.family) {
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
    MX_TRY(plan_all(&planner));
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
