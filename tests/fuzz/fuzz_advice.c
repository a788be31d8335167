/* Fuzz target: advice for any config that is accepted. Nothing overflows, what fits really fits, and no suggestion is
 * one that the resolver would replace. */
#include <stdint.h>
#include <stdlib.h>

#include "advisor/estimate.h"
#include "advisor/kv_advice.h"
#include "advisor/page.h"
#include "advisor/weights_advice.h"
#include "base/json.h"
#include "cache/size.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
    if (!good) abort();
}

static void check_suggestions(const struct mx_arch *arch)
{
    const struct mx_kv_advice_request request = {.parameters = 1};
    struct mx_kv_advice advice;
    struct mx_error err;
    check(mx_kv_advise(&advice, arch, &request, &err) == MX_OK);
    for (int range = 0; range < MX_RANGE_COUNT; range++) {
        struct mx_kv_options options = mx_kv_options_default();
        struct mx_kv_setup setup;
        options.mode = advice.lines[range].suggested;
        check(mx_kv_resolve(&setup, &options, arch, &err) == MX_OK && setup.mode == options.mode);
    }
}

static void check_page(const struct mx_subject *subject, const struct mx_estimate_request *request)
{
    static const struct mx_kv_advice_request none;
    struct mx_page_row page[MX_MODE_COUNT];
    struct mx_error err;
    if (mx_page_fill(page, subject, request, &none, &err) != MX_OK) return; /* beyond 2^63 bytes */
    for (int mode = 0; mode < MX_MODE_COUNT; mode++) {
        const struct mx_estimate *estimate = &page[mode].estimate;
        const uint64_t parts = estimate->weights + estimate->cache + estimate->state + estimate->activations;
        check(estimate->total == parts + estimate->overhead);
        check(estimate->fits == MX_FIT_UNKNOWN ||
              (estimate->fits == MX_FIT_YES) == (estimate->total <= request->available));
        check(!estimate->max_context_known ||
              (estimate->max_context >= estimate->context) == (estimate->fits == MX_FIT_YES));
    }
    const struct mx_weights_request weights = {.estimate = *request, .bandwidth = 30e9};
    struct mx_weights_advice advice;
    check(mx_weights_advise(&advice, subject, &weights, &err) == MX_OK || err.status == MX_ERR_LIMIT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cJSON *root = NULL;
    struct mx_error err;
    const struct mx_json_rules rules = {.allow_nan = true};
    if (mx_json_parse(&root, (const char *)data, size, "input", &rules, &err) != MX_OK) return 0;
    struct mx_subject subject = {0};
    if (mx_arch_from_json(&subject.arch, root, "input", &err) == MX_OK && subject.arch.layer_count <= 128) {
        subject.parameters = mx_arch_parameters(&subject.arch);
        subject.count = subject.parameters.total;
        subject.weights = subject.count / 2;
        subject.parameter_bytes = 0.5;
        check_suggestions(&subject.arch);
        const struct mx_estimate_request request = {.context = 1 + size * 131,
                                                    .batch = 1 + (uint32_t)size % 3,
                                                    .kv = mx_kv_options_default(),
                                                    .available = 8000000000};
        check_page(&subject, &request);
    }
    mx_arch_free(&subject.arch);
    cJSON_Delete(root);
    return 0;
}
