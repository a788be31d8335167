/* What config.json says about quantized weights: `quantization`, or its copy `quantization_config`.
 * docs/formats.md has the rules; checkpoint.h applies them to tensors.
 */
#ifndef MX_CHECKPOINT_QUANTIZATION_H
#define MX_CHECKPOINT_QUANTIZATION_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/matrix.h"
#include "checkpoint/scheme.h"

enum mx_quant_mode {
    MX_QUANT_AFFINE, /* value = scale * code + bias, per group */
    MX_QUANT_MXFP4,
    MX_QUANT_MXFP8,
    MX_QUANT_NVFP4,
};
const char *mx_quant_mode_name(enum mx_quant_mode mode);
enum mx_codes mx_quant_codes(enum mx_quant_mode mode);

/* Numbers of one module. affine: bits 2 3 4 5 6 8, group 32 64 128; the float modes have one pair each. */
struct mx_quant {
    enum mx_quant_mode mode;
    int bits, group;
};

/* Bits and group of a mode where nothing says other ones. */
struct mx_quant mx_quant_default(enum mx_quant_mode mode);

/* True if MLX has such a format. */
bool mx_quant_valid(const struct mx_quant *quant);

enum mx_quant_kind {
    MX_QUANT_NONE,    /* the config describes none */
    MX_QUANT_MLX,     /* as MLX writes it */
    MX_QUANT_FOREIGN, /* another tool's scheme (gptq, awq, fp8, ...): `method` names it; `scheme.runs` says whether its
                       * weights can be used */
};

struct mx_quant_override {
    const char *module; /* "model.layers.3.mlp.down_proj" */
    bool quantized;     /* false: this module is kept plain */
    struct mx_quant quant;
};

struct mx_quantization {
    enum mx_quant_kind kind;
    struct mx_quant quant;   /* of every quantized module without override; for a foreign scheme, its bits */
    const char *method;      /* foreign: its name, never NULL then */
    struct mx_scheme scheme; /* foreign; bits of `quant` are then its width rounded up, 0 where unknown */
    const struct mx_quant_override *overrides; /* sorted by module */
    size_t override_count;
};

/* Reads the description out of a parsed config.json. `name` (the file's path) starts every message. What it allocates
 * belongs to `arena`; nothing of `config` is kept. A config without quantization gives MX_QUANT_NONE. */
mx_status mx_quantization_read(struct mx_quantization *out, struct mx_arena *arena, const cJSON *config,
                               const char *name, struct mx_error *err);

/* The same for a file that holds another tool's scheme alone: hf_quant_config.json, quantize_config.json,
 * quant_config.json. */
mx_status mx_quantization_read_scheme(struct mx_quantization *out, struct mx_arena *arena, const cJSON *object,
                                      const char *name, struct mx_error *err);

/* The override of `module`; NULL if it has none. */
const struct mx_quant_override *mx_quantization_override(const struct mx_quantization *quantization,
                                                         const char *module);

/* The numbers of `module` if it is quantized: its override's, or the general ones. */
struct mx_quant mx_quantization_of(const struct mx_quantization *quantization, const char *module);

#endif
