/* KV-cache modes: their names, what they store, and which mode really runs on a given model.
 * docs/turbo-kv-cache.md explains them; the one table stands in mode.c. */
#ifndef MX_CACHE_MODE_H
#define MX_CACHE_MODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"
#include "config/arch.h"
#include "kernels/kv_kernels.h"
#include "kernels/kv_repr.h"

enum mx_mode {
    MX_MODE_FP16,
    MX_MODE_INT8,
    MX_MODE_INT8_TURBO4,
    MX_MODE_FP16_TURBO4,
    MX_MODE_FP16_TURBO3,
    MX_MODE_TURBO4,
    MX_MODE_TURBO4_DELEGATED,
    MX_MODE_COUNT,                /* of the modes that have a name of their own */
    MX_MODE_PLAN = MX_MODE_COUNT, /* what each layer stores is said one by one: struct mx_kv_layers */
};

struct mx_mode_info {
    const char *name;       /* the canonical name, as printed everywhere */
    const char *aliases[3]; /* NULL-terminated where fewer */
    enum mx_repr k, v;
    uint32_t recent;     /* default recent window in tokens */
    const char *summary; /* a few words for --help and tables */
};

const struct mx_mode_info *mx_mode_info(enum mx_mode mode);
const char *mx_repr_name(enum mx_repr repr);

/* A mode's name or alias. Names of other programs' formats (q8_0, q4_0, ...) fail with what to use instead. */
mx_status mx_mode_parse(const char *name, enum mx_mode *mode, struct mx_error *err);
/* --cache-type-k and --cache-type-v (NULL: not given, fp16 is meant). */
mx_status mx_mode_parse_split(const char *k, const char *v, enum mx_mode *mode, struct mx_error *err);

/* Seeds the signs of the rotations: XXH3 of "mlxcel rotation signs". Nobody chose it, and nobody may choose another by
 * the figures that it gives: where the draw matters, they are means over several (bench/quality.sh). */
#define MX_KV_SIGN_SEED 0xfc712f0244593efeu

enum mx_center {
    MX_CENTER_OFF,
    MX_CENTER_ON,
    MX_CENTER_AUTO, /* decided from the first keys: what is large beside their spread is taken off */
};

const char *mx_center_name(enum mx_center center); /* "off", "on", "auto" */

/* How one layer stores K and V. */
struct mx_kv_pair {
    enum mx_repr k, v;
};

/* A plan's layers, made for one model (cache/plan_file.h). */
struct mx_kv_layers {
    uint64_t model;                    /* its fingerprint (mx_model_fingerprint); 0: of any model */
    uint32_t count;                    /* 0: there is no plan */
    uint8_t pairs[MX_ARCH_MAX_LAYERS]; /* [count]: K's form in the low four bits, V's in the others */
};
static inline struct mx_kv_pair mx_kv_layers_pair(const struct mx_kv_layers *layers, uint32_t layer)
{
    return (struct mx_kv_pair){(enum mx_repr)(layers->pairs[layer] & 15), (enum mx_repr)(layers->pairs[layer] >> 4)};
}
static inline void mx_kv_layers_set(struct mx_kv_layers *layers, uint32_t layer, struct mx_kv_pair pair)
{
    layers->pairs[layer] = (uint8_t)((unsigned)pair.k | (unsigned)pair.v << 4);
}
/* A hash of what the layers store. */
uint64_t mx_kv_layers_hash(const struct mx_kv_layers *layers);
enum { MX_KV_PLAN_NAME = 24 };
/* "plan:" and that hash, into name[MX_KV_PLAN_NAME]; returns name. */
const char *mx_kv_layers_name(const struct mx_kv_layers *layers, char *name);
/* MX_ERR_ARGUMENT where a plan is asked for that was made for another model than `model`, unless it is forced. */
struct mx_kv_options;
mx_status mx_kv_layers_check(const struct mx_kv_options *options, uint64_t model, struct mx_error *err);

/* What evidence says of 4-bit keys on a model (mx_turbo4_proof in advisor/kv_advice.h). */
enum mx_proof {
    MX_PROOF_NONE,   /* nothing: unproven */
    MX_PROOF_PASSED, /* graded at least acceptable */
    MX_PROOF_FAILED,
};

/* What the user asked for. */
struct mx_kv_options {
    struct mx_kv_layers layers; /* of MX_MODE_PLAN */
    enum mx_mode mode;
    int32_t recent; /* --kv-recent: newest tokens kept in fp16, rounded up to whole blocks; -1: the mode's default */
    int32_t sink;   /* --kv-sink: first tokens kept in fp16; -1: the default */
    int32_t boundary_v; /* --turbo-boundary-v: V of the first and last so many layers in fp16 */
    enum mx_center center;
    enum mx_scale_rule scale;  /* of turbo codes; for experiments: the default is what measured best */
    enum mx_proof proof;       /* of symmetric turbo4, which runs unforced only where it passed */
    bool force;                /* --force-kv-mode: run what was asked, proven or not */
    bool quantize_immediately; /* for measurements: a token is read through its codes from the start, by its own query
                                  too */
    uint64_t sign_seed;        /* for measurements: other signs than those in use; 0: MX_KV_SIGN_SEED */
};
struct mx_kv_options mx_kv_options_default(void); /* fp16, -1, -1, 0, auto, unbiased, none, false, false, 0 */

/* What will run, and why. Filled by the one resolver that engine, banner, JSON and advisor share. */
struct mx_kv_setup {
    enum mx_mode requested, mode;
    struct mx_kv_layers layers;        /* of MX_MODE_PLAN */
    enum mx_repr k, v;                 /* of all other modes */
    uint32_t recent, sink, boundary_v; /* effective, in tokens (whole blocks), tokens (whole blocks) and layers */
    enum mx_center center;
    enum mx_scale_rule scale;
    bool forced, quantize_immediately;
    uint64_t sign_seed;
    uint32_t applied_layers, cache_layers; /* "applied to N of M layers": layers that store something coded as the mode
                                              says (all of them under fp16), and layers that own a cache */
    char reason[256]; /* empty where the request runs as it is in each layer; otherwise one line: what runs, and why */
};

/* Resolves a request on a model. Fails only where nothing can run (force with a head size that has no kernel). */
mx_status mx_kv_resolve(struct mx_kv_setup *setup, const struct mx_kv_options *options, const struct mx_arch *arch,
                        struct mx_error *err);

enum { MX_KV_TURBO_MAX_DIM = 512 }; /* the widest head that turbo codes were measured for */

/* "int8", or of a plan its name with the hash, into name[MX_KV_PLAN_NAME] if need be; returns it. */
const char *mx_kv_setup_name(const struct mx_kv_setup *setup, char *name);

/* How one layer stores K and V under this setup: the mode's pair (a plan's own), with int8 in place of turbo codes
 * where the layer can't take them (its heads are too wide, no rotation is known for their dimension, or its cache is
 * latent), and V in fp16 in boundary layers. Layers without a cache of their own report fp16. */
struct mx_kv_pair mx_kv_layer_pair(const struct mx_kv_setup *setup, const struct mx_arch *arch, uint32_t layer);

#endif
