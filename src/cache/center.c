/* center.h. Deciding comes first, then the use of what was decided. */
#include "cache/center.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/checked.h"

/* The error of a code grows with the energy of what is coded. Pairs of the bias are taken off, largest first, until
 * what stays is less than this part of the energy by which keys spread (bench/results/k-bias-left.txt). */
static const double bias_left = 0.25;

/* A coordinate's mean is taken off where it holds this many times the energy of its spread: it then stands for later
 * tokens too. Rotary averages what else is constant away within the tokens that are averaged. */
static const double mean_threshold = 2.0;

/* --- opening --- */

/* Angles are taken in double: at position 131072 the rotation that the model applied, whose angles are f32, is within
 * 0.004 radians. What is taken off and what is added to scores are the same here, so that only adds to the spread. */
static void angle(double positions, float frequency, float *cosine, float *sine)
{
    *cosine = (float)cos(positions * (double)frequency);
    *sine = (float)sin(positions * (double)frequency);
}

/* Fills the tables of one pair of coordinates (kernels/kv_kernels.h). */
static void fill_angles(uint32_t pair, uint32_t pairs, float frequency, size_t tiles, float *tile, float *block,
                        float *lane, float *half)
{
    tile += (size_t)2 * pair;
    block += (size_t)4 * MX_KV_TILE_BLOCKS * pair;
    lane += (size_t)2 * MX_BLOCK * pair;
    half += (size_t)MX_BLOCK * pair;
    const double middle = (MX_BLOCK - 1) / 2.0;
    for (size_t i = 0; i < tiles; i++, tile += (size_t)2 * pairs) {
        angle((double)(i * MX_KV_TILE) + middle, frequency, tile, tile + 1);
    }
    for (int i = 0; i < MX_KV_TILE_BLOCKS; i++) {
        float *cosine = block + 2 * i, *sine = cosine + 2 * MX_KV_TILE_BLOCKS;
        angle(MX_BLOCK * i, frequency, cosine, sine);
        cosine[1] = cosine[0];
        sine[1] = sine[0];
    }
    for (int i = 0; i < MX_BLOCK; i++) angle(i - middle, frequency, lane + i, lane + MX_BLOCK + i);
    for (int i = 0; i < MX_BLOCK / 2; i++) angle(i + 0.5, frequency, half + 2 * i, half + 2 * i + 1);
}

/* Cuts the tables of one rotary embedding from memory at *at, and fills them; with `memory` NULL counts bytes. */
static void make_angles(const struct mx_kv_plan *plan, struct mx_kv_rope *angles, const float *inverse, uint8_t *memory,
                        size_t *at)
{
    const size_t tiles = plan->context / MX_KV_TILE + 1;
    const size_t floats[] = {tiles * 2, (size_t)4 * MX_KV_TILE_BLOCKS, (size_t)2 * MX_BLOCK, MX_BLOCK};
    float *tables[4] = {0};
    for (int i = 0; i < 4; i++) {
        if (memory) tables[i] = (float *)(void *)(memory + *at);
        *at += mx_round_up(floats[i] * angles->pairs * sizeof(float), 64);
    }
    if (!memory) return;
    for (uint32_t p = 0; p < angles->pairs; p++) {
        fill_angles(p, angles->pairs, inverse[p], tiles, tables[0], tables[1], tables[2], tables[3]);
    }
    angles->tile = tables[0];
    angles->block = tables[1];
    angles->lane = tables[2];
    angles->half = tables[3];
}

/* Whether the layer's keys have a bias that can be taken off. */
static bool has_bias(const struct mx_kv_plan *plan, uint32_t layer, const struct mx_key_bias *key_bias)
{
    return plan->layers[layer].center.rotates && key_bias && key_bias->bias[layer];
}

/* Cuts the tables of all embeddings, as make_angles does. */
static size_t cut_tables(struct mx_kv_plan *plan, const struct mx_key_bias *key_bias, uint8_t *memory)
{
    size_t at = 0;
    for (uint32_t i = 0; i < plan->arch->layer_count; i++) {
        if (!has_bias(plan, i, key_bias)) continue;
        const uint8_t index = plan->layers[i].shape.rope_index;
        struct mx_kv_rope *angles = &plan->angles[index];
        if (memory ? angles->tile != NULL : angles->pairs != 0) continue;
        angles->pairs = plan->arch->rope[index].dims / 2;
        angles->interleaved = plan->arch->rope[index].interleaved;
        make_angles(plan, angles, key_bias->inverse[index], memory, &at);
    }
    return at;
}

/* Bytes of the list of pairs of one KV head, and of all heads' heads of lists. */
static size_t list_bytes(const struct kv_layer *layer)
{
    return mx_round_up(layer->center.angles->pairs * sizeof(uint16_t), 64);
}
static size_t heads_bytes(const struct kv_layer *layer)
{
    return mx_round_up(layer->shape.kv_heads * sizeof(struct mx_kv_rope_bias), 64);
}

mx_status kv_center_open(struct mx_kv_plan *plan, const struct mx_key_bias *key_bias, struct mx_error *err)
{
    const size_t bytes = cut_tables(plan, key_bias, NULL);
    if (bytes == 0) return MX_OK;
    plan->angle_tables = mx_aligned_alloc(bytes);
    if (!plan->angle_tables) return mx_fail_memory(err, "tables of rotary positions", bytes);
    cut_tables(plan, key_bias, plan->angle_tables);
    for (uint32_t i = 0; i < plan->arch->layer_count; i++) {
        struct kv_layer *layer = &plan->layers[i];
        if (!has_bias(plan, i, key_bias)) continue;
        layer->center.bias = key_bias->bias[i];
        layer->center.factor = key_bias->factor[layer->shape.rope_index];
        layer->center.angles = &plan->angles[layer->shape.rope_index];
        layer->center.lists_at = plan->lists_bytes;
        plan->lists_bytes += heads_bytes(layer) + layer->shape.kv_heads * list_bytes(layer);
    }
    return MX_OK;
}

void kv_center_prepare(struct mx_sequence *sequence)
{
    for (uint32_t i = 0; i < sequence->plan->arch->layer_count; i++) {
        const struct kv_layer *layer = &sequence->plan->layers[i];
        if (!layer->center.angles) continue;
        uint8_t *lists = (uint8_t *)sequence->lists + layer->center.lists_at, *pairs = lists + heads_bytes(layer);
        struct mx_kv_rope_bias *rotated = (struct mx_kv_rope_bias *)(void *)lists;
        for (uint32_t head = 0; head < layer->shape.kv_heads; head++, pairs += list_bytes(layer)) {
            rotated[head] = (struct mx_kv_rope_bias){layer->center.angles, (uint16_t *)(void *)pairs, 0};
        }
        sequence->held[i].rotated = rotated;
    }
}

void kv_center_reset(struct mx_sequence *sequence, uint32_t index)
{
    const struct kv_layer *layer = &sequence->plan->layers[index];
    const size_t heads = layer->shape.kv_heads, floats = heads * layer->shape.k_dim;
    memset(kv_offset_mean(sequence, layer), 0, (layer->center.rotates ? 2 : 1) * floats * sizeof(float));
    for (size_t head = 0; layer->center.angles && head < heads; head++) sequence->held[index].rotated[head].count = 0;
    sequence->held[index].decided = false;
}

/* --- deciding --- */

static double squared(double x)
{
    return x * x;
}

/* Takes (a, b), rotated to position t, off the pair x, y of a key. */
static void take_off(const struct mx_kv_rope *angles, uint32_t pair, uint32_t t, float a, float b, float *x, float *y)
{
    const float *lane = angles->lane + (size_t)pair * 2 * MX_BLOCK + t % MX_BLOCK;
    float c, s;
    mx_kv_rope_angle(angles, pair, t / MX_BLOCK, &c, &s);
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
static double spread_of_keys(const struct kv_center *center, uint32_t head, const float *k, uint32_t n, uint32_t dim)
{
    const struct mx_kv_rope *angles = center->angles;
    const float *bias = center->bias + (size_t)head * dim, factor = center->factor;
    double energy = 0;
    for (uint32_t p = 0; p < angles->pairs; p++) {
        const uint32_t i = mx_kv_pair_first(angles, p), j = mx_kv_pair_second(angles, p);
        struct moments first = {0}, second = {0};
        for (uint32_t t = 0; t < n; t++) {
            float x = k[(size_t)t * dim + i], y = k[(size_t)t * dim + j];
            take_off(angles, p, t, factor * bias[i], factor * bias[j], &x, &y);
            add_moment(&first, x);
            add_moment(&second, y);
        }
        energy += spread(&first, n) + spread(&second, n);
    }
    for (uint32_t i = 2 * angles->pairs; i < dim; i++) {
        struct moments moments = {0};
        for (uint32_t t = 0; t < n; t++) add_moment(&moments, k[(size_t)t * dim + i]);
        energy += spread(&moments, n);
    }
    return energy;
}

/* Lists the pairs in which what rotates of a KV head's offset is not zero. */
static void list_pairs(struct mx_kv_rope_bias *list, const float *rotated)
{
    list->count = 0;
    for (uint32_t p = 0; p < list->rope->pairs; p++) {
        const uint32_t i = mx_kv_pair_first(list->rope, p), j = mx_kv_pair_second(list->rope, p);
        if (rotated[i] != 0 || rotated[j] != 0) list->pairs[list->count++] = (uint16_t)p;
    }
}

/* Chooses the pairs of a KV head's bias that are taken off, into rotated [dim]: those of most energy, until at most
 * `left` stays. */
static void choose_pairs(const struct kv_center *center, uint32_t head, uint32_t dim, double left, float *rotated,
                         struct mx_kv_rope_bias *list)
{
    const struct mx_kv_rope *angles = center->angles;
    const float *bias = center->bias + (size_t)head * dim;
    double energy[MX_KV_MAX_DIM / 2], stays = 0;
    for (uint32_t p = 0; p < angles->pairs; p++) {
        energy[p] = squared((double)(center->factor * bias[mx_kv_pair_first(angles, p)])) +
                    squared((double)(center->factor * bias[mx_kv_pair_second(angles, p)]));
        stays += energy[p];
    }
    memset(rotated, 0, dim * sizeof *rotated);
    for (uint32_t taken = 0; taken < angles->pairs && stays > left && isfinite(stays); taken++) {
        uint32_t largest = 0;
        for (uint32_t p = 1; p < angles->pairs; p++) largest = energy[p] > energy[largest] ? p : largest;
        const uint32_t i = mx_kv_pair_first(angles, largest), j = mx_kv_pair_second(angles, largest);
        rotated[i] = center->factor * bias[i];
        rotated[j] = center->factor * bias[j];
        stays -= energy[largest];
        energy[largest] = 0;
    }
    list_pairs(list, rotated);
}

/* Decides a KV head's offset from n keys [n][dim] of positions 0 .. n - 1, from which it is taken off on the way. */
static void decide_head(struct mx_sequence *sequence, uint32_t index, uint32_t head, float *k, uint32_t n)
{
    const struct kv_layer *layer = &sequence->plan->layers[index];
    const uint32_t dim = layer->shape.k_dim;
    const bool all = sequence->plan->setup.center == MX_CENTER_ON;
    float *mean = kv_offset_mean(sequence, layer) + (size_t)head * dim;
    if (layer->center.angles) {
        struct mx_kv_rope_bias *list = &sequence->held[index].rotated[head];
        float *rotated = kv_offset_rotated(sequence, layer) + (size_t)head * dim;
        const double left = all ? 0 : bias_left * spread_of_keys(&layer->center, head, k, n, dim);
        choose_pairs(&layer->center, head, dim, left, rotated, list);
        for (uint32_t f = 0; f < list->count; f++) {
            const uint32_t p = list->pairs[f];
            const uint32_t i = mx_kv_pair_first(list->rope, p), j = mx_kv_pair_second(list->rope, p);
            for (uint32_t t = 0; t < n; t++) {
                float *key = k + (size_t)t * dim;
                take_off(list->rope, p, t, rotated[i], rotated[j], &key[i], &key[j]);
            }
        }
    }
    for (uint32_t i = 0; i < dim; i++) {
        struct moments moments = {0};
        for (uint32_t t = 0; t < n; t++) add_moment(&moments, k[(size_t)t * dim + i]);
        const double shared = moments.sum / n;
        const bool pays = all || squared(shared) > mean_threshold * spread(&moments, n);
        mean[i] = pays && isfinite(moments.squares) ? (float)shared : 0;
    }
}

void kv_center_decide(struct mx_sequence *sequence, uint32_t layer, uint32_t head, const float *k, uint32_t n,
                      float *rows)
{
    const struct mx_kv_shape *shape = &sequence->plan->layers[layer].shape;
    const size_t dim = shape->k_dim;
    for (size_t t = 0; t < n; t++) memcpy(rows + t * dim, k + (t * shape->kv_heads + head) * dim, dim * sizeof *rows);
    decide_head(sequence, layer, head, rows, n);
}

void kv_center_decide_late(struct mx_sequence *sequence, uint32_t layer, uint32_t head, uint64_t end, float *rows,
                           float *panel)
{
    const struct kv_half *half = &sequence->plan->layers[layer].k;
    const uint32_t dim = half->layout.dim, blocks = end < MX_KV_TILE_BLOCKS ? (uint32_t)end : MX_KV_TILE_BLOCKS;
    for (uint32_t b = 0; b < blocks; b++) {
        const uint8_t *block = (const uint8_t *)kv_fp16_block(sequence, half, head, b);
        sequence->plan->kernels->k[MX_REPR_FP16].decode(panel, block, NULL, dim);
        for (uint32_t t = 0; t < MX_BLOCK; t++) {
            for (uint32_t i = 0; i < dim; i++) rows[(b * MX_BLOCK + t) * dim + i] = panel[i * MX_BLOCK + t];
        }
    }
    decide_head(sequence, layer, head, rows, blocks * MX_BLOCK);
}

void kv_center_decide_from_noise(struct mx_sequence *sequence, uint32_t index)
{
    const struct kv_layer *layer = &sequence->plan->layers[index];
    const size_t dim = layer->shape.k_dim, heads = layer->shape.kv_heads;
    if (!layer->center.centered) return;
    memset(kv_offset_mean(sequence, layer), 0, heads * dim * sizeof(float));
    for (uint32_t head = 0; layer->center.angles && head < heads; head++) {
        choose_pairs(&layer->center, head, (uint32_t)dim, bias_left * (double)dim,
                     kv_offset_rotated(sequence, layer) + head * dim, &sequence->held[index].rotated[head]);
    }
    sequence->held[index].decided = true;
}

/* --- use --- */

void kv_center_settle(struct mx_sequence *sequence)
{
    for (uint32_t i = 0; i < sequence->plan->arch->layer_count; i++) {
        const struct kv_layer *layer = &sequence->plan->layers[i];
        for (uint32_t head = 0; layer->center.angles && head < layer->shape.kv_heads; head++) {
            list_pairs(&sequence->held[i].rotated[head],
                       kv_offset_rotated(sequence, layer) + (size_t)head * layer->shape.k_dim);
        }
    }
}

void kv_center_add(const struct mx_sequence *sequence, uint32_t index, uint32_t head, uint64_t b, float factor,
                   float *panel)
{
    const struct kv_layer *layer = &sequence->plan->layers[index];
    if (!layer->center.centered) return;
    const uint32_t dim = layer->shape.k_dim;
    const float *mean = kv_offset_mean(sequence, layer) + (size_t)head * dim;
    for (uint32_t i = 0; i < dim; i++) {
        const float shared = factor * mean[i];
        for (uint32_t t = 0; t < MX_BLOCK; t++) panel[i * MX_BLOCK + t] += shared;
    }
    if (!layer->center.angles) return;
    sequence->plan->kernels->add_rotated(panel, kv_offset_rotated(sequence, layer) + (size_t)head * dim, factor,
                                         &sequence->held[index].rotated[head], b);
}

float kv_center_score(const struct mx_sequence *sequence, uint32_t index, uint32_t head, const float *q,
                      float *rope_terms)
{
    const struct kv_layer *layer = &sequence->plan->layers[index];
    if (!layer->center.centered) return 0;
    const uint32_t dim = layer->shape.k_dim;
    const float *mean = kv_offset_mean(sequence, layer) + (size_t)head * dim;
    float score = 0;
    for (uint32_t i = 0; i < dim; i++) score += q[i] * mean[i];
    if (!layer->center.angles) return score;
    const struct mx_kv_rope_bias *list = &sequence->held[index].rotated[head];
    const float *rotated = kv_offset_rotated(sequence, layer) + (size_t)head * dim;
    for (uint32_t f = 0; f < list->count; f++) {
        const uint32_t i = mx_kv_pair_first(list->rope, list->pairs[f]);
        const uint32_t j = mx_kv_pair_second(list->rope, list->pairs[f]);
        rope_terms[2 * f] = q[i] * rotated[i] + q[j] * rotated[j];
        rope_terms[2 * f + 1] = q[j] * rotated[i] - q[i] * rotated[j];
    }
    return score;
}
