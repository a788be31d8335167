#include "cli/store_flags.h"

#include <limits.h>

mx_status mx_store_flags_open(struct mx_store **store, const struct mx_store_flags *flags, enum mx_store_access access,
                              struct mx_error *err)
{
    char path[PATH_MAX];
    if (flags->path) return mx_store_open(store, flags->path, access, err);
    MX_TRY(mx_store_path(path, sizeof path, err));
    return mx_store_open(store, path, access, err);
}
