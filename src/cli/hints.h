/* Which flag sets the quantity that a message of the library names. The library knows no flags: it says "raise the
 * context", and the program adds "(--ctx)". */
#ifndef MX_CLI_HINTS_H
#define MX_CLI_HINTS_H

#include <stddef.h>

#include "cli/command.h"

/* " (--kv-recent, --kv-sink)" for the quantities in `message` that `command` has a flag for, into buffer; "" where
 * there is none. Returns buffer. `command` may be NULL. */
const char *mx_flag_hints(const struct mx_command *command, const char *message, char *buffer, size_t size);

#endif
