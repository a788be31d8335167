/* The user's cache folder: what is kept there can be computed anew at any time. */
#ifndef MX_BASE_USER_CACHE_H
#define MX_BASE_USER_CACHE_H

#include <stdbool.h>

enum { MX_USER_CACHE_PATH = 1024 };

/* The path of NAME under $XDG_CACHE_HOME/mlxcel, or ~/.cache/mlxcel, its folders made; false where there is no home. */
bool mx_user_cache_path(char path[MX_USER_CACHE_PATH], const char *name);

#endif
