/* Where kept figures lie (XDG Base Directory Specification). */
#include "base/user_cache.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

bool mx_user_cache_path(char path[MX_USER_CACHE_PATH], const char *name)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    char folder[900];
    if (cache && *cache == '/')
        snprintf(folder, sizeof folder, "%.800s", cache);
    else if (home && *home == '/')
        snprintf(folder, sizeof folder, "%.800s/.cache", home);
    else
        return false;
    mkdir(folder, 0700);
    snprintf(path, MX_USER_CACHE_PATH, "%s/mlxcel", folder);
    mkdir(path, 0700);
    snprintf(path, MX_USER_CACHE_PATH, "%s/mlxcel/%.100s", folder, name);
    return true;
}
