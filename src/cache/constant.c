/* constant.h. Deciding comes first, then the use of what was decided. */
#include "cache/constant.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/checked.h"

enum {
    FIRST_TOKENS = MX_KV_TILE, /* that the constant is taken from */
    LEAST_TOKENS = 32,         /* a shorter first chunk decides nothing: the first blocks that are encoded do */
};

/* The error of a code grows with the energy of what is coded. Pairs of the bias are taken off, largest first, until
 * what stays is less than this part of the energy by which keys spread (bench/results/k-bias-left.txt). */
static const double bias_left = 0.25;

/* A coordinate's mean is taken off where it holds this many times the energy of its spread: it then stands for later
 * tokens too. Rotary turns what else is constant away within the tokens that are averaged. */
static const double mean_threshold = 2.0;

/* --- opening --- */

/* Angles are taken in double: at position 131072 the rotation that the model applied, whose angles are f32, is within
 * 0.004 radians. What is taken off and what is added to scores are the same here, so that only adds to the spread. */
static void turn(double positions, float frequency, float *cosine, float *sine)
{
    *cosine = (float)cos(positions * (double)frequency);
    *sine = (float)sin(positions * (double)frequency);
}

/* Fills the tables of one pair of coordinates (kernels/kv_kernels.h). */
static void fill_turns(uint32_t pair, uint32_t pairs, float frequency, size_t tiles, float *tile, float *block,
                       float *lane, float *half)
{
    tile += (size_t)2 * pair;
    block += (size_t)4 * MX_KV_TILE_BLOCKS * pair;
    lane += (size_t)2 * MX_BLOCK * pair;
    half += (size_t)MX_BLOCK * pair;
    const double middle = (MX_BLOCK - 1) / 2.0;
    for (size_t i = 0; i < tiles; i++, tile += (size_t)2 * pairs) {
        turn((double)(i * MX_KV_TILE) + middle, frequency, tile, tile + 1);
    }
    for (int i = 0; i < MX_KV_TILE_BLOCKS; i++) {
        float *cosine = block + 2 * i, *sine = cosine + 2 * MX_KV_TILE_BLOCKS;
        turn(MX_BLOCK * i, frequency, cosine, sine);
        cosine[1] = cosine[0];
        sine[1] = sine[0];
    }
    for (int i = 0; i < MX_BLOCK; i++) turn(i - middle, frequency, lane + i, lane + MX_BLOCK + i);
    for (int i = 0; i < MX_BLOCK / 2; i++) turn(i + 0.5, frequency, half + 2 * i, half + 2 * i + 1);
}

/* Cuts the tables of one rotary embedding from memory at *at, and fills them; with `memory` NULL counts bytes. */
static void make_turns(const struct mx_cache *cache, struct mx_kv_turns *turns, const float *inverse, uint8_t *memory,
                       size_t *at)
{
    const size_t tiles = cache->context / MX_KV_TILE + 1;
    const size_t numbers[] = {tiles * 2, (size_t)4 * MX_KV_TILE_BLOCKS, (size_t)2 * MX_BLOCK, MX_BLOCK};
    float *tables[4] = {0};
    for (int i = 0; i < 4; i++) {
        if (memory) tables[i] = (float *)(void *)(memory + *at);
        *at += mx_round_up(numbers[i] * turns->pairs * sizeof(float), 64);
    }
    if (!memory) return;
    for (uint32_t p = 0; p < turns->pairs; p++) {
        fill_turns(p, turns->pairs, inverse[p], tiles, tables[0], tables[1], tables[2], tables[3]);
    }
    turns->tile = tables[0];
    turns->block = tables[1];
    turns->lane = tables[2];
    turns->half = tables[3];
}

/* Whether the layer's runs hold keys whose bias can be taken off. */
static bool has_turned(const struct mx_cache *cache, uint32_t layer, const struct mx_key_bias *key_bias)
{
    return cache->layers[layer].constant.mean && mx_kv_turns_bias(cache->arch, layer) && key_bias &&
           key_bias->bias[layer];
}

/* Cuts all memory that turning takes, as make_turns does. */
static size_t cut_tables(struct mx_cache *cache, const struct mx_key_bias *key_bias, uint8_t *memory)
{
    const struct mx_arch *arch = cache->arch;
    size_t at = 0;
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        const struct mx_layer *row = &arch->layers[i];
        if (!has_turned(cache, i, key_bias)) continue;
        struct mx_kv_turns *turns = &cache->turns[row->rope_index];
        const bool fresh = memory ? !turns->tile : !turns->pairs;
        if (fresh) {
            turns->pairs = arch->rope[row->rope_index].dims / 2;
            turns->interleaved = arch->rope[row->rope_index].interleaved;
            make_turns(cache, turns, key_bias->inverse[row->rope_index], memory, &at);
        }
        const size_t list = mx_round_up(turns->pairs * sizeof(uint16_t), 64);
        const size_t heads = mx_round_up(row->kv_heads * sizeof(struct mx_kv_turning), 64);
        struct kv_constant *constant = &cache->layers[i].constant;
        if (memory) {
            constant->bias = key_bias->bias[i];
            constant->factor = key_bias->factor[row->rope_index];
            constant->turning = (struct mx_kv_turning *)(void *)(memory + at);
            for (uint32_t head = 0; head < row->kv_heads; head++) {
                uint16_t *pairs = (uint16_t *)(void *)(memory + at + heads + head * list);
                constant->turning[head] = (struct mx_kv_turning){turns, pairs, 0};
            }
        }
        at += heads + row->kv_heads * list;
    }
    return at;
}

mx_status kv_constant_open(struct mx_cache *cache, const struct mx_key_bias *key_bias, struct mx_error *err)
{
    for (uint32_t i = 0; i < cache->arch->layer_count; i++) {
        const struct mx_layer *row = &cache->arch->layers[i];
        struct kv_constant *constant = &cache->layers[i].constant;
        if (!constant->mean || !mx_kv_turns_bias(cache->arch, i)) continue;
        constant->turned = constant->mean + (size_t)row->kv_heads * row->k_dim;
    }
    const size_t bytes = cut_tables(cache, key_bias, NULL);
    if (bytes == 0) return MX_OK;
    cache->turn_tables = mx_aligned_alloc(bytes);
    if (!cache->turn_tables) return mx_fail_memory(err, "tables of rotary positions", bytes);
    cut_tables(cache, key_bias, cache->turn_tables);
    return MX_OK;
}

/* --- deciding --- */

static double squared(double x)
{
    return x * x;
}

/* Takes the turned (a, b) of position t off the pair x, y of a key. */
static void turn_off(const struct mx_kv_turns *turns, uint32_t pair, uint32_t t, float a, float b, float *x, float *y)
{
    const float *lane = turns->lane + (size_t)pair * 2 * MX_BLOCK + t % MX_BLOCK;
    float c, s;
    mx_kv_turn(turns, pair, t / MX_BLOCK, &c, &s);
    const float cosine = c * lane[0] - s * lane[MX_BLOCK], sine = c * lane[MX_BLOCK] + s * lane[0];
    *x -= a * cosine - b * sine;
    *y -= b * cosine + a * sine;
}

/* Sum and sum of squares of one coordinate over n keys. */
struct moments {
    double sum, squares;
};

static void add_moment(struct moments *moments, float x)
{
    moments->sum += (double)x;
    moments->squares += squared((double)x);
}

static double spread(const struct moments *moments, uint32_t n)
{
    return moments->squares / n - squared(moments->sum / n);
}

/* Energy by which n keys [n][dim] of a KV head spread about what they share, once the whole bias is taken off. */
static double spread_of_keys(const struct kv_constant *constant, uint32_t head, const float *k, uint32_t n,
                             uint32_t dim)
{
    const struct mx_kv_turns *turns = constant->turning[head].turns;
    const float *bias = constant->bias + (size_t)head * dim, factor = constant->factor;
    double energy = 0;
    for (uint32_t p = 0; p < turns->pairs; p++) {
        const uint32_t i = mx_kv_pair_first(turns, p), j = mx_kv_pair_second(turns, p);
        struct moments first = {0}, second = {0};
        for (uint32_t t = 0; t < n; t++) {
            float x = k[(size_t)t * dim + i], y = k[(size_t)t * dim + j];
            turn_off(turns, p, t, factor * bias[i], factor * bias[j], &x, &y);
            add_moment(&first, x);
            add_moment(&second, y);
        }
        energy += spread(&first, n) + spread(&second, n);
    }
    for (uint32_t i = 2 * turns->pairs; i < dim; i++) {
        struct moments moments = {0};
        for (uint32_t t = 0; t < n; t++) add_moment(&moments, k[(size_t)t * dim + i]);
        energy += spread(&moments, n);
    }
    return energy;
}

/* Lists the pairs in which a KV head's `turned` is not zero. */
static void list_pairs(struct kv_constant *constant, uint32_t head, uint32_t dim)
{
    struct mx_kv_turning *turning = &constant->turning[head];
    const float *turned = constant->turned + (size_t)head * dim;
    turning->count = 0;
    for (uint32_t p = 0; p < turning->turns->pairs; p++) {
        const uint32_t i = mx_kv_pair_first(turning->turns, p), j = mx_kv_pair_second(turning->turns, p);
        if (turned[i] != 0 || turned[j] != 0) turning->pairs[turning->count++] = (uint16_t)p;
    }
}

/* Chooses the pairs of a KV head's bias that are taken off: those of most energy, until at most `left` stays. */
static void choose_pairs(struct kv_constant *constant, uint32_t head, uint32_t dim, double left)
{
    const struct mx_kv_turns *turns = constant->turning[head].turns;
    const float *bias = constant->bias + (size_t)head * dim;
    float *turned = constant->turned + (size_t)head * dim;
    double energy[MX_KV_MAX_DIM / 2], stays = 0;
    for (uint32_t p = 0; p < turns->pairs; p++) {
        energy[p] = squared((double)(constant->factor * bias[mx_kv_pair_first(turns, p)])) +
                    squared((double)(constant->factor * bias[mx_kv_pair_second(turns, p)]));
        stays += energy[p];
    }
    memset(turned, 0, dim * sizeof *turned);
    for (uint32_t taken = 0; taken < turns->pairs && stays > left && isfinite(stays); taken++) {
        uint32_t largest = 0;
        for (uint32_t p = 1; p < turns->pairs; p++) largest = energy[p] > energy[largest] ? p : largest;
        const uint32_t i = mx_kv_pair_first(turns, largest), j = mx_kv_pair_second(turns, largest);
        turned[i] = constant->factor * bias[i];
        turned[j] = constant->factor * bias[j];
        stays -= energy[largest];
        energy[largest] = 0;
    }
    list_pairs(constant, head, dim);
}

/* Decides a KV head's constant from n keys [n][dim] of positions 0 .. n - 1, from which it is taken off on the way. */
static void decide_head(const struct mx_cache *cache, struct kv_constant *constant, uint32_t head, float *k, uint32_t n,
                        uint32_t dim)
{
    const bool all = cache->setup.center == MX_CENTER_ON;
    if (constant->turning) {
        choose_pairs(constant, head, dim, all ? 0 : bias_left * spread_of_keys(constant, head, k, n, dim));
        const struct mx_kv_turning *turning = &constant->turning[head];
        const float *turned = constant->turned + (size_t)head * dim;
        for (uint32_t f = 0; f < turning->count; f++) {
            const uint32_t p = turning->pairs[f];
            const uint32_t i = mx_kv_pair_first(turning->turns, p), j = mx_kv_pair_second(turning->turns, p);
            for (uint32_t t = 0; t < n; t++) {
                float *key = k + (size_t)t * dim;
                turn_off(turning->turns, p, t, turned[i], turned[j], &key[i], &key[j]);
            }
        }
    }
    for (uint32_t i = 0; i < dim; i++) {
        struct moments moments = {0};
        for (uint32_t t = 0; t < n; t++) add_moment(&moments, k[(size_t)t * dim + i]);
        const double mean = moments.sum / n;
        const bool pays = all || squared(mean) > mean_threshold * spread(&moments, n);
        constant->mean[(size_t)head * dim + i] = pays && isfinite(moments.squares) ? (float)mean : 0;
    }
}

void kv_constant_decide(struct mx_cache *cache, struct kv_layer *layer, const float *k, uint32_t n)
{
    if (n < LEAST_TOKENS) return;
    const uint32_t dim = layer->row->k_dim, heads = layer->row->kv_heads;
    float *rows = cache->workers[0].k_tile;
    n = n < FIRST_TOKENS ? n : FIRST_TOKENS;
    for (uint32_t head = 0; head < heads; head++) {
        for (uint32_t t = 0; t < n; t++) {
            memcpy(rows + (size_t)t * dim, k + ((size_t)t * heads + head) * dim, dim * sizeof *rows);
        }
        decide_head(cache, &layer->constant, head, rows, n, dim);
    }
    layer->constant.known = true;
}

void kv_constant_decide_late(struct mx_cache *cache, struct kv_layer *layer, uint64_t end)
{
    const uint32_t dim = layer->row->k_dim, blocks = end < MX_KV_TILE_BLOCKS ? (uint32_t)end : MX_KV_TILE_BLOCKS;
    float *rows = cache->workers[0].k_tile, *panel = cache->workers[0].panel;
    for (uint32_t head = 0; head < layer->row->kv_heads; head++) {
        for (uint32_t b = 0; b < blocks; b++) {
            const uint8_t *block = (const uint8_t *)kv_fp16_block(&layer->k, head, b);
            cache->kernels->k[MX_REPR_FP16].decode(panel, block, NULL, dim);
            for (uint32_t t = 0; t < MX_BLOCK; t++) {
                for (uint32_t i = 0; i < dim; i++) rows[(b * MX_BLOCK + t) * dim + i] = panel[i * MX_BLOCK + t];
            }
        }
        decide_head(cache, &layer->constant, head, rows, blocks * MX_BLOCK, dim);
    }
    layer->constant.known = true;
}

void kv_constant_decide_from_noise(struct kv_layer *layer)
{
    struct kv_constant *constant = &layer->constant;
    const uint32_t dim = layer->row->k_dim;
    if (constant->mean) memset(constant->mean, 0, (size_t)layer->row->kv_heads * dim * sizeof *constant->mean);
    for (uint32_t head = 0; constant->turning && head < layer->row->kv_heads; head++) {
        choose_pairs(constant, head, dim, bias_left * dim);
    }
    constant->known = true;
}

/* --- use --- */

void kv_constant_settle(struct mx_cache *cache)
{
    for (uint32_t i = 0; i < cache->arch->layer_count; i++) {
        struct kv_layer *layer = &cache->layers[i];
        for (uint32_t head = 0; layer->constant.turning && head < layer->row->kv_heads; head++) {
            list_pairs(&layer->constant, head, layer->row->k_dim);
        }
    }
}

void kv_constant_add(const struct mx_cache *cache, const struct kv_layer *layer, uint32_t head, uint64_t b,
                     float factor, float *panel)
{
    const struct kv_constant *constant = &layer->constant;
    if (!constant->mean || !constant->known) return;
    const uint32_t dim = layer->row->k_dim;
    for (uint32_t i = 0; i < dim; i++) {
        const float mean = factor * constant->mean[(size_t)head * dim + i];
        for (uint32_t t = 0; t < MX_BLOCK; t++) panel[i * MX_BLOCK + t] += mean;
    }
    if (!constant->turning) return;
    cache->kernels->add_turned(panel, constant->turned + (size_t)head * dim, factor, &constant->turning[head], b);
}

float kv_constant_score(const struct kv_layer *layer, uint32_t head, const float *q, float *waves)
{
    const struct kv_constant *constant = &layer->constant;
    if (!constant->mean || !constant->known) return 0;
    const uint32_t dim = layer->row->k_dim;
    const float *mean = constant->mean + (size_t)head * dim;
    float score = 0;
    for (uint32_t i = 0; i < dim; i++) score += q[i] * mean[i];
    if (!constant->turning) return score;
    const struct mx_kv_turning *turning = &constant->turning[head];
    const float *turned = constant->turned + (size_t)head * dim;
    for (uint32_t f = 0; f < turning->count; f++) {
        const uint32_t i = mx_kv_pair_first(turning->turns, turning->pairs[f]);
        const uint32_t j = mx_kv_pair_second(turning->turns, turning->pairs[f]);
        waves[2 * f] = q[i] * turned[i] + q[j] * turned[j];
        waves[2 * f + 1] = q[j] * turned[i] - q[i] * turned[j];
    }
    return score;
}
