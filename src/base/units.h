/* Numbers as people write and read them. */
#ifndef MX_BASE_UNITS_H
#define MX_BASE_UNITS_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* "8589934592", "8GB", "8 GiB", "1.5g": decimal units with B (kB MB GB TB), binary with iB; a bare k, M, G, T is
 * binary. Case is ignored. `what` names the flag in messages. */
mx_status mx_parse_bytes(const char *text, const char *what, uint64_t *bytes, struct mx_error *err);

/* A whole number in [low, high], the whole text; `what` names the flag in messages. "32k" means 32 * 1024. */
mx_status mx_parse_whole(const char *text, const char *what, int64_t low, int64_t high, int64_t *value,
                         struct mx_error *err);

/* A finite number in [low, high], the whole text. */
mx_status mx_parse_number(const char *text, const char *what, double low, double high, double *value,
                          struct mx_error *err);

/* "1.5 GB" (decimal units, three digits at most) into buffer[16]; returns buffer. */
const char *mx_format_bytes(uint64_t bytes, char buffer[16]);

/* "32,768" into buffer[32]; returns buffer. */
const char *mx_format_count(uint64_t count, char buffer[32]);

#endif
