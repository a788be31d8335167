/* Opening a plan: what each layer holds, where it stands in pages and in what a sequence owns, rotations and angles. */
#include "cache/plan.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/checked.h"
#include "base/random.h"
#include "cache/center.h"
#include "cache/internal.h"

/* Codes hold rotated vectors: turbo always, since its codebook is that of a normal distribution; int8 keys where a
 * rotation exists, since it spreads outlier channels over all coordinates and one scale then serves them better. */
static bool is_rotated(enum mx_repr repr, enum mx_kv_which which, uint32_t dim)
{
    if (repr == MX_REPR_TURBO4 || repr == MX_REPR_TURBO3) return true;
    return repr == MX_REPR_INT8 && which == MX_KV_K && mx_hadamard_exists(dim);
}

static mx_status check_layer(const struct mx_arch *arch, uint32_t index, struct mx_error *err)
{
    const struct mx_kv_shape shape = mx_layer_kv_shape(&arch->layers[index]);
    if (shape.attention == MX_ATTENTION_NONE) return MX_OK;
    if (shape.copies > 1) {
        return mx_fail(err, MX_ERR_UNSUPPORTED,
                       "layer %u of this %s model keeps several caches, which the engine does not run", index,
                       arch->model_type);
    }
    if (shape.heads == 0 || shape.kv_heads == 0 || shape.heads % shape.kv_heads != 0 || shape.k_dim == 0 ||
        shape.v_dim == 0) {
        return mx_fail(err, MX_ERR_FORMAT, "layer %u has %u query heads of width %u for %u KV heads", index,
                       shape.heads, shape.k_dim, shape.kv_heads);
    }
    if (shape.k_dim > MX_KV_MAX_DIM || shape.v_dim > MX_KV_MAX_DIM) {
        return mx_fail(err, MX_ERR_LIMIT, "layer %u has heads of %u and %u numbers; the cache takes up to %d", index,
                       shape.k_dim, shape.v_dim, MX_KV_MAX_DIM);
    }
    if (shape.copies == 0 && (shape.shares < 0 || shape.shares >= (int32_t)index)) {
        return mx_fail(err, MX_ERR_FORMAT, "layer %u has no cache of its own and shares no earlier layer's", index);
    }
    return MX_OK;
}

/* Follows `shares` to the layer that owns keys and values. */
static uint32_t find_owner(const struct mx_kv_plan *plan, uint32_t layer)
{
    while (plan->layers[layer].shape.attention != MX_ATTENTION_NONE && plan->layers[layer].shape.copies == 0) {
        layer = (uint32_t)plan->layers[layer].shape.shares;
    }
    return layer;
}

static const struct mx_hadamard *find_hadamard(struct mx_kv_plan *plan, uint32_t dim, struct mx_error *err)
{
    for (uint32_t i = 0; i < plan->hadamard_count; i++) {
        if (plan->hadamards[i].dim == dim) return &plan->hadamards[i];
    }
    struct mx_hadamard *fresh = &plan->hadamards[plan->hadamard_count];
    if (mx_hadamard_open(fresh, dim, err) != MX_OK) return NULL;
    plan->hadamard_count++;
    return fresh;
}

/* Places one half of a layer behind what was placed before, and gives it its rotation; `signs` has room for its
 * diagonal. */
static mx_status place_half(struct mx_kv_plan *plan, uint32_t layer, enum mx_kv_which which, float *signs,
                            struct mx_error *err)
{
    struct kv_half *half = which == MX_KV_K ? &plan->layers[layer].k : &plan->layers[layer].v;
    struct mx_kv_half *layout = &half->layout;
    mx_kv_half_layout(layout, plan->arch, &plan->setup, layer, which, plan->context);
    half->code_bytes = mx_repr_code_bytes(layout->repr, layout->dim);
    half->fp16_bytes = mx_repr_code_bytes(MX_REPR_FP16, layout->dim);
    half->own_at = plan->own_bytes;
    half->codes_at = plan->page_bytes;
    half->scales_at = half->codes_at + layout->heads * layout->page_codes;
    plan->own_bytes += layout->heads * layout->bytes;
    plan->page_bytes = half->scales_at + layout->heads * layout->page_scales;
    plan->coded |= layout->repr != MX_REPR_FP16;
    plan->windows |= !layout->paged;
    plan->has_pages |= layout->paged;
    plan->pages_hold_fp16 |= layout->paged && layout->repr == MX_REPR_FP16;
    half->rotated = is_rotated(layout->repr, which, layout->dim);
    if (!half->rotated) return MX_OK;
    const struct mx_hadamard *hadamard = find_hadamard(plan, layout->dim, err);
    if (!hadamard) return err ? err->status : MX_ERR_MEMORY;
    struct mx_random seeds = {plan->setup.sign_seed};
    struct mx_random random = {mx_random_u64(&seeds) + 2 * (uint64_t)layer + (which == MX_KV_V)};
    for (uint32_t i = 0; i < layout->dim; i++) signs[i] = mx_random_u64(&random) >> 63 ? -1.0f : 1.0f;
    half->rotation =
        (struct mx_kv_rotation){signs, hadamard->matrix, hadamard->transposed, layout->dim, hadamard->base};
    return MX_OK;
}

static mx_status place_layers(struct mx_kv_plan *plan, struct mx_error *err)
{
    const struct mx_arch *arch = plan->arch;
    size_t sign_count = 0;
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        sign_count += plan->layers[i].shape.k_dim + plan->layers[i].shape.v_dim;
    }
    plan->signs = malloc((sign_count + 1) * sizeof(float));
    plan->hadamards = calloc(2 * (size_t)arch->layer_count + 1, sizeof *plan->hadamards);
    if (!plan->signs || !plan->hadamards) return mx_fail_memory(err, "the cache's rotations", sign_count * 4);
    float *signs = plan->signs;
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        struct kv_layer *layer = &plan->layers[i];
        if (!layer->owns) continue;
        MX_TRY(place_half(plan, i, MX_KV_K, signs, err));
        MX_TRY(place_half(plan, i, MX_KV_V, signs + layer->shape.k_dim, err));
        signs += layer->shape.k_dim + layer->shape.v_dim;
        const uint64_t floats = mx_kv_offset_floats(arch, &plan->setup, i);
        layer->center.centered = floats > 0;
        layer->center.rotates = floats > (uint64_t)layer->shape.kv_heads * layer->shape.k_dim;
        layer->center.at = plan->own_bytes;
        plan->centers |= floats > 0;
        plan->own_bytes += mx_round_up(floats * sizeof(float), 64);
        layer->indexer_at = plan->own_bytes;
        plan->own_bytes += mx_round_up(plan->context * layer->shape.indexer_dim * sizeof(uint16_t), 64);
    }
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        const struct mx_state_shape state = mx_layer_state_shape(&arch->layers[i]);
        plan->layers[i].state_at = plan->own_bytes;
        plan->layers[i].state_floats = state.state + state.conv;
        plan->own_bytes += plan->layers[i].state_floats * sizeof(float);
        plan->mark_bytes += plan->layers[i].state_floats * sizeof(float);
    }
    plan->states = plan->mark_bytes > 0;
    plan->marks_at = plan->own_bytes;
    plan->own_bytes += plan->marks * plan->mark_bytes;
    return MX_OK;
}

static mx_status open_parts(struct mx_kv_plan *plan, const struct mx_key_bias *key_bias, struct mx_error *err)
{
    const struct mx_arch *arch = plan->arch;
    plan->layers = calloc(arch->layer_count + 1, sizeof *plan->layers);
    if (!plan->layers) return mx_fail_memory(err, "the cache's layers", arch->layer_count * sizeof *plan->layers);
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        struct kv_layer *layer = &plan->layers[i];
        layer->shape = mx_layer_kv_shape(&arch->layers[i]);
        layer->owner = find_owner(plan, i);
        layer->owns = layer->owner == i && layer->shape.attention != MX_ATTENTION_NONE;
        plan->shares |= layer->owner != i;
    }
    MX_TRY(place_layers(plan, err));
    return kv_center_open(plan, key_bias, err);
}

mx_status mx_kv_plan_open(struct mx_kv_plan **out, const struct mx_arch *arch, const struct mx_kv_plan_options *options,
                          struct mx_error *err)
{
    *out = NULL;
    for (uint32_t i = 0; i < arch->layer_count; i++) MX_TRY(check_layer(arch, i, err));
    if (options->context == 0 || options->context > MX_ARCH_MAX_CONTEXT) {
        return mx_fail(err, MX_ERR_ARGUMENT, "a cache needs a context of 1 to %d tokens", MX_ARCH_MAX_CONTEXT);
    }
    struct mx_kv_plan *plan = calloc(1, sizeof *plan);
    if (!plan) return mx_fail_memory(err, "a cache's plan", sizeof *plan);
    plan->arch = arch;
    plan->setup = options->setup;
    plan->context = mx_round_up(options->context, MX_CONTEXT_STEP);
    plan->marks = options->marks < MX_MARKS_MOST ? options->marks : MX_MARKS_MOST;
    plan->kernels = mx_kv_kernels(options->cpu);
    const mx_status status = open_parts(plan, options->key_bias, err);
    if (status != MX_OK) {
        mx_kv_plan_close(plan);
        return status;
    }
    *out = plan;
    return MX_OK;
}

void mx_kv_plan_close(struct mx_kv_plan *plan)
{
    if (!plan) return;
    for (uint32_t i = 0; i < plan->hadamard_count; i++) mx_hadamard_close(&plan->hadamards[i]);
    free(plan->hadamards);
    free(plan->signs);
    free(plan->angle_tables);
    free(plan->layers);
    free(plan);
}

const struct mx_arch *mx_kv_plan_arch(const struct mx_kv_plan *plan)
{
    return plan->arch;
}

const struct mx_kv_setup *mx_kv_plan_setup(const struct mx_kv_plan *plan)
{
    return &plan->setup;
}

uint64_t mx_kv_plan_context(const struct mx_kv_plan *plan)
{
    return plan->context;
}

uint32_t mx_kv_plan_marks(const struct mx_kv_plan *plan)
{
    return plan->marks;
}

bool mx_kv_plan_shares_layers(const struct mx_kv_plan *plan)
{
    return plan->shares;
}

uint64_t mx_kv_plan_least_shared(const struct mx_kv_plan *plan)
{
    for (uint8_t i = 0; i < plan->arch->rope_count; i++) {
        if (plan->arch->rope[i].type == MX_ROPE_DYNAMIC) return UINT64_MAX;
    }
    return plan->centers ? KV_CENTER_TOKENS : 1;
}

bool mx_kv_plan_cuts_anywhere(const struct mx_kv_plan *plan)
{
    return !plan->coded && !plan->windows && !plan->states;
}
