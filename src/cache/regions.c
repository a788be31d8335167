/* regions.h. A ring that has not wrapped yet holds its first blocks only; one that has is visited whole. */
#include "cache/regions.h"

#include "base/checked.h"

static uint64_t held_blocks(const struct mx_sequence *sequence)
{
    return (sequence->length + MX_BLOCK - 1) / MX_BLOCK;
}

uint64_t kv_main_blocks(const struct mx_sequence *sequence, uint32_t layer, const struct kv_half *half)
{
    const bool coded = half->layout.repr != MX_REPR_FP16;
    const uint64_t held = coded ? sequence->held[layer].encoded : held_blocks(sequence);
    return half->layout.paged ? held : mx_min(half->layout.blocks, held);
}

/* Codes, then scales, of the paged main blocks [0, blocks) of a KV head. */
static void visit_pages(const struct mx_sequence *sequence, const struct kv_half *half, uint32_t head, uint64_t blocks,
                        kv_visitor *visitor, void *context)
{
    for (uint64_t b = 0; b < blocks; b += MX_PAGE_BLOCKS) {
        const uint64_t count = mx_min(blocks - b, MX_PAGE_BLOCKS);
        visitor(context, kv_codes(sequence, half, head, b), count * half->code_bytes);
    }
    for (uint64_t b = 0; half->layout.page_scales > 0 && b < blocks; b += MX_PAGE_BLOCKS) {
        const uint64_t count = mx_min(blocks - b, MX_PAGE_BLOCKS);
        visitor(context, (uint8_t *)kv_scales(sequence, half, head, b), count * mx_repr_scale_bytes(half->layout.repr));
    }
}

static void visit_half(const struct mx_sequence *sequence, uint32_t index, const struct kv_half *half, bool pages,
                       kv_visitor *visitor, void *context)
{
    const struct mx_kv_half *layout = &half->layout;
    const uint64_t held = held_blocks(sequence), blocks = kv_main_blocks(sequence, index, half);
    const bool coded = layout->repr != MX_REPR_FP16;
    for (uint32_t head = 0; head < layout->heads; head++) {
        /* A paged half that is not coded has nothing of its own. */
        uint8_t *own = coded || !layout->paged ? kv_own(sequence, half, head) : NULL;
        if (layout->paged) {
            if (pages) visit_pages(sequence, half, head, blocks, visitor, context);
        } else {
            visitor(context, own, blocks * half->code_bytes);
            if (coded) visitor(context, own + layout->scales_at, blocks * mx_repr_scale_bytes(layout->repr));
        }
        if (!coded) continue;
        visitor(context, own + layout->recent_at, mx_min(layout->recent, held) * half->fp16_bytes);
        visitor(context, own + layout->sinks_at, mx_min(layout->sinks, held) * half->fp16_bytes);
    }
}

static void visit(const struct mx_sequence *sequence, bool pages, kv_visitor *visitor, void *context)
{
    const struct mx_kv_plan *plan = sequence->plan;
    for (uint32_t i = 0; i < plan->arch->layer_count; i++) {
        const struct kv_layer *layer = &plan->layers[i];
        if (layer->owns) {
            visit_half(sequence, i, &layer->k, pages, visitor, context);
            visit_half(sequence, i, &layer->v, pages, visitor, context);
        }
        const size_t floats = (size_t)layer->shape.kv_heads * layer->shape.k_dim * (layer->center.rotates ? 2 : 1);
        if (layer->center.centered) visitor(context, sequence->own + layer->center.at, floats * sizeof(float));
        if (layer->owns && layer->shape.indexer_dim) {
            visitor(context, sequence->own + layer->indexer_at,
                    held_blocks(sequence) * mx_repr_code_bytes(MX_REPR_FP16, layer->shape.indexer_dim));
        }
        if (layer->state_floats) {
            visitor(context, sequence->own + layer->state_at, layer->state_floats * sizeof(float));
        }
    }
}

void kv_visit(const struct mx_sequence *sequence, kv_visitor *visitor, void *context)
{
    visit(sequence, true, visitor, context);
}

void kv_visit_own(const struct mx_sequence *sequence, kv_visitor *visitor, void *context)
{
    visit(sequence, false, visitor, context);
}
