/* regions.h. A ring that has not wrapped yet holds its first blocks only; one that has is visited whole. */
#include "cache/regions.h"

#include "base/checked.h"

static bool visit_side(const struct mx_cache *cache, const struct kv_layer *layer, const struct kv_run *run,
                       mx_cache_visitor *visitor, void *context)
{
    const struct mx_kv_side *side = &run->layout;
    const uint64_t held = (cache->length + MX_BLOCK - 1) / MX_BLOCK;
    const bool coded = side->repr != MX_REPR_FP16;
    const uint64_t main_blocks = mx_smaller(side->blocks, coded ? layer->encoded : held);
    for (uint32_t head = 0; head < layer->row->kv_heads; head++) {
        uint8_t *base = run->base + head * side->bytes;
        if (!visitor(context, base, main_blocks * run->code_bytes)) return false;
        if (!coded) continue;
        if (!visitor(context, base + side->scales_at, main_blocks * mx_repr_scale_bytes(side->repr)) ||
            !visitor(context, base + side->near_at, mx_smaller(side->near, held) * run->fp16_bytes) ||
            !visitor(context, base + side->sinks_at, mx_smaller(side->sinks, held) * run->fp16_bytes)) {
            return false;
        }
    }
    return true;
}

bool mx_cache_visit(const struct mx_cache *cache, mx_cache_visitor *visitor, void *context)
{
    for (uint32_t i = 0; i < cache->arch->layer_count; i++) {
        const struct kv_layer *layer = &cache->layers[i];
        if (layer->owner != i || layer->row->attention == MX_ATTENTION_NONE) continue;
        if (!visit_side(cache, layer, &layer->k, visitor, context)) return false;
        if (!visit_side(cache, layer, &layer->v, visitor, context)) return false;
        const size_t numbers = mx_kv_constant_numbers(cache->arch, &cache->setup, i);
        if (numbers && !visitor(context, (uint8_t *)layer->constant.mean, numbers * sizeof(float))) return false;
    }
    return true;
}
