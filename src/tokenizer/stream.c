/* Decoding id by id: the decoder's own steps, run eagerly. */
#include <stdlib.h>

#include "tokenizer/internal.h"
#include "tokenizer/tokenizer.h"

struct mx_text_stream {
    const struct mx_tokenizer *tokenizer;
    bool skip_special;
    struct mx_decoder_run run;
};

mx_status mx_text_stream_open(struct mx_text_stream **stream, const struct mx_tokenizer *tokenizer, bool skip_special,
                              struct mx_error *err)
{
    struct mx_text_stream *made = malloc(sizeof *made);
    *stream = NULL;
    if (!made) return mx_fail_memory(err, "a text stream", sizeof *made);
    made->tokenizer = tokenizer;
    made->skip_special = skip_special;
    const mx_status status = mx_decoder_open(&made->run, &tokenizer->decoder, true, err);
    if (status == MX_OK)
        *stream = made;
    else
        free(made);
    return status;
}

void mx_text_stream_close(struct mx_text_stream *stream)
{
    if (!stream) return;
    mx_decoder_close(&stream->run);
    free(stream);
}

static void hand_out(const struct mx_text_stream *stream, const char **text, size_t *length)
{
    *text = mx_str_text(&stream->run.out);
    *length = stream->run.out.length;
}

mx_status mx_text_stream_feed(struct mx_text_stream *stream, int32_t id, const char **text, size_t *length,
                              struct mx_error *err)
{
    mx_str_clear(&stream->run.out);
    size_t size;
    const char *piece = mx_tokenizer_spelling(stream->tokenizer, id, stream->skip_special, &size);
    if (piece) MX_TRY(mx_decoder_feed(&stream->run, piece, size, err));
    hand_out(stream, text, length);
    return MX_OK;
}

mx_status mx_text_stream_skip(struct mx_text_stream *stream, const int32_t *ids, size_t count, struct mx_error *err)
{
    const char *text;
    size_t length;
    for (size_t i = 0; i < count; i++) MX_TRY(mx_text_stream_feed(stream, ids[i], &text, &length, err));
    return MX_OK;
}

mx_status mx_text_stream_finish(struct mx_text_stream *stream, const char **text, size_t *length, struct mx_error *err)
{
    mx_str_clear(&stream->run.out);
    MX_TRY(mx_decoder_finish(&stream->run, err));
    hand_out(stream, text, length);
    return MX_OK;
}
