/* Small model descriptions made by hand, for the tests of the cache: only what the cache reads is filled in. */
#ifndef MX_TESTS_CACHE_MODELS_H
#define MX_TESTS_CACHE_MODELS_H

#include <stdio.h>

#include "config/arch.h"

enum { MODEL_MAX_LAYERS = 32 };

struct model {
    struct mx_arch arch;
    struct mx_layer layers[MODEL_MAX_LAYERS];
};

/* A standard model: every layer full attention with these heads. `model` must stay where it is. */
static inline void model_init(struct model *model, const char *type, uint32_t layers, uint32_t heads, uint32_t kv_heads,
                              uint32_t dim)
{
    *model = (struct model){0};
    snprintf(model->arch.model_type, sizeof model->arch.model_type, "%s", type);
    model->arch.layer_count = layers;
    model->arch.head_dim = dim;
    model->arch.layers = model->layers;
    model->arch.attention_scale = 1.0;
    for (uint32_t i = 0; i < layers; i++) {
        model->layers[i] = (struct mx_layer){.attention = MX_ATTENTION_FULL,
                                             .heads = heads,
                                             .kv_heads = kv_heads,
                                             .k_dim = dim,
                                             .v_dim = dim,
                                             .cache_copies = 1,
                                             .shares_cache_of = -1};
    }
}

#endif
