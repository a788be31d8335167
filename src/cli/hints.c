/* The table of hints.h. */
#include "cli/hints.h"

#include <stdio.h>
#include <string.h>

static const struct hint {
    const char *phrase, *flag;
} hints[] = {
    {"raise the context", "ctx"},
    {"lower the context", "ctx"},
    {"use fewer threads", "threads"},
    {"take cache mode", "kv-cache-mode"},
    {"recent window", "kv-recent"},
    {"sinks", "kv-sink"},
    {"boundary layers", "turbo-boundary-v"},
    {"the same centering", "kv-center"},
    {"memory to plan for", "budget"},
};

static bool has_flag(const struct mx_command *command, const char *name)
{
    if (!command || !command->flags) return false;
    for (const struct mx_flag *flag = command->flags; flag->name; flag++)
        if (!strcmp(flag->name, name)) return true;
    return false;
}

const char *mx_flag_hints(const struct mx_command *command, const char *message, char *buffer, size_t size)
{
    size_t length = 0;
    const char *last = "";
    buffer[0] = '\0';
    for (size_t i = 0; i < sizeof hints / sizeof *hints; i++) {
        const struct hint *hint = &hints[i];
        if (!strcmp(hint->flag, last) || !strstr(message, hint->phrase) || !has_flag(command, hint->flag)) continue;
        const int added = snprintf(buffer + length, size - length, "%s--%s", length ? ", " : " (", hint->flag);
        if (added < 0 || (size_t)added + 2 > size - length) break;
        length += (size_t)added;
        last = hint->flag;
    }
    if (length) snprintf(buffer + length, size - length, ")");
    return buffer;
}
