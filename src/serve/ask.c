/* Reading requests: a table of members, and one function for each that is more than a number or a switch. */
#include "serve/ask.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "serve/conversation.h"

struct reading {
    struct mx_ask *ask;
    const char *model;
    bool logprob_count_said;
    struct mx_refusal *refusal;
};

static bool refuse(const struct reading *reading, const cJSON *item, const char *wanted)
{
    char what[80];
    return mx_refuse(reading->refusal, MX_REFUSE_REQUEST, item->string, "\"%.60s\" is %s; it must be %s", item->string,
                     mx_json_describe(item, what, sizeof what), wanted);
}

static bool refuse_memory(const struct reading *reading, const char *what, size_t bytes)
{
    struct mx_error error;
    (void)mx_fail_memory(&error, what, bytes);
    return mx_refuse_error(reading->refusal, MX_REFUSE_LEAVING, NULL, &error);
}

/* --- members that need more than a range --- */

static bool read_model(struct reading *reading, const cJSON *item)
{
    if (!cJSON_IsString(item)) return refuse(reading, item, "a text");
    if (!reading->model || strcmp(item->valuestring, reading->model) == 0) return true;
    return mx_refuse(reading->refusal, MX_REFUSE_MODEL, "model", "the model \"%.200s\" is not here; this server has %s",
                     item->valuestring, reading->model);
}

static bool add_stop(struct reading *reading, const cJSON *item, const cJSON *one)
{
    static const char wanted[] = "a text of 1 to 1024 bytes, or a list of at most 16 of them";
    struct mx_ask *ask = reading->ask;
    if (!cJSON_IsString(one) || !one->valuestring[0] || strlen(one->valuestring) > MX_ASK_STOP_BYTES ||
        ask->stop_count == MX_ASK_STOPS) {
        return refuse(reading, item, wanted);
    }
    ask->stops[ask->stop_count++] = one->valuestring;
    return true;
}

static bool read_stop(struct reading *reading, const cJSON *item)
{
    if (!cJSON_IsArray(item)) return add_stop(reading, item, item);
    const cJSON *one;
    cJSON_ArrayForEach (one, item) {
        if (!add_stop(reading, item, one)) return false;
    }
    return true;
}

static bool read_seed(struct reading *reading, const cJSON *item)
{
    int64_t seed;
    const int64_t most = (int64_t)1 << 53;
    if (!mx_json_whole(item, -most, most, &seed)) return refuse(reading, item, "a whole number within 2^53");
    reading->ask->sampler.seed = (uint64_t)seed;
    reading->ask->seeded = true;
    return true;
}

/* -1 means all, as llama.cpp and vLLM have it. */
static bool read_top_k(struct reading *reading, const cJSON *item)
{
    int64_t k;
    if (!mx_json_whole(item, -1, 1 << 24, &k)) return refuse(reading, item, "a whole number from -1 to 16777216");
    reading->ask->sampler.top_k = k > 0 ? (uint32_t)k : 0;
    return true;
}

static bool read_stream_options(struct reading *reading, const cJSON *item)
{
    const cJSON *one;
    if (!cJSON_IsObject(item)) return refuse(reading, item, "an object");
    cJSON_ArrayForEach (one, item) {
        const bool usage = strcmp(one->string, "include_usage") == 0;
        /* Padding against listeners on the way is for TLS between machines: none is added. */
        if (!usage && strcmp(one->string, "include_obfuscation") != 0) {
            return mx_refuse(reading->refusal, MX_REFUSE_REQUEST, "stream_options",
                             "unknown field \"%.60s\" in stream_options; there is include_usage", one->string);
        }
        if (!cJSON_IsBool(one)) return refuse(reading, one, "true or false");
        if (usage) reading->ask->include_usage = cJSON_IsTrue(one);
    }
    return true;
}

/* A switch for a chat, a number for a completion. */
static bool read_logprobs(struct reading *reading, const cJSON *item)
{
    struct mx_ask *ask = reading->ask;
    int64_t count;
    if (ask->kind == MX_ASK_CHAT) {
        if (!cJSON_IsBool(item)) return refuse(reading, item, "true or false");
        ask->logprobs = cJSON_IsTrue(item);
        return true;
    }
    if (!mx_json_whole(item, 0, MX_ASK_TOP_LOGPROBS, &count)) return refuse(reading, item, "a whole number, 0 to 20");
    ask->logprobs = true;
    ask->top_logprobs = (uint32_t)count;
    return true;
}

static bool read_top_logprobs(struct reading *reading, const cJSON *item)
{
    int64_t count;
    if (!mx_json_whole(item, 0, MX_ASK_TOP_LOGPROBS, &count)) return refuse(reading, item, "a whole number, 0 to 20");
    reading->ask->top_logprobs = (uint32_t)count;
    reading->logprob_count_said = true;
    return true;
}

static bool read_logit_bias(struct reading *reading, const cJSON *item)
{
    static const char wanted[] = "an object of at most 1024 token ids, each with a number from -100 to 100";
    struct mx_ask *ask = reading->ask;
    const int count = cJSON_GetArraySize(item);
    if (!cJSON_IsObject(item) || count > MX_ASK_BIASES) return refuse(reading, item, wanted);
    ask->biases = calloc((size_t)count + 1, sizeof *ask->biases);
    if (!ask->biases) return refuse_memory(reading, "logit_bias", (size_t)count * sizeof *ask->biases);
    const cJSON *one;
    cJSON_ArrayForEach (one, item) {
        char *end;
        const bool digit = one->string[0] >= '0' && one->string[0] <= '9';
        const unsigned long long id = digit ? strtoull(one->string, &end, 10) : 0;
        if (!digit || *end || id > INT32_MAX || !cJSON_IsNumber(one) || !(fabs(one->valuedouble) <= 100)) {
            return refuse(reading, item, wanted);
        }
        ask->biases[ask->bias_count++] = (struct mx_ask_bias){(int32_t)id, (float)one->valuedouble};
    }
    return true;
}

static bool add_ids(const struct reading *reading, const cJSON *item, const cJSON *list, struct mx_ids *ids)
{
    const cJSON *one;
    cJSON_ArrayForEach (one, list) {
        int64_t id;
        struct mx_error error;
        if (!mx_json_whole(one, 0, INT32_MAX, &id)) {
            return refuse(reading, item, "a text, a list of texts, a list of token ids, or a list of such lists");
        }
        if (mx_ids_append(ids, (int32_t)id, &error) != MX_OK) {
            return mx_refuse_error(reading->refusal, MX_REFUSE_LEAVING, NULL, &error);
        }
    }
    return true;
}

static bool read_prompt(struct reading *reading, const cJSON *item)
{
    struct mx_ask *ask = reading->ask;
    const bool single = !cJSON_IsArray(item) || cJSON_IsNumber(item->child);
    const int count = single ? 1 : cJSON_GetArraySize(item);
    if (count == 0 || count > MX_ASK_CHOICES) return refuse(reading, item, "a text or a list of 1 to 128 prompts");
    ask->prompts = calloc((size_t)count, sizeof *ask->prompts);
    if (!ask->prompts) return refuse_memory(reading, "prompts", (size_t)count * sizeof *ask->prompts);
    for (const cJSON *one = single ? item : item->child; one; one = single ? NULL : one->next) {
        struct mx_ask_prompt *prompt = &ask->prompts[ask->prompt_count++];
        if (cJSON_IsString(one)) {
            prompt->text = one->valuestring;
        } else if (!cJSON_IsArray(one)) {
            return refuse(reading, item, "a text, a list of texts, a list of token ids, or a list of such lists");
        } else if (!add_ids(reading, item, one, &prompt->ids)) {
            return false;
        }
    }
    return true;
}

static bool read_messages(struct reading *reading, const cJSON *item)
{
    return mx_conversation_check(item, reading->refusal);
}

static bool read_tools(struct reading *reading, const cJSON *item)
{
    const cJSON *one;
    if (!cJSON_IsArray(item)) return refuse(reading, item, "a list of tools");
    cJSON_ArrayForEach (one, item) {
        if (!cJSON_IsString(mx_json_get(mx_json_get(one, "function"), "name"))) {
            return mx_refuse(reading->refusal, MX_REFUSE_REQUEST, "tools",
                             "each of the tools must be {\"type\": \"function\", \"function\": {\"name\": ...}}");
        }
    }
    if (item->child) reading->ask->tools = item;
    return true;
}

static bool read_tool_choice(struct reading *reading, const cJSON *item)
{
    if (!cJSON_IsString(item) && !cJSON_IsObject(item)) return refuse(reading, item, "a text or an object");
    reading->ask->tool_choice = item;
    return true;
}

static bool read_parallel_calls(struct reading *reading, const cJSON *item)
{
    if (!cJSON_IsBool(item)) return refuse(reading, item, "true or false");
    reading->ask->one_call = cJSON_IsFalse(item);
    return true;
}

static bool read_response_format(struct reading *reading, const cJSON *item)
{
    const cJSON *type = mx_json_get(item, "type");
    if (!cJSON_IsString(type)) return refuse(reading, item, "an object with a \"type\"");
    if (strcmp(type->valuestring, "text") == 0) return true;
    reading->ask->response_format = item;
    return true;
}

/* Of what a template may be told, the switch for thoughts. */
static bool read_template_arguments(struct reading *reading, const cJSON *item)
{
    const cJSON *one;
    if (!cJSON_IsObject(item)) return refuse(reading, item, "an object");
    cJSON_ArrayForEach (one, item) {
        if (strcmp(one->string, "enable_thinking") != 0 && strcmp(one->string, "thinking") != 0) {
            return mx_refuse(reading->refusal, MX_REFUSE_REQUEST, item->string,
                             "unknown field \"%.60s\" in %s; there is enable_thinking", one->string, item->string);
        }
        if (!cJSON_IsBool(one)) return refuse(reading, one, "true or false");
        reading->ask->chat.think = cJSON_IsTrue(one) ? MX_THINK_ON : MX_THINK_OFF;
    }
    return true;
}

/* Of what can't be had here, the values that ask for nothing. */
static bool read_only_false(struct reading *reading, const cJSON *item)
{
    if (cJSON_IsFalse(item)) return true;
    return mx_refuse(reading->refusal, MX_REFUSE_REQUEST, item->string, "this server has no \"%s\": leave it out",
                     item->string);
}

static bool read_modalities(struct reading *reading, const cJSON *item)
{
    const cJSON *one;
    cJSON_ArrayForEach (one, item) {
        if (!cJSON_IsString(one) || strcmp(one->valuestring, "text") != 0) {
            return mx_refuse(reading->refusal, MX_REFUSE_REQUEST, "modalities", "this server writes text only");
        }
    }
    return true;
}

/* --- the table --- */

enum { CHAT = 1, COMPLETION = 2, BOTH = 3 };

static const struct member {
    const char *name;
    unsigned kinds;
    enum { NUMBER, WHOLE, SWITCH, FUNCTION, NOTHING } type; /* NOTHING: says who asks, or asks for what is so anyway */
    size_t offset;
    double low, high;
    bool (*read)(struct reading *reading, const cJSON *item);
} members[] = {
    {"model", BOTH, FUNCTION, .read = read_model},
    {"messages", CHAT, FUNCTION, .read = read_messages},
    {"prompt", COMPLETION, FUNCTION, .read = read_prompt},
    {"stream", BOTH, SWITCH, offsetof(struct mx_ask, stream)},
    {"stream_options", BOTH, FUNCTION, .read = read_stream_options},
    {"n", BOTH, WHOLE, offsetof(struct mx_ask, n), 1, MX_ASK_CHOICES},
    {"max_tokens", BOTH, WHOLE, offsetof(struct mx_ask, max_tokens), 0, MX_ASK_NO_LIMIT},
    {"max_completion_tokens", CHAT, WHOLE, offsetof(struct mx_ask, max_tokens), 0, MX_ASK_NO_LIMIT},
    {"temperature", BOTH, NUMBER, offsetof(struct mx_ask, sampler.temperature), 0, 100},
    {"top_p", BOTH, NUMBER, offsetof(struct mx_ask, sampler.top_p), 1e-6, 1},
    {"top_k", BOTH, FUNCTION, .read = read_top_k},
    {"min_p", BOTH, NUMBER, offsetof(struct mx_ask, sampler.min_p), 0, 1},
    {"repeat_penalty", BOTH, NUMBER, offsetof(struct mx_ask, sampler.repeat_penalty), 0.01, 100},
    {"repetition_penalty", BOTH, NUMBER, offsetof(struct mx_ask, sampler.repeat_penalty), 0.01, 100},
    {"presence_penalty", BOTH, NUMBER, offsetof(struct mx_ask, presence_penalty), -2, 2},
    {"frequency_penalty", BOTH, NUMBER, offsetof(struct mx_ask, frequency_penalty), -2, 2},
    {"seed", BOTH, FUNCTION, .read = read_seed},
    {"stop", BOTH, FUNCTION, .read = read_stop},
    {"logprobs", BOTH, FUNCTION, .read = read_logprobs},
    {"top_logprobs", CHAT, FUNCTION, .read = read_top_logprobs},
    {"logit_bias", BOTH, FUNCTION, .read = read_logit_bias},
    {"tools", CHAT, FUNCTION, .read = read_tools},
    {"tool_choice", CHAT, FUNCTION, .read = read_tool_choice},
    {"parallel_tool_calls", CHAT, FUNCTION, .read = read_parallel_calls},
    {"response_format", CHAT, FUNCTION, .read = read_response_format},
    {"chat_template_kwargs", CHAT, FUNCTION, .read = read_template_arguments},
    {"modalities", CHAT, FUNCTION, .read = read_modalities},
    {"echo", COMPLETION, FUNCTION, .read = read_only_false},
    {"suffix", COMPLETION, FUNCTION, .read = read_only_false},
    {"user", BOTH, NOTHING},
    {"metadata", BOTH, NOTHING},
    {"store", BOTH, NOTHING},
    {"service_tier", BOTH, NOTHING},
    {"safety_identifier", BOTH, NOTHING},
    {"prompt_cache_key", BOTH, NOTHING}, /* beginnings are found by their content */
    {"prompt_cache_retention", BOTH, NOTHING},
};

static bool read_value(struct reading *reading, const struct member *member, const cJSON *item)
{
    char wanted[80];
    char *place = (char *)reading->ask + member->offset;
    int64_t whole;
    switch (member->type) {
    case NUMBER:
        if (cJSON_IsNumber(item) && item->valuedouble >= member->low && item->valuedouble <= member->high) {
            memcpy(place, &item->valuedouble, sizeof item->valuedouble);
            return true;
        }
        snprintf(wanted, sizeof wanted, "a number from %g to %g", member->low, member->high);
        return refuse(reading, item, wanted);
    case WHOLE:
        if (mx_json_whole(item, (int64_t)member->low, (int64_t)member->high, &whole)) {
            const uint32_t value = (uint32_t)whole;
            memcpy(place, &value, sizeof value);
            return true;
        }
        snprintf(wanted, sizeof wanted, "a whole number from %" PRId64 " to %" PRId64, (int64_t)member->low,
                 (int64_t)member->high);
        return refuse(reading, item, wanted);
    case SWITCH:
        if (!cJSON_IsBool(item)) return refuse(reading, item, "true or false");
        *(bool *)place = cJSON_IsTrue(item);
        return true;
    case FUNCTION: return member->read(reading, item);
    case NOTHING: return true;
    }
    return true;
}

static bool read_member(struct reading *reading, const cJSON *item)
{
    const unsigned kind = reading->ask->kind == MX_ASK_CHAT ? CHAT : COMPLETION;
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        if (!(members[i].kinds & kind) || strcmp(item->string, members[i].name) != 0) continue;
        return cJSON_IsNull(item) || read_value(reading, &members[i], item); /* null: as if left out */
    }
    return mx_refuse(reading->refusal, MX_REFUSE_REQUEST, item->string,
                     "unknown field \"%.60s\": leave it out, or see docs/serve.md for what there is", item->string);
}

/* --- the whole --- */

static bool read_all(struct reading *reading)
{
    struct mx_ask *ask = reading->ask;
    if (!cJSON_IsObject(ask->root)) {
        return mx_refuse(reading->refusal, MX_REFUSE_REQUEST, NULL, "the body is not a JSON object");
    }
    const cJSON *item;
    cJSON_ArrayForEach (item, ask->root) {
        if (!read_member(reading, item)) return false;
    }
    const char *needed = ask->kind == MX_ASK_CHAT ? "messages" : "prompt";
    if (!mx_json_get_set(ask->root, needed)) {
        return mx_refuse(reading->refusal, MX_REFUSE_REQUEST, needed, "the request has no \"%s\"", needed);
    }
    if (reading->logprob_count_said && !ask->logprobs && ask->top_logprobs) {
        return mx_refuse(reading->refusal, MX_REFUSE_REQUEST, "top_logprobs", "top_logprobs goes with logprobs: true");
    }
    if (ask->include_usage && !ask->stream) {
        return mx_refuse(reading->refusal, MX_REFUSE_REQUEST, "stream_options",
                         "stream_options goes with stream: true; a whole answer has its usage anyway");
    }
    if (ask->kind == MX_ASK_COMPLETION && ask->prompt_count * ask->n > MX_ASK_CHOICES) {
        return mx_refuse(reading->refusal, MX_REFUSE_REQUEST, "n", "%zu prompts with n = %u are more than %d answers",
                         ask->prompt_count, ask->n, MX_ASK_CHOICES);
    }
    return ask->kind != MX_ASK_CHAT || mx_conversation_take(ask, reading->refusal);
}

static bool parse_body(cJSON **root, const struct reading *reading)
{
    const struct mx_str *body = &reading->ask->body;
    struct mx_error error;
    if (mx_json_parse(root, mx_str_text(body), body->length, "the body", &(struct mx_json_rules){.refuse_nul = true},
                      &error) == MX_OK) {
        return true;
    }
    return mx_refuse_error(reading->refusal, MX_REFUSE_REQUEST, NULL, &error);
}

/* The body becomes that of a chat. */
static bool read_response(struct reading *reading)
{
    struct mx_ask *ask = reading->ask;
    struct mx_str chat = {0};
    ask->response = calloc(1, sizeof *ask->response);
    if (!ask->response) return refuse_memory(reading, "a response", sizeof *ask->response);
    bool good = parse_body(&ask->response->asked, reading);
    good = good && mx_response_read(&chat, ask->response->asked, reading->refusal);
    mx_str_free(&ask->body);
    ask->body = chat;
    return good;
}

bool mx_ask_read(struct mx_ask *ask, enum mx_ask_kind kind, struct mx_str *body, const char *model,
                 struct mx_refusal *refusal)
{
    const bool completion = kind == MX_ASK_COMPLETION;
    *ask = (struct mx_ask){.kind = completion ? MX_ASK_COMPLETION : MX_ASK_CHAT,
                           .n = 1,
                           .max_tokens = completion ? 16 : MX_ASK_NO_LIMIT, /* as the interface has it */
                           .sampler = mx_sampler_options_default(),
                           .body = *body};
    *body = (struct mx_str){0};
    ask->sampler.temperature = 1; /* as the interface has it */
    struct reading reading = {.ask = ask, .model = model, .refusal = refusal};
    bool good = kind != MX_ASK_RESPONSE || read_response(&reading);
    good = good && parse_body(&ask->root, &reading) && read_all(&reading);
    if (!good) mx_ask_free(ask);
    return good;
}

void mx_ask_free(struct mx_ask *ask)
{
    for (size_t i = 0; i < ask->prompt_count; i++) mx_ids_free(&ask->prompts[i].ids);
    free(ask->prompts);
    free(ask->biases);
    cJSON_Delete(ask->root);
    mx_str_free(&ask->body);
    mx_str_free(&ask->messages);
    mx_response_free(ask->response);
    *ask = (struct mx_ask){0};
}
