/* What a client asks for: the body of a request to /v1/chat/completions, /v1/completions or /v1/responses as a plain
 * struct, checked.
 *
 * A body is hostile until it is read: sizes, counts and ranges are bounded, members that nobody reads are refused by
 * name, so that nothing is ignored in silence. Nothing here opens a file or asks a model.
 *
 * Read next: work.h (what becomes of it).
 */
#ifndef MX_SERVE_ASK_H
#define MX_SERVE_ASK_H

#include "base/json.h"
#include "engine/sampler.h"
#include "serve/refusal.h"
#include "serve/response.h"
#include "tokenizer/chat.h"

enum {
    MX_ASK_STOPS = 16,         /* the most stop strings */
    MX_ASK_STOP_BYTES = 1024,  /* the longest */
    MX_ASK_CHOICES = 128,      /* the most answers to one request: prompts times n */
    MX_ASK_BIASES = 1024,      /* the most tokens in logit_bias */
    MX_ASK_TOP_LOGPROBS = 20,  /* the most alternatives to a token */
    MX_ASK_NO_LIMIT = 1 << 30, /* max_tokens where the request says none: what the context holds */
};

enum mx_ask_kind { MX_ASK_CHAT, MX_ASK_COMPLETION, MX_ASK_RESPONSE };

struct mx_ask_bias {
    int32_t token;
    float bias;
};

/* A prompt of a completion: text, or token ids. */
struct mx_ask_prompt {
    const char *text; /* in `root`; NULL: ids */
    struct mx_ids ids;
};

struct mx_ask {
    enum mx_ask_kind kind; /* of a response: a chat, which it has become */
    bool stream, include_usage;
    bool logprobs;
    uint32_t top_logprobs; /* alternatives to each token */
    bool one_call;         /* no second call of a tool in an answer */
    uint32_t n, max_tokens;
    struct mx_sampler_options sampler;
    bool seeded;                                /* the request says a seed */
    double presence_penalty, frequency_penalty; /* taken off the logits of tokens that the reply has already */
    const char *stops[MX_ASK_STOPS];            /* in `root` */
    size_t stop_count;
    struct mx_ask_bias *biases;
    size_t bias_count;
    struct mx_ask_prompt *prompts; /* of a completion */
    size_t prompt_count;
    struct mx_chat_request chat;  /* of a chat; its JSON is `body`, or `messages` */
    struct mx_response *response; /* owned; NULL: the answer is no response */
    /* Members of which form.h makes the answer's form; NULL: not said. They belong to `root`. */
    const cJSON *tools, *tool_choice, *response_format;
    /* What the above lies in. */
    cJSON *root;
    struct mx_str body, messages;
};

/* Reads `body`, which is taken over (and left empty) also on failure. `model` is the name under which the model is
 * served: a request for another is refused. On failure the refusal says why, and there is nothing to free. */
bool mx_ask_read(struct mx_ask *ask, enum mx_ask_kind kind, struct mx_str *body, const char *model,
                 struct mx_refusal *refusal);
void mx_ask_free(struct mx_ask *ask); /* also fine on a zeroed one */

#endif
