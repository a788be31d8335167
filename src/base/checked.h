/* Arithmetic of sizes. For numbers that come from files: mx_mul_size and mx_add_size return false, and leave *out
 * alone, on overflow. */
#ifndef MX_BASE_CHECKED_H
#define MX_BASE_CHECKED_H

#include <stdbool.h>
#include <stddef.h>

static inline bool mx_mul_size(size_t a, size_t b, size_t *out)
{
    size_t result;
    if (__builtin_mul_overflow(a, b, &result)) return false;
    *out = result;
    return true;
}

static inline bool mx_add_size(size_t a, size_t b, size_t *out)
{
    size_t result;
    if (__builtin_add_overflow(a, b, &result)) return false;
    *out = result;
    return true;
}

static inline size_t mx_max(size_t a, size_t b)
{
    return a > b ? a : b;
}

static inline size_t mx_min(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* `value` rounded up to a multiple of `unit` (unit > 0); value + unit must not overflow. */
static inline size_t mx_round_up(size_t value, size_t unit)
{
    return (value + unit - 1) / unit * unit;
}

#endif
