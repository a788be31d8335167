/* Numbers of a file: which of them the kernels compute with, and whether they are sound. */
#ifndef MX_CHECKPOINT_FLOATS_H
#define MX_CHECKPOINT_FLOATS_H

#include <stdbool.h>

#include "base/floats.h"
#include "checkpoint/safetensors.h"

/* True, and *dtype set, if the kernels compute with what is stored this way. */
static inline bool mx_storage_float(enum mx_storage storage, enum mx_dtype *dtype)
{
    switch (storage) {
    case MX_STORAGE_F32: *dtype = MX_F32; return true;
    case MX_STORAGE_F16: *dtype = MX_F16; return true;
    case MX_STORAGE_BF16: *dtype = MX_BF16; return true;
    default: return false;
    }
}

/* True if none of `count` numbers is NaN or infinite. */
bool mx_floats_finite(const uint8_t *data, enum mx_dtype dtype, size_t count);

#endif
