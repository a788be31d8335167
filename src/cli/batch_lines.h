/* The lines that `mlxcel batch` reads and writes: prompts with their settings, and results. */
#ifndef MX_CLI_BATCH_LINES_H
#define MX_CLI_BATCH_LINES_H

#include "base/str.h"
#include "engine/scheduler.h"
#include "engine/session.h"

/* One prompt: a line of the input. */
struct mx_batch_line {
    size_t index; /* of the line, from 0 */
    char *id;     /* as JSON; NULL where the line has none */
    struct mx_ids prompt;
    uint32_t max_tokens;
    struct mx_sampler_options sampler;
    char **stops; /* owned, as its strings */
    size_t stop_count;
    struct mx_constraint *form; /* what the reply must look like, owned; NULL: anything */
    bool done;                  /* the output has it already */
};

struct mx_batch_lines {
    struct mx_batch_line *items;
    size_t count;
};

/* Reads all lines of `text`, called `name`, one JSON object each (docs/batch.md); blank ones count and are skipped.
 * What a line leaves out is as in `defaults`. Fails with MX_ERR_FORMAT and the line's number where one is no such
 * object, has a member that nobody reads, or a setting out of range. To be freed, after a failure too. */
mx_status mx_batch_read(struct mx_batch_lines *lines, struct mx_session *session, const struct mx_batch_line *defaults,
                        const char *text, size_t length, const char *name, struct mx_error *err);
void mx_batch_free(struct mx_batch_lines *lines);

/* Marks the lines whose results stand in `text`, the output of an earlier run called `name`. *whole is the length up to
 * the end of its last whole line. Fails with MX_ERR_FORMAT where it is no output of these prompts. */
mx_status mx_batch_mark_done(struct mx_batch_lines *lines, const char *text, size_t length, const char *name,
                             size_t *whole, struct mx_error *err);

/* Appends a result as a line. */
void mx_batch_write(struct mx_str *out, const struct mx_batch_line *line, const struct mx_generation *generation);

#endif
