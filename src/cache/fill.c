/* A sequence full of noise: for benchmarks, which need a long context and not its content. */
#include "base/random.h"
#include "cache/center.h"
#include "cache/regions.h"

/* Magnitudes of [0.25, 0.5), either sign. */
static void fill_fp16(uint8_t *bytes, size_t length, struct mx_random *random)
{
    uint16_t *halves = (uint16_t *)(void *)bytes;
    const size_t count = length / sizeof *halves;
    for (size_t i = 0; i < count; i += 4) {
        uint64_t bits = mx_random_u64(random);
        for (size_t j = i; j < i + 4 && j < count; j++, bits >>= 16) halves[j] = (uint16_t)((bits & 0x83ff) | 0x3400);
    }
}

static void fill_half(struct mx_sequence *sequence, uint32_t layer, const struct kv_half *half,
                      struct mx_random *random)
{
    const struct mx_kv_half *layout = &half->layout;
    const uint64_t blocks = kv_main_blocks(sequence, layer, half);
    for (uint32_t head = 0; head < layout->heads; head++) {
        for (uint64_t b = 0; b < blocks; b++) {
            uint8_t *codes = kv_codes(sequence, half, head, b);
            if (layout->repr == MX_REPR_FP16) {
                fill_fp16(codes, half->code_bytes, random);
                continue;
            }
            for (size_t i = 0; i < half->code_bytes; i++) codes[i] = (uint8_t)(mx_random_u64(random) >> 56);
            uint16_t *scales = kv_scales(sequence, half, head, b);
            for (size_t i = 0; i < MX_BLOCK; i++) scales[i] = 0x2000; /* 1/128 */
        }
        if (layout->repr == MX_REPR_FP16) continue;
        uint8_t *own = kv_own(sequence, half, head);
        fill_fp16(own + layout->recent_at, layout->recent * half->fp16_bytes, random);
        fill_fp16(own + layout->sinks_at, layout->sinks * half->fp16_bytes, random);
    }
}

mx_status mx_sequence_fill_random(struct mx_sequence *sequence, uint64_t length, uint64_t seed, struct mx_error *err)
{
    const struct mx_kv_plan *plan = sequence->plan;
    mx_sequence_clear(sequence);
    MX_TRY(mx_sequence_reserve(sequence, length, err));
    sequence->length = length;
    struct mx_random random = {seed};
    for (uint32_t i = 0; i < plan->arch->layer_count; i++) {
        const struct kv_layer *layer = &plan->layers[i];
        if (!layer->owns) continue;
        sequence->held[i].encoded = length ? kv_first_recent(plan, (length - 1) / MX_BLOCK) : 0;
        fill_half(sequence, i, &layer->k, &random);
        fill_half(sequence, i, &layer->v, &random);
        if (layer->shape.indexer_dim)
            fill_fp16(sequence->own + layer->indexer_at, plan->context * layer->shape.indexer_dim * sizeof(uint16_t),
                      &random);
        kv_center_decide_from_noise(sequence, i);
    }
    return MX_OK;
}
