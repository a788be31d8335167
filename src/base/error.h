/* Raising errors: the internal side of <mlxcel/error.h>. */
#ifndef MX_BASE_ERROR_H
#define MX_BASE_ERROR_H

#include <mlxcel/error.h>
#include <stddef.h>

/* Records the message (printf-like) in `err`, which may be NULL, and returns `status`, so that a failing function
 * ends in `return mx_fail(...)`. A message is always one line that a terminal can show (clean.h). */
mx_status mx_fail(struct mx_error *err, mx_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same for "out of memory": `what` names what was to be stored, `bytes` its size (0: unknown). */
mx_status mx_fail_memory(struct mx_error *err, const char *what, size_t bytes);

/* Puts "PREFIX: " in front of the message in `err` and returns its status: for a caller that knows the place. */
mx_status mx_fail_prefix(struct mx_error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

#ifdef __clang_analyzer__ /* it sees one file at a time: tell it that these never return MX_OK */
#define mx_fail(err, status, ...) ((void)(mx_fail)(err, status, __VA_ARGS__), (status))
#define mx_fail_memory(err, what, bytes) ((void)(mx_fail_memory)(err, what, bytes), MX_ERR_MEMORY)
#endif

/* Returns from the calling function if `expression` did not yield MX_OK. */
#define MX_TRY(expression)                                                                                             \
    do {                                                                                                               \
        const mx_status mx_try_status = (expression);                                                                  \
        if (mx_try_status != MX_OK) return mx_try_status;                                                              \
    } while (0)

#endif
