/* Fuzz target: config.json. What is accepted must obey the promises of config/arch.h, and can be counted. */
#include <stdlib.h>

#include "base/json.h"
#include "config/arch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct mx_arch *arch)
{
    const bool bare = arch->kind != MX_KIND_DECODER && !arch->layers && !arch->runnable; /* named, not described */
    if (!bare && (!arch->layer_count || !arch->hidden)) abort();
    if (arch->layer_count > MX_ARCH_MAX_LAYERS || (bare && arch->layer_count)) abort();
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        const struct mx_layer *layer = &arch->layers[i];
        if (layer->attention.kind != MX_ATTENTION_NONE &&
            (!layer->attention.heads || !layer->attention.kv_heads || !layer->attention.v_dim))
            abort();
        if (layer->attention.shares_cache_of >= (int32_t)i) abort();
    }
    if (arch->runnable && (!arch->vocab || !arch->names)) abort();
    if (mx_arch_cache_elements(arch, 0) != 0) abort();
    if (mx_arch_cache_elements(arch, 4096) > mx_arch_cache_elements(arch, 1 << 20)) abort();
    (void)mx_arch_state_elements(arch);
    (void)mx_arch_parameters(arch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cJSON *root;
    struct mx_arch arch;
    struct mx_error err;
    const struct mx_json_rules rules = {.allow_nan = true};
    if (mx_json_parse(&root, (const char *)data, size, "config.json", &rules, &err) != MX_OK) return 0;
    if (mx_arch_from_json(&arch, root, "config.json", &err) == MX_OK) {
        check(&arch);
        mx_arch_free(&arch);
    }
    cJSON_Delete(root);
    return 0;
}
