/* --json-object and --json-schema. */
#include "cli/form_flags.h"

#include "base/str.h"
#include "cli/engine_flags.h"

mx_status mx_form_flags_open(struct mx_constraint **constraint, const struct mx_form_flags *flags,
                             struct mx_session *session, struct mx_error *err)
{
    *constraint = NULL;
    if (!flags->object && !flags->schema) return MX_OK;
    if (flags->object && flags->schema) {
        return mx_fail(err, MX_ERR_ARGUMENT, "give --json-object or --json-schema, not both");
    }
    const struct mx_token_trie *trie;
    MX_TRY(mx_session_trie(session, &trie, err));
    struct mx_str text = {0};
    mx_status status = flags->schema ? mx_read_text(flags->schema, &text, err) : MX_OK;
    if (status == MX_OK) {
        status = mx_constraint_from_schema(constraint, flags->schema ? mx_str_text(&text) : NULL, text.length,
                                           flags->schema, trie, err);
    }
    mx_str_free(&text);
    return status;
}
