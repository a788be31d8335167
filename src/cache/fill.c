/* A cache full of noise: for benchmarks, which need a long context and not its content. */
#include "base/random.h"
#include "cache/constant.h"

/* Magnitudes of [0.25, 0.5), either sign. */
static void fill_fp16(uint16_t *halves, uint64_t count, struct mx_random *random)
{
    for (uint64_t i = 0; i < count; i += 4) {
        uint64_t bits = mx_random_u64(random);
        for (uint64_t j = i; j < i + 4 && j < count; j++, bits >>= 16) {
            halves[j] = (uint16_t)((bits & 0x83ff) | 0x3400);
        }
    }
}

static void fill_side(const struct kv_layer *layer, const struct kv_run *run, uint64_t held, struct mx_random *random)
{
    const struct mx_kv_side *side = &run->layout;
    const uint64_t halves = run->fp16_bytes / sizeof(uint16_t);
    for (uint32_t head = 0; head < layer->row->kv_heads; head++) {
        uint8_t *base = run->base + head * side->bytes;
        const uint64_t blocks = held < side->blocks ? held : side->blocks;
        if (side->repr == MX_REPR_FP16) {
            fill_fp16((uint16_t *)(void *)base, blocks * halves, random);
            continue;
        }
        for (uint64_t i = 0; i < blocks * run->code_bytes; i++) base[i] = (uint8_t)(mx_random_u64(random) >> 56);
        uint16_t *scales = (uint16_t *)(void *)(base + side->scales_at);
        for (uint64_t i = 0; i < blocks * MX_BLOCK; i++) scales[i] = 0x2000; /* 1/128 */
        fill_fp16((uint16_t *)(void *)(base + side->near_at), side->near * halves, random);
        fill_fp16((uint16_t *)(void *)(base + side->sinks_at), side->sinks * halves, random);
    }
}

void mx_cache_fill_random(struct mx_cache *cache, uint64_t length, uint64_t seed)
{
    mx_cache_clear(cache);
    cache->length = length < cache->context ? length : cache->context;
    struct mx_random random = {seed};
    const uint64_t held = (cache->length + MX_BLOCK - 1) / MX_BLOCK;
    for (uint32_t i = 0; i < cache->arch->layer_count; i++) {
        struct kv_layer *layer = &cache->layers[i];
        if (layer->owner != i || layer->row->attention == MX_ATTENTION_NONE) continue;
        fill_side(layer, &layer->k, held, &random);
        fill_side(layer, &layer->v, held, &random);
        layer->encoded = cache->length ? kv_first_near(cache, (cache->length - 1) / MX_BLOCK) : 0;
        kv_constant_decide_from_noise(layer);
    }
}
