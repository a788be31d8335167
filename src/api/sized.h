/* Structs of the public interface that begin with their size: a program's copy may be older or newer than ours. */
#ifndef MX_API_SIZED_H
#define MX_API_SIZED_H

#include <string.h>

#include "base/error.h"

/* Copies what `given` has of the fields that *own, of `size` bytes and filled with defaults, knows. Fails where the
 * size that it claims can't be one. */
static inline mx_status mx_take_sized(void *own, size_t size, const void *given, const char *name, struct mx_error *err)
{
    enum { MOST = 1 << 16 };
    size_t claimed;
    memcpy(&claimed, given, sizeof claimed);
    if (claimed < sizeof claimed || claimed > MOST) {
        return mx_fail(err, MX_ERR_ARGUMENT, "struct %s has size %zu; begin with what its _default() returns", name,
                       claimed);
    }
    memcpy(own, given, claimed < size ? claimed : size);
    memcpy(own, &size, sizeof size);
    return MX_OK;
}

/* Whether a result's size member was set. */
static inline mx_status mx_check_sized(const void *result, const char *name, struct mx_error *err)
{
    size_t claimed;
    memcpy(&claimed, result, sizeof claimed);
    if (claimed > sizeof claimed && claimed <= 1 << 20) return MX_OK;
    return mx_fail(err, MX_ERR_ARGUMENT, "struct %s has size %zu; set it to the struct's sizeof", name, claimed);
}

/* Copies *own into the program's struct, as much as fits there. */
static inline void mx_give_sized(void *result, const void *own, size_t size)
{
    size_t claimed;
    memcpy(&claimed, result, sizeof claimed);
    memcpy(result, own, claimed < size ? claimed : size);
    memcpy(result, &claimed, sizeof claimed);
}

#endif
