/* The JSON of responses: items as they come to be, and the events that tell of them. */
#include <inttypes.h>
#include <string.h>

#include "base/json.h"
#include "serve/choice.h"

/* --- events --- */

/* Begins an event, whose members follow. */
static void begin_event(struct mx_str *out, const struct mx_work *work, const char *type)
{
    mx_str_printf(out, "event: %s\ndata: {\"type\": \"%s\", \"sequence_number\": %zu", type, type,
                  work->ask.response->events++);
}

static void end_event(struct mx_str *out)
{
    mx_str_puts(out, "}\n\n");
}

/* The id of an item: that of the response, and its number. */
static void put_id(struct mx_str *out, const struct mx_work *work, const char *kind, size_t item)
{
    mx_str_printf(out, "\"%s_%s%02zx\"", kind, strchr(work->id, '_') + 1, item);
}

/* Which item an event is of. */
static void put_place(struct mx_str *out, const struct mx_work *work, const char *kind, bool part)
{
    const size_t item = work->ask.response->item_count - 1;
    mx_str_puts(out, ", \"item_id\": ");
    put_id(out, work, kind, item);
    mx_str_printf(out, ", \"output_index\": %zu%s", item, part ? ", \"content_index\": 0" : "");
}

/* --- items --- */

static void put_part(struct mx_str *out, const struct mx_str *text)
{
    mx_str_puts(out, "{\"type\": \"output_text\", \"text\": ");
    mx_json_quote_bytes(out, mx_str_text(text), text->length);
    mx_str_puts(out, ", \"annotations\": [], \"logprobs\": []}");
}

/* A message that is whole, or has just begun. */
static void put_message(struct mx_str *out, const struct mx_work *work, bool whole)
{
    const struct mx_response *response = work->ask.response;
    mx_str_puts(out, "{\"id\": ");
    put_id(out, work, "msg", response->item_count - 1);
    mx_str_printf(out, ", \"type\": \"message\", \"status\": \"%s\", \"role\": \"assistant\", \"content\": [",
                  whole ? "completed" : "in_progress");
    if (whole) put_part(out, &response->said);
    mx_str_puts(out, "]}");
}

static void put_call(struct mx_str *out, const struct mx_work *work, const struct mx_call *call, bool whole)
{
    mx_str_puts(out, "{\"id\": ");
    put_id(out, work, "fc", work->ask.response->item_count - 1);
    mx_str_printf(out, ", \"type\": \"function_call\", \"status\": \"%s\", \"call_id\": \"%s\", \"name\": ",
                  whole ? "completed" : "in_progress", call->id);
    mx_json_quote(out, call->name);
    mx_str_puts(out, ", \"arguments\": ");
    mx_json_quote(out, whole ? call->arguments : "");
    mx_str_putc(out, '}');
}

static void put_item_event(struct mx_str *out, const struct mx_work *work, const struct mx_call *call, bool whole)
{
    begin_event(out, work, whole ? "response.output_item.done" : "response.output_item.added");
    mx_str_printf(out, ", \"output_index\": %zu, \"item\": ", work->ask.response->item_count - 1);
    if (call)
        put_call(out, work, call, whole);
    else
        put_message(out, work, whole);
    end_event(out);
}

static void put_part_event(struct mx_str *out, const struct mx_work *work, bool whole)
{
    const struct mx_str nothing = {0};
    begin_event(out, work, whole ? "response.content_part.done" : "response.content_part.added");
    put_place(out, work, "msg", true);
    mx_str_puts(out, ", \"part\": ");
    put_part(out, whole ? &work->ask.response->said : &nothing);
    end_event(out);
}

/* Puts an item that is whole to the others. */
static void keep_item(const struct mx_work *work, const struct mx_call *call)
{
    struct mx_str *output = &work->ask.response->output;
    if (output->length) mx_str_puts(output, ", ");
    if (call)
        put_call(output, work, call, true);
    else
        put_message(output, work, true);
}

static void open_message(struct mx_str *out, const struct mx_work *work)
{
    struct mx_response *response = work->ask.response;
    response->open = true;
    response->item_count++;
    mx_str_clear(&response->said);
    put_item_event(out, work, NULL, false);
    put_part_event(out, work, false);
}

static void close_message(struct mx_str *out, const struct mx_work *work)
{
    struct mx_response *response = work->ask.response;
    if (!response->open) return;
    begin_event(out, work, "response.output_text.done");
    put_place(out, work, "msg", true);
    mx_str_puts(out, ", \"text\": ");
    mx_json_quote_bytes(out, mx_str_text(&response->said), response->said.length);
    mx_str_puts(out, ", \"logprobs\": []");
    end_event(out);
    put_part_event(out, work, true);
    put_item_event(out, work, NULL, true);
    keep_item(work, NULL);
    response->open = false;
}

static void say(struct mx_str *out, const struct mx_work *work, const struct mx_str *text)
{
    struct mx_response *response = work->ask.response;
    if (!response->open) open_message(out, work);
    mx_str_append(&response->said, mx_str_text(text), text->length);
    begin_event(out, work, "response.output_text.delta");
    put_place(out, work, "msg", true);
    mx_str_puts(out, ", \"delta\": ");
    mx_json_quote_bytes(out, mx_str_text(text), text->length);
    mx_str_puts(out, ", \"logprobs\": []");
    end_event(out);
}

static void call(struct mx_str *out, const struct mx_work *work, const struct mx_call *call)
{
    static const char *const types[] = {"response.function_call_arguments.delta",
                                        "response.function_call_arguments.done"};
    close_message(out, work);
    work->ask.response->item_count++;
    put_item_event(out, work, call, false);
    for (int i = 0; i < 2; i++) {
        begin_event(out, work, types[i]);
        put_place(out, work, "fc", false);
        mx_str_puts(out, i == 0 ? ", \"delta\": " : ", \"arguments\": ");
        mx_json_quote(out, call->arguments);
        end_event(out);
    }
    put_item_event(out, work, call, true);
    keep_item(work, call);
}

/* Texts and calls that were not yet told, and the end. */
static void tell(struct mx_str *out, const struct mx_choice *choice)
{
    const struct mx_work *work = choice->work;
    if (choice->text.length) say(out, work, &choice->text);
    for (size_t i = choice->calls_sent; i < choice->call_count; i++) call(out, work, &choice->calls[i]);
    if (!choice->finish) return;
    if (work->ask.response->item_count == 0) open_message(out, work); /* nothing was said */
    close_message(out, work);
    mx_str_inherit(out, &work->ask.response->output);
    mx_str_inherit(out, &work->ask.response->said);
}

/* --- the response --- */

/* A member of the request as it came, or what holds without it. */
static void repeat(struct mx_str *out, const struct mx_work *work, const char *name, const char *otherwise)
{
    const cJSON *item = mx_json_get_set(work->ask.response->asked, name);
    char *text = item ? cJSON_PrintUnformatted(item) : NULL;
    if (item && !text) out->failed = true;
    mx_str_printf(out, ", \"%s\": ", name);
    mx_str_puts(out, text ? text : otherwise);
    cJSON_free(text);
}

static void put_usage(struct mx_str *out, const struct mx_work *work)
{
    mx_str_printf(
        out,
        ", \"usage\": {\"input_tokens\": %zu, \"input_tokens_details\": {\"cached_tokens\": %zu}, "
        "\"output_tokens\": %zu, \"output_tokens_details\": {\"reasoning_tokens\": 0}, \"total_tokens\": %zu}",
        work->prompt_tokens, work->cached_tokens, work->made_tokens, work->prompt_tokens + work->made_tokens);
}

static void put_response(struct mx_str *out, const struct mx_work *work, bool ended)
{
    static const struct {
        const char *name, *otherwise;
    } members[] = {{"instructions", "null"},
                   {"max_output_tokens", "null"},
                   {"metadata", "{}"},
                   {"parallel_tool_calls", "true"},
                   {"temperature", "1"},
                   {"top_p", "1"},
                   {"tool_choice", "\"auto\""},
                   {"tools", "[]"},
                   {"text", "{\"format\": {\"type\": \"text\"}}"}};
    const char *finish = work->choices[0].finish;
    const bool cut = ended && finish && strcmp(finish, "length") == 0;
    mx_str_printf(
        out, "{\"id\": \"%s\", \"object\": \"response\", \"created_at\": %" PRId64 ", \"status\": \"%s\", \"model\": ",
        work->id, work->created,
        !ended ? "in_progress"
        : cut  ? "incomplete"
               : "completed");
    mx_json_quote(out, work->served->name);
    mx_str_printf(out, ", \"error\": null, \"incomplete_details\": %s",
                  cut ? "{\"reason\": \"max_output_tokens\"}" : "null");
    mx_str_printf(out, ", \"output\": [%s]", ended ? mx_str_text(&work->ask.response->output) : "");
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        repeat(out, work, members[i].name, members[i].otherwise);
    mx_str_puts(out, ", \"previous_response_id\": null, \"truncation\": \"disabled\", \"store\": false");
    if (ended)
        put_usage(out, work);
    else
        mx_str_puts(out, ", \"usage\": null");
    mx_str_putc(out, '}');
}

static void put_response_event(struct mx_str *out, const struct mx_work *work, const char *type, bool ended)
{
    begin_event(out, work, type);
    mx_str_puts(out, ", \"response\": ");
    put_response(out, work, ended);
    end_event(out);
}

void mx_response_chunk(struct mx_str *out, const struct mx_choice *choice)
{
    if (!choice->started) {
        put_response_event(out, choice->work, "response.created", false);
        put_response_event(out, choice->work, "response.in_progress", false);
    }
    tell(out, choice);
}

void mx_response_end(struct mx_str *out, const struct mx_work *work)
{
    if (work->failure.error.status == MX_OK) {
        const char *finish = work->choices[0].finish;
        const bool cut = finish && strcmp(finish, "length") == 0;
        put_response_event(out, work, cut ? "response.incomplete" : "response.completed", true);
        return;
    }
    begin_event(out, work, "error");
    mx_str_puts(out, ", \"code\": \"server_error\", \"param\": null, \"message\": ");
    mx_json_quote(out, work->failure.error.message);
    end_event(out);
}

void mx_response_whole(struct mx_str *out, const struct mx_work *work)
{
    struct mx_str unheard = {0};
    tell(&unheard, &work->choices[0]);
    mx_str_inherit(out, &unheard);
    mx_str_free(&unheard);
    put_response(out, work, true);
    mx_str_putc(out, '\n');
}
