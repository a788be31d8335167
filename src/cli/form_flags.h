/* What a reply must look like: flags, and the constraint that they mean. */
#ifndef MX_CLI_FORM_FLAGS_H
#define MX_CLI_FORM_FLAGS_H

#include "cli/command.h"
#include "engine/session.h"
#include "structure/constraint.h"

struct mx_form_flags {
    bool object;
    const char *schema;
};

/* clang-format off */
#define MX_FORM_FLAG_ROWS(type, member)                                                                                \
    {"json-object", 0, MX_FLAG_SWITCH, NULL, "make the reply a JSON object", offsetof(type, member.object)},             \
    {"json-schema", 0, MX_FLAG_PATH, "FILE", "make the reply JSON that satisfies this schema",                           \
     offsetof(type, member.schema)}
/* clang-format on */

/* *constraint is NULL where no flag is given, else the caller's to close. */
mx_status mx_form_flags_open(struct mx_constraint **constraint, const struct mx_form_flags *flags,
                             struct mx_session *session, struct mx_error *err);

#endif
