/* Lists in flags: cache modes and depths, separated by commas. */
#ifndef MX_CLI_MODE_LIST_H
#define MX_CLI_MODE_LIST_H

#include "base/error.h"
#include "cache/mode.h"

/* "int8,turbo4" or "all"; each mode at most once. */
mx_status mx_mode_list_parse(const char *text, enum mx_mode modes[MX_MODE_COUNT], size_t *count, struct mx_error *err);

enum { MX_DEPTH_LIST = 32 };
/* "0,4096,16k": whole numbers from 0. `what` names the flag. */
mx_status mx_depth_list_parse(const char *text, const char *what, uint32_t depths[MX_DEPTH_LIST], size_t *count,
                              struct mx_error *err);

#endif
