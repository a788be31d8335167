/* The flag that says where measurements are kept, shared by every command that reads or writes them. */
#ifndef MX_CLI_STORE_FLAGS_H
#define MX_CLI_STORE_FLAGS_H

#include "cli/command.h"
#include "records/store.h"

struct mx_store_flags {
    const char *path;
};

/* clang-format off */
#define MX_STORE_FLAG_ROWS(type, member)                                                                               \
    {"store", 0, MX_FLAG_PATH, "FILE", "the store of measurements (default: in $XDG_DATA_HOME/mlxcel)",                \
     offsetof(type, member.path)}
/* clang-format on */

/* Opens the store that the flag or the default names. */
mx_status mx_store_flags_open(struct mx_store **store, const struct mx_store_flags *flags, enum mx_store_access access,
                              struct mx_error *err);

#endif
