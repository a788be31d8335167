/* Answers as the interface has them: chunks of a stream, and whole ones. All functions append to `out`. */
#ifndef MX_SERVE_ANSWER_H
#define MX_SERVE_ANSWER_H

#include "serve/choice.h"

/* An event of the stream with what the choice has not yet sent (its first one also says the role), and its end if it
 * has ended. */
void mx_answer_chunk(struct mx_str *out, const struct mx_choice *choice);

/* The event with the counts of tokens; then the one that ends a stream. */
void mx_answer_usage_chunk(struct mx_str *out, const struct mx_work *work);
void mx_answer_last(struct mx_str *out);
/* The event that tells what went wrong after the stream had begun. */
void mx_answer_failure_chunk(struct mx_str *out, const struct mx_refusal *failure);

/* The whole answer, all choices. */
void mx_answer_whole(struct mx_str *out, const struct mx_work *work);

#endif
