/* How much work a text may be: what a file asks for beyond these is refused with MX_ERR_LIMIT, so that no text costs
 * more than in proportion to its length. docs/formats.md lists them, with those of other stages. */
#ifndef MX_TOKENIZER_LIMITS_H
#define MX_TOKENIZER_LIMITS_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum {
    MX_MAX_STEPS = 64,        /* of a normalizer, a pre-tokenizer, a decoder; the longest real one has 10 */
    MX_GROWTH = 64,           /* bytes that a byte of text may become on the way; NFKC makes at most 11 of one */
    MX_GROWTH_FREE = 1 << 16, /* bytes that any text may become */
    MX_MAX_PIECE = 1024,      /* bytes of a piece that is searched for at every place of a text (Unigram, WordPiece) */
    MX_MAX_AROUND = 1024,     /* ids that a post-processor puts around a text */
};

static inline uint64_t mx_growth_limit(uint64_t length)
{
    return length * MX_GROWTH + MX_GROWTH_FREE;
}

/* "tokenizer.json: normalizer: more than 64 steps". */
static inline mx_status mx_fail_steps(struct mx_error *err, const char *file, const char *place)
{
    return mx_fail(err, MX_ERR_LIMIT, "%s: %s: more than %d steps", file, place, (int)MX_MAX_STEPS);
}

/* "the tokenizer's normalizer makes more than 64 bytes of one". */
static inline mx_status mx_fail_growth(struct mx_error *err, const char *stage)
{
    return mx_fail(err, MX_ERR_LIMIT, "the tokenizer's %s makes more than %d bytes out of each of the text", stage,
                   (int)MX_GROWTH);
}

#endif
