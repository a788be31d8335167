/* Bytes of a model's weights from its description alone: every tensor at the width that its scheme gives it. */
#ifndef MX_ADVISOR_WEIGH_H
#define MX_ADVISOR_WEIGH_H

#include "base/error.h"
#include "checkpoint/quantization.h"
#include "config/arch.h"

/* *bytes is negative where the scheme's width is not known. `plain`: bytes of an element that is not quantized. */
mx_status mx_weigh(double *bytes, const struct mx_arch *arch, const struct mx_quantization *quantization, double plain,
                   struct mx_error *err);

#endif
