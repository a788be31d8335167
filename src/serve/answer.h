/* Answers as the interface has them: chunks of a stream, and whole ones. All functions append to `out`. */
#ifndef MX_SERVE_ANSWER_H
#define MX_SERVE_ANSWER_H

#include "serve/choice.h"

/* An event of the stream with what the choice has not yet sent (its first one also says the role), and its end if it
 * has ended. */
void mx_answer_chunk(struct mx_str *out, const struct mx_choice *choice);

/* The events that end a stream: what went wrong after it had begun, or the counts of tokens where they are wanted. */
void mx_answer_end(struct mx_str *out, const struct mx_work *work);

/* The whole answer, all choices. */
void mx_answer_whole(struct mx_str *out, const struct mx_work *work);

#endif
