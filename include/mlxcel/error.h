/* Errors of libmlxcel.
 *
 * A function that can fail returns an mx_status (MX_OK is 0) and, on failure, leaves one line in the caller's
 * struct mx_error: what is wrong, where (file, tensor, field, line and column), and what to do about it.
 * The library never prints and never exits; a failing function leaves nothing half-made behind.
 */
#ifndef MLXCEL_ERROR_H
#define MLXCEL_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

typedef enum mx_status {
    MX_OK = 0,
    MX_ERR_ARGUMENT,    /* the caller asked for something that makes no sense: a flag, a range, a combination */
    MX_ERR_IO,          /* the operating system refused: missing, unreadable, disk full */
    MX_ERR_FORMAT,      /* a file's content is not what it claims to be */
    MX_ERR_UNSUPPORTED, /* well-formed, but nothing here can run or read it */
    MX_ERR_LIMIT,       /* exceeds a stated limit, or would not fit in memory */
    MX_ERR_MEMORY,      /* an allocation failed */
    MX_ERR_INTERRUPTED, /* the caller's interrupt flag was raised */
    MX_ERR_NOT_A_NUMBER /* the model's output is NaN or infinite */
} mx_status;

struct mx_error {
    mx_status status;
    char message[512]; /* UTF-8, one line, no trailing newline; truncated if longer */
};

#ifdef __cplusplus
}
#endif
#endif
