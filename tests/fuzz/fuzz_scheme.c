/* Fuzz target: the side files that describe quantized weights (quantization_config of config.json,
 * hf_quant_config.json, quantize_config.json), and the rules in them against names of modules. */
#include <math.h>
#include <stdlib.h>

#include "base/json.h"
#include "checkpoint/quantization.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void weigh(const struct mx_quantization *quantization)
{
    static const char *const names[][3] = {{"self_attn.q_proj", "attn.wq", NULL},
                                           {"mlp.experts.0.up_proj", "block_sparse_moe.experts.0.w3", NULL},
                                           {"lm_head", "output", NULL}};
    struct mx_scheme_matcher *matcher;
    struct mx_error err;
    if (mx_scheme_matcher_open(&matcher, &quantization->scheme, 40, &err) != MX_OK) return;
    for (int i = 0; i < 3; i++) {
        const struct mx_module module = {
            .layer = i < 2 ? 3 * i : -1, .names = names[i], .expert = i == 1, .head = i == 2};
        const struct mx_width width = mx_scheme_width(matcher, &module);
        const double bytes = mx_width_bytes(&width, 128, 256, 2);
        if (isnan(bytes) || bytes > 1e13) abort();
    }
    mx_scheme_matcher_close(matcher);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cJSON *root;
    struct mx_error err;
    const struct mx_json_rules rules = {.allow_nan = true};
    if (mx_json_parse(&root, (const char *)data, size, "input", &rules, &err) != MX_OK) return 0;
    struct mx_arena arena = {0};
    struct mx_quantization quantization;
    if (mx_quantization_read(&quantization, &arena, root, "input", &err) == MX_OK &&
        quantization.kind == MX_QUANT_FOREIGN)
        weigh(&quantization);
    if (cJSON_IsObject(root) && mx_quantization_read_scheme(&quantization, &arena, root, "input", &err) == MX_OK &&
        quantization.kind == MX_QUANT_FOREIGN)
        weigh(&quantization);
    mx_arena_free(&arena);
    cJSON_Delete(root);
    return 0;
}
