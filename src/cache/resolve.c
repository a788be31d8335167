/* The resolver: a requested mode on a model becomes the mode that runs, and the reason. Engine, advisor, banner and
 * JSON all call mx_kv_resolve, so that what is advised, printed and run is one thing. */
#include <stdio.h>
#include <string.h>

#include "cache/hadamard.h"
#include "cache/mode.h"
#include "cache/size.h"

enum {
    DEFAULT_SINK = 4, /* tokens, for modes with turbo codes: attention sinks have outlying norms */
    MAX_PROTECTED = 1 << 20,
};

static bool is_turbo(enum mx_repr repr)
{
    return repr == MX_REPR_TURBO4 || repr == MX_REPR_TURBO3;
}

/* What a side stores where the mode asks for turbo codes: these, or int8 where the layer can't take them. */
static enum mx_repr fitting(enum mx_repr asked, uint32_t dim)
{
    if (!is_turbo(asked)) return asked;
    return dim > MX_KV_TURBO_MAX_DIM || !mx_hadamard_exists(dim) ? MX_REPR_INT8 : asked;
}

/* What a layer stores of a mode's pair, protections aside. A latent is key and value in one: it takes turbo codes where
 * both sides ask for 4 bits, and what both can be is int8 otherwise. */
static struct mx_kv_pair fitting_pair(struct mx_kv_pair asked, const struct mx_arch *arch, uint32_t layer)
{
    const struct mx_kv_shape shape = mx_layer_kv_shape(&arch->layers[layer]);
    if (shape.attention == MX_ATTENTION_LATENT && (is_turbo(asked.k) || is_turbo(asked.v))) {
        const enum mx_repr both =
            asked.k == asked.v && asked.k == MX_REPR_TURBO4 ? fitting(asked.v, shape.v_dim) : MX_REPR_INT8;
        return (struct mx_kv_pair){both, both};
    }
    return (struct mx_kv_pair){fitting(asked.k, shape.k_dim), fitting(asked.v, shape.v_dim)};
}

static struct mx_kv_pair pair_of(enum mx_mode mode)
{
    return (struct mx_kv_pair){mx_mode_info(mode)->k, mx_mode_info(mode)->v};
}

/* Layers with a cache that can't hold the mode's pair: how many, and the first of them (-1: none). */
static uint32_t count_unfit(const struct mx_arch *arch, enum mx_mode mode, int32_t *first)
{
    const struct mx_kv_pair asked = pair_of(mode);
    uint32_t unfit = 0;
    *first = -1;
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        if (!mx_layer_owns_cache(&arch->layers[i])) continue;
        const struct mx_kv_pair pair = fitting_pair(asked, arch, i);
        if (pair.k == asked.k && pair.v == asked.v) continue;
        if (unfit++ == 0) *first = (int32_t)i;
    }
    return unfit;
}

/* Why a layer can't hold turbo codes, into why[128]. */
static void explain_unfit(char why[128], const struct mx_arch *arch, enum mx_mode mode, uint32_t layer)
{
    const struct mx_kv_shape shape = mx_layer_kv_shape(&arch->layers[layer]);
    const bool latent = shape.attention == MX_ATTENTION_LATENT;
    const bool on_k = !latent && is_turbo(mx_mode_info(mode)->k) &&
                      (shape.k_dim > MX_KV_TURBO_MAX_DIM || !mx_hadamard_exists(shape.k_dim));
    const uint32_t dim = on_k ? shape.k_dim : shape.v_dim;
    if (latent && mx_mode_info(mode)->k != mx_mode_info(mode)->v)
        snprintf(why, 128, "a latent is key and value in one");
    else if (dim > MX_KV_TURBO_MAX_DIM)
        snprintf(why, 128, "turbo codes take head dimensions up to %d, not %u", MX_KV_TURBO_MAX_DIM, dim);
    else
        snprintf(why, 128, "no rotation is known for head dimension %u", dim);
}

/* Notes that `mode` runs instead of what was chosen so far. */
static void replace(struct mx_kv_setup *setup, enum mx_mode mode, const char *why)
{
    snprintf(setup->reason, sizeof setup->reason, "%s runs instead of %s: %s", mx_mode_info(mode)->name,
             mx_mode_info(setup->requested)->name, why);
    setup->mode = mode;
}

/* Whether this model can hold a plan as it is. */
static mx_status check_plan(const struct mx_kv_layers *layers, const struct mx_arch *arch, struct mx_error *err)
{
    if (layers->count == 0)
        return mx_fail(err, MX_ERR_ARGUMENT, "cache mode \"plan\" needs a plan file: name the file");
    if (layers->count != arch->layer_count)
        return mx_fail(err, MX_ERR_ARGUMENT, "the cache plan is for %u layers, this model has %u: it is another's",
                       layers->count, arch->layer_count);
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        const struct mx_kv_pair asked = mx_kv_layers_pair(layers, i), held = fitting_pair(asked, arch, i);
        if (!mx_layer_owns_cache(&arch->layers[i])) continue;
        if (held.k == asked.k && held.v == asked.v) continue;
        return mx_fail(err, MX_ERR_ARGUMENT, "the cache plan asks for K %s and V %s in layer %u, which can't hold them",
                       mx_repr_name(asked.k), mx_repr_name(asked.v), i);
    }
    return MX_OK;
}

/* Chooses setup->mode and setup->reason. */
static mx_status choose(struct mx_kv_setup *setup, const struct mx_arch *arch, enum mx_proof proof,
                        struct mx_error *err)
{
    char why[128];
    if (setup->cache_layers == 0) {
        if (setup->mode != MX_MODE_FP16) replace(setup, MX_MODE_FP16, "no layer of this model keeps keys and values");
        return MX_OK;
    }
    const bool turbo = is_turbo(mx_mode_info(setup->mode)->k) || is_turbo(mx_mode_info(setup->mode)->v);
    if (!turbo) return MX_OK;
    if (setup->mode == MX_MODE_TURBO4 && proof != MX_PROOF_PASSED) {
        const char *word = proof == MX_PROOF_FAILED ? "measured as too coarse" : "unproven";
        if (setup->forced) {
            snprintf(setup->reason, sizeof setup->reason, "turbo4 is forced: %s for model type %.60s", word,
                     arch->model_type);
        } else {
            snprintf(why, sizeof why, "4-bit keys are %s for model type %.60s", word, arch->model_type);
            replace(setup, MX_MODE_FP16_TURBO4, why);
        }
    }
    /* Each layer gets the best of the mode that it can hold; where none can hold it, int8 runs. */
    int32_t first;
    const uint32_t unfit = count_unfit(arch, setup->mode, &first);
    if (unfit == 0) return MX_OK;
    explain_unfit(why, arch, setup->mode, (uint32_t)first);
    if (unfit < setup->cache_layers) {
        const size_t length = strlen(setup->reason);
        snprintf(setup->reason + length, sizeof setup->reason - length,
                 "%s%s is applied to %u of %u layers, int8 to the rest: %s", length ? "; " : "",
                 mx_mode_info(setup->mode)->name, setup->cache_layers - unfit, setup->cache_layers, why);
        return MX_OK;
    }
    if (setup->forced) {
        return mx_fail(err, MX_ERR_UNSUPPORTED, "%s has no kernel for any layer, forced or not: %s; use int8 or fp16",
                       mx_mode_info(setup->mode)->name, why);
    }
    replace(setup, MX_MODE_INT8, why);
    return MX_OK;
}

static uint32_t whole_blocks(int32_t tokens)
{
    return ((uint32_t)tokens + MX_BLOCK - 1) / MX_BLOCK * MX_BLOCK;
}

static mx_status check_range(const char *what, int32_t value, int32_t low, struct mx_error *err)
{
    if (value >= low && value <= MAX_PROTECTED) return MX_OK;
    return mx_fail(err, MX_ERR_ARGUMENT, "%s is %d; it must be 0 to %d", what, value, MAX_PROTECTED);
}

/* What some layer stores. */
struct used {
    bool coded_k, coded, turbo;
};

static void add_used(struct used *used, struct mx_kv_pair pair)
{
    used->coded_k |= pair.k != MX_REPR_FP16;
    used->coded |= pair.k != MX_REPR_FP16 || pair.v != MX_REPR_FP16;
    used->turbo |= is_turbo(pair.k) || is_turbo(pair.v);
}

mx_status mx_kv_resolve(struct mx_kv_setup *setup, const struct mx_kv_options *options, const struct mx_arch *arch,
                        struct mx_error *err)
{
    MX_TRY(check_range("the recent window", options->recent, -1, err));
    MX_TRY(check_range("the number of sinks", options->sink, -1, err));
    MX_TRY(check_range("the number of boundary layers", options->boundary_v, 0, err));
    *setup = (struct mx_kv_setup){.requested = options->mode, .mode = options->mode, .forced = options->force};
    setup->cache_layers = mx_arch_cache_layers(arch);
    if (setup->mode == MX_MODE_PLAN && setup->cache_layers > 0) {
        MX_TRY(check_plan(&options->layers, arch, err));
        setup->layers = options->layers;
    }
    MX_TRY(choose(setup, arch, options->proof, err));

    const struct mx_mode_info *info = mx_mode_info(setup->mode);
    struct used used = {info->k != MX_REPR_FP16, info->k != MX_REPR_FP16 || info->v != MX_REPR_FP16,
                        is_turbo(info->k) || is_turbo(info->v)};
    for (uint32_t i = 0; setup->mode == MX_MODE_PLAN && i < arch->layer_count; i++)
        if (mx_layer_owns_cache(&arch->layers[i])) add_used(&used, mx_kv_layers_pair(&setup->layers, i));
    const bool coded = used.coded, turbo = used.turbo;
    setup->k = info->k;
    setup->v = info->v;
    if (coded) {
        setup->recent = whole_blocks(options->recent >= 0 ? options->recent : (int32_t)info->recent);
        setup->sink = whole_blocks(options->sink >= 0 ? options->sink : turbo ? DEFAULT_SINK : 0);
    }
    if (is_turbo(info->v)) {
        const uint32_t half = setup->cache_layers / 2, asked = (uint32_t)options->boundary_v;
        setup->boundary_v = asked < half ? asked : half;
    }
    setup->scale = options->scale;
    setup->quantize_immediately = options->quantize_immediately;
    setup->sign_seed = options->sign_seed ? options->sign_seed : MX_KV_SIGN_SEED;
    /* The first keys of a model that normalizes them do not stand for the later ones: measured, centering hurts there.
     */
    const bool pointless = !used.coded_k || (options->center == MX_CENTER_AUTO && arch->qk_norm);
    setup->center = pointless ? MX_CENTER_OFF : options->center;
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        if (!mx_layer_owns_cache(&arch->layers[i])) continue;
        const struct mx_kv_pair pair = mx_kv_layer_pair(setup, arch, i),
                                own = fitting_pair(pair_of(setup->mode), arch, i);
        const bool fits = setup->mode == MX_MODE_PLAN || (own.k == info->k && own.v == info->v);
        setup->applied_layers += !coded || (fits && (pair.k != MX_REPR_FP16 || pair.v != MX_REPR_FP16));
    }
    return MX_OK;
}

struct mx_kv_pair mx_kv_layer_pair(const struct mx_kv_setup *setup, const struct mx_arch *arch, uint32_t layer)
{
    if (!mx_layer_owns_cache(&arch->layers[layer])) return (struct mx_kv_pair){MX_REPR_FP16, MX_REPR_FP16};
    if (setup->mode == MX_MODE_PLAN) return mx_kv_layers_pair(&setup->layers, layer);
    struct mx_kv_pair pair = fitting_pair((struct mx_kv_pair){setup->k, setup->v}, arch, layer);
    if (setup->boundary_v == 0) return pair;
    uint32_t before = 0; /* layers with a cache below this one */
    for (uint32_t i = 0; i < layer; i++) before += mx_layer_owns_cache(&arch->layers[i]);
    if (before < setup->boundary_v || before + setup->boundary_v >= setup->cache_layers) pair.v = MX_REPR_FP16;
    return pair;
}
