/* A GGUF file's metadata as the config.json that the same model has on the Hub, so that one reader (config/arch.h)
 * describes both. Architecture names and keys are llama.cpp's; what only the tensors tell (biases, an output matrix
 * that is the embedding) is taken from them.
 */
#ifndef MX_CHECKPOINT_GGUF_CONFIG_H
#define MX_CHECKPOINT_GGUF_CONFIG_H

#include <cjson/cJSON.h>

#include "base/error.h"
#include "checkpoint/gguf.h"

/* The caller frees *config with cJSON_Delete. `name` (the file's) starts every message. Fails with MX_ERR_FORMAT where
 * there is no architecture, and for files that hold no model of their own (image projectors, adapters). */
mx_status mx_gguf_config(cJSON **config, const struct mx_gguf *gguf, const char *name, struct mx_error *err);

/* llama.cpp's architecture names and our types, for documents and tests; sorted by name, ended by a NULL name. */
struct mx_gguf_architecture {
    const char *name, *model_type;
};
const struct mx_gguf_architecture *mx_gguf_architectures(void);

#endif
