/* The sum of weigh.h. */
#include "advisor/weigh.h"

/* Parameters of all routed experts. */
static double expert_parameters(const struct mx_arch *arch)
{
    double sum = 0;
    for (uint32_t i = 0; i < arch->layer_count; i++)
        if (arch->layers[i].feed_forward == MX_FEED_FORWARD_EXPERTS)
            sum += 3.0 * arch->experts.count * arch->hidden * arch->layers[i].intermediate;
    return sum;
}

mx_status mx_weigh(double *bytes, const struct mx_arch *arch, const struct mx_quantization *quantization, double plain,
                   struct mx_error *err)
{
    const struct mx_parameters parameters = mx_arch_parameters(arch);
    const double total = (double)parameters.total, hidden = arch->hidden;
    const double experts = expert_parameters(arch), embedding = (double)parameters.embedding;
    const double head = arch->tied ? 0 : embedding;
    if (quantization->kind == MX_QUANT_MLX) {
        *bytes = total * (quantization->quant.bits / 8.0 + 4.0 / quantization->quant.group);
        return MX_OK;
    }
    *bytes = total * plain;
    if (quantization->kind == MX_QUANT_NONE) return MX_OK;
    const struct mx_scheme *scheme = &quantization->scheme;
    const double covered = scheme->scope == MX_SCOPE_EXPERTS ? experts : total - embedding - head;
    const double some = mx_width_bytes(&scheme->width, covered / hidden, hidden, plain);
    const double last = mx_width_bytes(&scheme->head, head / hidden, hidden, plain);
    *bytes = some < 0 || last < 0 ? -1 : some + last + (total - covered - head) * plain;
    return MX_OK;
}
