/* Fuzz target: bodies of requests. The first byte says which kind; what is accepted keeps its bounds. */
#include <stdint.h>
#include <stdlib.h>

#include "serve/ask.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct mx_ask *ask)
{
    if (ask->n == 0 || ask->n > MX_ASK_CHOICES || ask->max_tokens > MX_ASK_NO_LIMIT) abort();
    if (ask->stop_count > MX_ASK_STOPS || ask->bias_count > MX_ASK_BIASES) abort();
    if (ask->top_logprobs > MX_ASK_TOP_LOGPROBS || ask->prompt_count * ask->n > MX_ASK_CHOICES) abort();
    for (size_t i = 0; i < ask->stop_count; i++) {
        if (!ask->stops[i][0]) abort();
    }
    if (ask->kind == MX_ASK_CHAT ? !ask->chat.messages.text : ask->prompt_count == 0) abort();
    for (size_t i = 0; i < ask->prompt_count; i++) {
        for (size_t k = 0; k < ask->prompts[i].ids.count; k++) {
            if (ask->prompts[i].ids.data[k] < 0) abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    struct mx_ask ask;
    struct mx_refusal refusal;
    struct mx_str body = {0}, out = {0};
    mx_str_append(&body, data + 1, size - 1);
    const enum mx_ask_kind kind = data[0] == 'c' ? MX_ASK_CHAT : data[0] == 'r' ? MX_ASK_RESPONSE : MX_ASK_COMPLETION;
    if (mx_ask_read(&ask, kind, &body, "tiny", &refusal)) {
        check(&ask);
        mx_ask_free(&ask);
    } else {
        mx_refusal_write(&out, &refusal);
        if (out.length == 0 || refusal.error.message[0] == '\0') abort();
    }
    mx_str_free(&out);
    mx_str_free(&body);
    return 0;
}
