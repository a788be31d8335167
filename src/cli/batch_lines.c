/* Lines of JSON in and out. */
#include "cli/batch_lines.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "cli/chat_flags.h"

enum { MOST_STOPS = 64 };

/* --- the members of a prompt's line --- */

struct reading {
    struct mx_batch_line *line;
    struct mx_session *session;
    const char *place; /* "FILE: line N" */
    const char *text;  /* the line's */
    size_t length;
    const cJSON *prompt, *messages;
    struct mx_error *err;
};

static mx_status fail_member(const struct reading *reading, const cJSON *item, const char *wanted)
{
    char what[80];
    return mx_fail(reading->err, MX_ERR_FORMAT, "%s: \"%s\" is %s; it must be %s", reading->place, item->string,
                   mx_json_describe(item, what, sizeof what), wanted);
}

static mx_status read_number(const struct reading *reading, const cJSON *item, double low, double high, double *out)
{
    char wanted[80];
    if (cJSON_IsNumber(item) && item->valuedouble >= low && item->valuedouble <= high) {
        *out = item->valuedouble;
        return MX_OK;
    }
    snprintf(wanted, sizeof wanted, "a number from %g to %g", low, high);
    return fail_member(reading, item, wanted);
}

static mx_status read_whole(const struct reading *reading, const cJSON *item, int64_t high, uint64_t *out)
{
    int64_t value;
    char wanted[80];
    if (mx_json_whole(item, 0, high, &value)) {
        *out = (uint64_t)value;
        return MX_OK;
    }
    snprintf(wanted, sizeof wanted, "a whole number from 0 to %" PRId64, high);
    return fail_member(reading, item, wanted);
}

static mx_status read_max_tokens(struct reading *reading, const cJSON *item)
{
    uint64_t value = 0;
    MX_TRY(read_whole(reading, item, 1 << 24, &value));
    reading->line->max_tokens = (uint32_t)value;
    return MX_OK;
}

static mx_status read_temperature(struct reading *reading, const cJSON *item)
{
    return read_number(reading, item, 0, 100, &reading->line->sampler.temperature);
}

static mx_status read_top_k(struct reading *reading, const cJSON *item)
{
    uint64_t value = 0;
    MX_TRY(read_whole(reading, item, 1 << 24, &value));
    reading->line->sampler.top_k = (uint32_t)value;
    return MX_OK;
}

static mx_status read_top_p(struct reading *reading, const cJSON *item)
{
    return read_number(reading, item, 1e-6, 1, &reading->line->sampler.top_p);
}

static mx_status read_min_p(struct reading *reading, const cJSON *item)
{
    return read_number(reading, item, 0, 1, &reading->line->sampler.min_p);
}

static mx_status read_repeat_penalty(struct reading *reading, const cJSON *item)
{
    return read_number(reading, item, 0.01, 100, &reading->line->sampler.repeat_penalty);
}

static mx_status read_seed(struct reading *reading, const cJSON *item)
{
    return read_whole(reading, item, (int64_t)1 << 53, &reading->line->sampler.seed);
}

static void free_stops(struct mx_batch_line *line)
{
    for (size_t i = 0; i < line->stop_count; i++) free(line->stops[i]);
    free(line->stops);
    line->stops = NULL;
    line->stop_count = 0;
}

static mx_status add_stop(struct reading *reading, const char *stop)
{
    struct mx_batch_line *line = reading->line;
    char *copy = strdup(stop);
    if (!copy) return mx_fail_memory(reading->err, "a stop string", strlen(stop));
    line->stops[line->stop_count++] = copy;
    return MX_OK;
}

/* Replaces those of the defaults. */
static mx_status read_stop(struct reading *reading, const cJSON *item)
{
    static const char wanted[] = "a text or a list of at most 64 texts";
    const int count = cJSON_IsArray(item) ? cJSON_GetArraySize(item) : 1;
    if (count > MOST_STOPS || (count == 1 && !cJSON_IsArray(item) && !cJSON_IsString(item))) {
        return fail_member(reading, item, wanted);
    }
    free_stops(reading->line);
    reading->line->stops = calloc((size_t)count + 1, sizeof *reading->line->stops);
    if (!reading->line->stops) return mx_fail_memory(reading->err, "stop strings", sizeof(char *));
    if (cJSON_IsString(item)) return add_stop(reading, item->valuestring);
    const cJSON *one;
    cJSON_ArrayForEach (one, item) {
        if (!cJSON_IsString(one)) return fail_member(reading, item, wanted);
        MX_TRY(add_stop(reading, one->valuestring));
    }
    return MX_OK;
}

static mx_status read_format(struct reading *reading, const cJSON *item)
{
    const struct mx_token_trie *trie;
    char name[320];
    snprintf(name, sizeof name, "%s: \"%s\"", reading->place, item->string);
    MX_TRY(mx_session_trie(reading->session, &trie, reading->err));
    return mx_constraint_from_format(&reading->line->form, item, name, trie, reading->err);
}

static mx_status read_id(struct reading *reading, const cJSON *item)
{
    if (!cJSON_IsString(item) && !cJSON_IsNumber(item)) return fail_member(reading, item, "a text or a number");
    reading->line->id = cJSON_PrintUnformatted(item);
    return reading->line->id ? MX_OK : mx_fail_memory(reading->err, "an id", 1);
}

static mx_status read_prompt(struct reading *reading, const cJSON *item)
{
    if (!cJSON_IsString(item)) return fail_member(reading, item, "a text");
    reading->prompt = item;
    return MX_OK;
}

static mx_status read_messages(struct reading *reading, const cJSON *item)
{
    if (!cJSON_IsArray(item) || cJSON_GetArraySize(item) == 0)
        return fail_member(reading, item, "a list of at least one message");
    reading->messages = item;
    return MX_OK;
}

/* Checked with the messages. */
static mx_status read_tools(struct reading *reading, const cJSON *item)
{
    return cJSON_IsArray(item) ? MX_OK : fail_member(reading, item, "a list of tools");
}

static const struct {
    const char *name;
    mx_status (*read)(struct reading *reading, const cJSON *item);
} members[] = {
    {"prompt", read_prompt},
    {"messages", read_messages},
    {"tools", read_tools},
    {"id", read_id},
    {"max_tokens", read_max_tokens},
    {"temperature", read_temperature},
    {"top_k", read_top_k},
    {"top_p", read_top_p},
    {"min_p", read_min_p},
    {"repeat_penalty", read_repeat_penalty},
    {"seed", read_seed},
    {"response_format", read_format},
    {"stop", read_stop},
};

static mx_status read_member(struct reading *reading, const cJSON *item)
{
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        if (strcmp(item->string, members[i].name) != 0) continue;
        return cJSON_IsNull(item) ? MX_OK : members[i].read(reading, item); /* null: as if left out */
    }
    struct mx_str known = {0};
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        mx_str_printf(&known, "%s%s", i ? ", " : "", members[i].name);
    }
    const mx_status status = mx_fail(reading->err, MX_ERR_FORMAT, "%s: unknown field \"%.60s\"; there are %s",
                                     reading->place, item->string, mx_str_text(&known));
    mx_str_free(&known);
    return status;
}

/* --- the prompt --- */

/* A template gets the line's own text: tools, results of tools and parts as they stand there. */
static mx_status render_messages(const struct reading *reading, struct mx_str *text)
{
    struct mx_chat_request request = {0};
    MX_TRY(mx_conversation_members(&request, reading->text, reading->length, reading->place, reading->err));
    return mx_chat_render(mx_session_chat(reading->session), &request, text, reading->err);
}

static mx_status encode(const struct reading *reading)
{
    const struct mx_tokenizer *tokenizer = mx_session_tokenizer(reading->session);
    struct mx_ids *ids = &reading->line->prompt;
    if (reading->prompt && reading->messages) {
        return mx_fail(reading->err, MX_ERR_FORMAT, "%s: has both \"prompt\" and \"messages\"", reading->place);
    }
    if (!reading->prompt && !reading->messages) {
        return mx_fail(reading->err, MX_ERR_FORMAT, "%s: has neither \"prompt\" nor \"messages\"", reading->place);
    }
    if (reading->prompt) {
        const char *text = reading->prompt->valuestring;
        MX_TRY(mx_tokenizer_encode(tokenizer, text, strlen(text), true, ids, reading->err));
    } else {
        struct mx_str text = {0};
        mx_status status = render_messages(reading, &text);
        if (status == MX_OK) {
            status = mx_tokenizer_encode(tokenizer, mx_str_text(&text), text.length, false, ids, reading->err);
        }
        mx_str_free(&text);
        MX_TRY(status);
    }
    if (ids->count > 0) return MX_OK;
    return mx_fail(reading->err, MX_ERR_FORMAT, "%s: the prompt is empty: there is nothing to continue",
                   reading->place);
}

/* --- lines --- */

static mx_status copy_defaults(struct mx_batch_line *line, const struct mx_batch_line *defaults, struct mx_error *err)
{
    line->max_tokens = defaults->max_tokens;
    line->sampler = defaults->sampler;
    if (!defaults->stop_count) return MX_OK;
    line->stops = calloc(defaults->stop_count, sizeof *line->stops);
    if (!line->stops) return mx_fail_memory(err, "stop strings", defaults->stop_count * sizeof *line->stops);
    struct reading reading = {.line = line, .err = err};
    for (size_t i = 0; i < defaults->stop_count; i++) MX_TRY(add_stop(&reading, defaults->stops[i]));
    return MX_OK;
}

static mx_status read_object(struct reading *reading, const cJSON *root)
{
    if (!cJSON_IsObject(root)) {
        return mx_fail(reading->err, MX_ERR_FORMAT, "%s: is not a JSON object", reading->place);
    }
    const cJSON *item;
    cJSON_ArrayForEach (item, root) MX_TRY(read_member(reading, item));
    return encode(reading);
}

static mx_status read_line(struct mx_batch_line *line, struct mx_session *session, const struct mx_batch_line *defaults,
                           const char *text, size_t length, const char *place, struct mx_error *err)
{
    cJSON *root;
    MX_TRY(copy_defaults(line, defaults, err));
    MX_TRY(mx_json_parse(&root, text, length, place, &(struct mx_json_rules){0}, err));
    struct reading reading = {
        .line = line, .session = session, .place = place, .text = text, .length = length, .err = err};
    const mx_status status = read_object(&reading, root);
    cJSON_Delete(root);
    return status;
}

static bool is_blank(const char *text, size_t length)
{
    return strspn(text, " \t\r\n") >= length;
}

/* The next line of [*at, end): its length without the newline; moves on. */
static size_t next_line(const char **at, const char *end, const char **line)
{
    const char *newline = memchr(*at, '\n', (size_t)(end - *at));
    *line = *at;
    *at = newline ? newline + 1 : end;
    return (size_t)((newline ? newline : end) - *line);
}

mx_status mx_batch_read(struct mx_batch_lines *lines, struct mx_session *session, const struct mx_batch_line *defaults,
                        const char *text, size_t length, const char *name, struct mx_error *err)
{
    *lines = (struct mx_batch_lines){0};
    size_t most = 1;
    for (size_t i = 0; i < length; i++) most += text[i] == '\n';
    lines->items = calloc(most, sizeof *lines->items);
    if (!lines->items) return mx_fail_memory(err, "the prompts", most * sizeof *lines->items);
    const char *at = text, *line;
    if (length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) at += 3;
    for (size_t index = 0; at < text + length; index++) {
        const size_t bytes = next_line(&at, text + length, &line);
        char place[300];
        if (is_blank(line, bytes)) continue;
        snprintf(place, sizeof place, "%.250s: line %zu", name, index + 1);
        struct mx_batch_line *one = &lines->items[lines->count++];
        one->index = index;
        MX_TRY(read_line(one, session, defaults, line, bytes, place, err));
    }
    if (lines->count > 0) return MX_OK;
    return mx_fail(err, MX_ERR_FORMAT, "%s: holds no prompts", name);
}

void mx_batch_free(struct mx_batch_lines *lines)
{
    for (size_t i = 0; lines->items && i < lines->count; i++) {
        free_stops(&lines->items[i]);
        mx_ids_free(&lines->items[i].prompt);
        mx_constraint_close(lines->items[i].form);
        cJSON_free(lines->items[i].id);
    }
    free(lines->items);
    *lines = (struct mx_batch_lines){0};
}

/* --- results --- */

static struct mx_batch_line *find(const struct mx_batch_lines *lines, int64_t index)
{
    size_t low = 0, high = lines->count;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if ((int64_t)lines->items[middle].index < index)
            low = middle + 1;
        else
            high = middle;
    }
    return low < lines->count && (int64_t)lines->items[low].index == index ? &lines->items[low] : NULL;
}

static mx_status mark(const struct mx_batch_lines *lines, const cJSON *root, const char *place, struct mx_error *err)
{
    int64_t index;
    const cJSON *id = mx_json_get(root, "id");
    struct mx_batch_line *line =
        mx_json_whole(mx_json_get(root, "index"), 0, (int64_t)1 << 53, &index) ? find(lines, index) : NULL;
    char *text = id ? cJSON_PrintUnformatted(id) : NULL;
    const bool same = line && (line->id ? text && strcmp(text, line->id) == 0 : !id);
    cJSON_free(text);
    if (!same) {
        return mx_fail(err, MX_ERR_FORMAT, "%s: is not a result of these prompts; name another file for the output",
                       place);
    }
    line->done = true;
    return MX_OK;
}

mx_status mx_batch_mark_done(struct mx_batch_lines *lines, const char *text, size_t length, const char *name,
                             size_t *whole, struct mx_error *err)
{
    const char *last = memrchr(text, '\n', length), *at = text, *line;
    *whole = last ? (size_t)(last + 1 - text) : 0;
    for (size_t number = 1; at < text + *whole; number++) {
        const size_t bytes = next_line(&at, text + *whole, &line);
        char place[300];
        cJSON *root;
        if (is_blank(line, bytes)) continue;
        snprintf(place, sizeof place, "%.250s: line %zu", name, number);
        MX_TRY(mx_json_parse(&root, line, bytes, place, &(struct mx_json_rules){.refuse_nul = true}, err));
        const mx_status status = mark(lines, root, place, err);
        cJSON_Delete(root);
        MX_TRY(status);
    }
    return MX_OK;
}

void mx_batch_write(struct mx_str *out, const struct mx_batch_line *line, const struct mx_generation *generation)
{
    mx_str_printf(out, "{\"index\": %zu, ", line->index);
    if (line->id) mx_str_printf(out, "\"id\": %s, ", line->id);
    mx_str_puts(out, "\"text\": ");
    mx_json_quote_bytes(out, mx_str_text(&generation->text), generation->text.length);
    mx_str_puts(out, ", \"tokens\": [");
    for (size_t i = 0; i < generation->tokens.count; i++) {
        mx_str_printf(out, "%s%" PRId32, i ? ", " : "", generation->tokens.data[i]);
    }
    mx_str_printf(out, "], \"finish\": \"%s\", \"prompt_tokens\": %zu, \"shared_tokens\": %zu}\n",
                  mx_finish_name(generation->finish), generation->prompt_tokens, generation->reused_tokens);
}
