/* Lists in flags: cache modes and numbers, separated by commas. */
#ifndef MX_CLI_MODE_LIST_H
#define MX_CLI_MODE_LIST_H

#include "base/error.h"
#include "cache/mode.h"

/* "int8,turbo4" or "all"; each mode at most once. */
mx_status mx_mode_list_parse(const char *text, enum mx_mode modes[MX_MODE_COUNT], size_t *count, struct mx_error *err);

/* The same with plan files among the modes ("int8,plan.json"), as options: each is `base` with another mode, and a plan
 * its own protections where base has the defaults. At most MX_KV_LIST - 1. */
enum { MX_KV_LIST = 32 };
mx_status mx_kv_list_parse(const char *text, const struct mx_kv_options *base, struct mx_kv_options list[MX_KV_LIST],
                           size_t *count, struct mx_error *err);

enum { MX_WHOLE_LIST = 32 };
/* "0,4096,16k": whole numbers in [low, high], which uint32_t holds. `what` names the flag. */
mx_status mx_whole_list_parse(const char *text, const char *what, int64_t low, int64_t high,
                              uint32_t values[MX_WHOLE_LIST], size_t *count, struct mx_error *err);

#endif
