/* The sum of weigh.h. */
#include "advisor/weigh.h"

#include "config/tensors.h"

/* Adds up the parameters of all routed experts. */
static mx_status add_experts(void *context, const struct mx_tensor_spec *spec)
{
    if (spec->used) *(double *)context += (double)spec->count * (double)spec->rows * (double)spec->cols;
    return MX_OK;
}

mx_status mx_weigh(double *bytes, const struct mx_arch *arch, const struct mx_quantization *quantization, double plain,
                   struct mx_error *err)
{
    const struct mx_parameters parameters = mx_arch_parameters(arch);
    const double total = (double)parameters.total, hidden = arch->hidden;
    const double embedding = (double)parameters.embedding;
    double experts = 0;
    MX_TRY(mx_tensors_each(arch, add_experts, &experts));
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
