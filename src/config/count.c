/* Counting what a description implies: elements in the caches and of recurrent states, parameters. */
#include "config/tensors.h"

uint32_t mx_arch_cache_layers(const struct mx_arch *arch)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < arch->layer_count; i++) count += mx_layer_owns_cache(&arch->layers[i]);
    return count;
}

uint32_t mx_arch_recurrent_layers(const struct mx_arch *arch)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < arch->layer_count; i++) count += mx_layer_recurs(&arch->layers[i]);
    return count;
}

uint64_t mx_arch_cache_elements(const struct mx_arch *arch, uint64_t tokens)
{
    uint64_t total = arch->cross_elements;
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        const struct mx_kv_shape shape = mx_layer_kv_shape(&arch->layers[i]);
        /* The newest token joins the window only when the next one is computed. */
        const bool windowed = shape.window && !arch->layers[i].attention.keeps_all;
        const uint64_t held = windowed && tokens >= shape.window ? shape.window - 1 : tokens;
        /* What we keep twice counts once, as the reference keeps it. */
        const uint32_t v_dim = arch->layers[i].attention.differential ? shape.v_dim / 2 : shape.v_dim;
        const uint32_t k_dim = shape.k_dim - (arch->layers[i].attention.dynamic_mask ? MX_MASK_DIMS : 0);
        const uint64_t per_token = (uint64_t)shape.kv_heads * (k_dim + v_dim) + shape.indexer_dim;
        total += held * per_token * shape.copies;
        if (shape.compress) total += tokens / shape.compress * shape.compressed_dim * shape.copies;
    }
    return total;
}

uint64_t mx_arch_state_elements(const struct mx_arch *arch)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        const struct mx_state_shape shape = mx_layer_state_shape(&arch->layers[i]);
        total += shape.state + shape.conv;
    }
    return total;
}

static mx_status add_tensor(void *context, const struct mx_tensor_spec *spec)
{
    struct mx_parameters *count = context;
    const uint64_t one = spec->rows * spec->cols + (spec->bias ? spec->rows : 0);
    const uint64_t all = spec->count ? spec->count : 1, used = spec->used ? spec->used : all;
    uint64_t total, read;
    if (__builtin_mul_overflow(all, one, &total) || __builtin_mul_overflow(used, one, &read) ||
        __builtin_add_overflow(count->read, spec->idle ? 0 : read, &count->read) ||
        __builtin_add_overflow(count->total, total, &total)) { /* no model: the sizes of a hostile file */
        count->overflows = true;
        return MX_OK;
    }
    if (spec->repeated) return MX_OK;
    count->total = total;
    count->active += spec->idle ? 0 : read;
    if (spec->role == MX_ROLE_EMBEDDING) count->embedding = one;
    return MX_OK;
}

struct mx_parameters mx_arch_parameters(const struct mx_arch *arch)
{
    struct mx_parameters count = {.complete = arch->parameters_complete};
    mx_tensors_each(arch, add_tensor, &count);
    if (!arch->tied) { /* a token reads one row of it */
        count.active -= count.embedding;
        count.read -= count.embedding;
    }
    if (count.overflows) count = (struct mx_parameters){.overflows = true};
    return count;
}
