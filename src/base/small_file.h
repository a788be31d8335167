/* Files of /proc and /sys: small, and read without allocating, so that what they say does not depend on how much memory
 * is left. */
#ifndef MX_BASE_SMALL_FILE_H
#define MX_BASE_SMALL_FILE_H

#include <stdbool.h>

enum { MX_SMALL_FILE = 8192 };

/* The first MX_SMALL_FILE - 1 bytes of DIRECTORY/NAME as text; false if it can't be read. */
bool mx_small_file(const char *directory, const char *name, char text[MX_SMALL_FILE]);

#endif
