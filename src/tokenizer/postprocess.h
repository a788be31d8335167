/* What goes around the ids of a text ("post_processor" of tokenizer.json). Every kind amounts, for a single text, to
 * ids in front and ids behind. */
#ifndef MX_TOKENIZER_POSTPROCESS_H
#define MX_TOKENIZER_POSTPROCESS_H

#include "base/error.h"
#include "tokenizer/settings.h"
#include "tokenizer/tokenizer.h"

struct mx_postprocessor {
    struct mx_ids before; /* in reverse order: later steps of a Sequence put theirs further out */
    struct mx_ids after;
};

/* settings->json is the component; null adds nothing. */
mx_status mx_postprocessor_parse(struct mx_postprocessor *post, const struct mx_settings *settings);
void mx_postprocessor_free(struct mx_postprocessor *post);

#endif
