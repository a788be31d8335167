/* Error messages: formatted once, kept on one line. */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clean.h"

#undef mx_fail
#undef mx_fail_memory

mx_status mx_fail(struct mx_error *err, mx_status status, const char *format, ...)
{
    if (!err) return status;
    va_list args;
    va_start(args, format);
    err->status = status;
    vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    mx_clean(err->message);
    return status;
}

mx_status mx_fail_memory(struct mx_error *err, const char *what, size_t bytes)
{
    if (bytes == 0) return mx_fail(err, MX_ERR_MEMORY, "out of memory for %s", what);
    return mx_fail(err, MX_ERR_MEMORY, "out of memory: %zu bytes for %s", bytes, what);
}

mx_status mx_fail_prefix(struct mx_error *err, const char *format, ...)
{
    if (!err) return MX_ERR_FORMAT;
    char prefix[256];
    char rest[sizeof err->message];
    va_list args;
    va_start(args, format);
    vsnprintf(prefix, sizeof prefix, format, args);
    va_end(args);
    memcpy(rest, err->message, sizeof rest);
    return mx_fail(err, err->status, "%s: %s", prefix, rest);
}
