/* Published schemes of quantized weights other than MLX's: how many bytes the weights of each module take. One table of
 * methods, one of the words that name widths ("nvfp4", "int4", "float8"), and a reader for each of the few configs that
 * nest. The advisor counts them all; the engine runs a few.
 *
 * A scheme without a width is unknown, never some number of bits.
 */
#ifndef MX_CHECKPOINT_SCHEME_H
#define MX_CHECKPOINT_SCHEME_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"

/* What the elements of a matrix [rows, cols] take. */
struct mx_width {
    double bits;         /* of a code; 0: not quantized, as wide as the config's dtype; below 0: unknown */
    uint32_t group;      /* columns that share scale and zero point; 0: all of a row */
    uint32_t group_rows; /* rows that do; 0 or 1: one */
    double group_bytes;  /* of scale and zero point */
};

enum mx_scope {
    MX_SCOPE_LINEAR,  /* the matrices of the layers; not the embedding, nor the output matrix unless `head` says so */
    MX_SCOPE_EXPERTS, /* routed experts alone */
};

/* Another width for the modules that a pattern names, or none. */
enum mx_pattern_kind {
    MX_PATTERN_NAME,  /* a module, or a run of whole steps of its path: "lm_head", "mlp.gate", "model.layers.3" */
    MX_PATTERN_GLOB,  /* with * and ? */
    MX_PATTERN_REGEX, /* matched from the name's start */
};
struct mx_scheme_rule {
    const char *pattern;
    enum mx_pattern_kind kind;
    bool experts; /* counts for routed experts, whatever they are called; no pattern */
    struct mx_width width;
};

/* How the weights of a scheme of three values are stored (checkpoint/ternary.h). */
enum mx_ternary_form {
    MX_TERNARY_NONE,
    MX_TERNARY_TIMES, /* packed, with a number that multiplies */
    MX_TERNARY_OVER,  /* packed, with a number that divides */
    MX_TERNARY_FOUND, /* as floats: the values are found as they are read */
};

struct mx_scheme {
    char method[40]; /* "compressed-tensors", "modelopt NVFP4": for people */
    bool runs;       /* mxfp4 blocks, 8-bit floats with scales, ternary weights: what the engine reads */
    enum mx_ternary_form ternary;
    enum mx_scope scope;
    struct mx_width width; /* of what no rule names */
    struct mx_width head;  /* of the output matrix; bits 0: not quantized */
    struct mx_width embedding;
    bool sparse; /* zeros are left out, and a bit for each number says so */
    const struct mx_scheme_rule *rules;
    size_t rule_count; /* the first that matches counts */
};

/* Reads config.json's `quantization_config` or what stands for it (hf_quant_config.json's "quantization", an old
 * quantize_config.json). *quantized is false where it describes no quantized weights: an empty object, a scheme of the
 * KV cache alone. `where` starts every message. Everything is allocated in `arena`. */
mx_status mx_scheme_read(struct mx_scheme *scheme, bool *quantized, struct mx_arena *arena, const cJSON *object,
                         const char *where, struct mx_error *err);

/* Whether the engine runs the scheme of an object, whose widths and rules have been read: `method` is its name,
 * synonyms resolved. mx_scheme_read asks. */
bool mx_scheme_runs(const struct mx_scheme *scheme, const char *method, const cJSON *object);

/* The form of BitNet's weights that an object describes; NONE for one whose layers normalize their inputs, too. */
enum mx_ternary_form mx_scheme_ternary(const cJSON *object);

/* True if an object is of such a scheme, not of MLX. */
bool mx_scheme_is(const cJSON *object);

/* Bytes of a matrix of this width; `plain` bytes an element where it is not quantized. Unknown widths: a negative
 * number. */
double mx_width_bytes(const struct mx_width *width, double rows, double cols, double plain);

/* Compiled rules. */
struct mx_scheme_matcher;
mx_status mx_scheme_matcher_open(struct mx_scheme_matcher **out, const struct mx_scheme *scheme, uint32_t layers,
                                 struct mx_error *err);
void mx_scheme_matcher_close(struct mx_scheme_matcher *matcher); /* NULL is fine */

/* A module as it may be called: names behind "model.layers.N." (or whole names where layer is -1), NULL-terminated. */
struct mx_module {
    int32_t layer;
    const char *const *names;
    const char
        *prefix; /* what the model itself has in front of the layer's number: "gpt_neox.layers."; NULL: unknown */
    bool expert, head, embedding;
};
struct mx_width mx_scheme_width(const struct mx_scheme_matcher *matcher, const struct mx_module *module);

#endif
