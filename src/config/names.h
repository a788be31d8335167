/* How the engine's families call their tensors (Hugging Face and MLX names side by side): struct mx_tensor_names. */
#ifndef MX_CONFIG_NAMES_H
#define MX_CONFIG_NAMES_H

#include "config/arch.h"

extern const struct mx_tensor_names mx_names_llama; /* llama, mistral, qwen2, qwen3, and their mixtures of experts */
extern const struct mx_tensor_names mx_names_mixtral;
extern const struct mx_tensor_names mx_names_phi;

#endif
