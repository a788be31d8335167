/* What a talk is told with a slash. */
#include <stdlib.h>
#include <string.h>

#include "base/closest.h"
#include "base/file.h"
#include "base/json.h"
#include "base/units.h"
#include "cli/chat.h"
#include "cli/output.h"

enum { MAX_FILE = 64 << 20 };

struct slash {
    const char *name, *argument, *help;
    mx_status (*run)(struct mx_talk *talk, const char *argument, struct mx_error *err);
};

static mx_status do_system(struct mx_talk *talk, const char *argument, struct mx_error *err)
{
    if (!*argument) {
        printf("%s\n", talk->system.length ? mx_str_text(&talk->system) : "(the system says nothing)");
        return MX_OK;
    }
    struct mx_str text = {0};
    if (strcmp(argument, "-") != 0) mx_str_puts(&text, argument);
    if (mx_str_failed(&text)) return mx_fail_memory(err, "the system's text", strlen(argument));
    mx_str_free(&talk->system);
    talk->system = text;
    return MX_OK;
}

static mx_status do_reset(struct mx_talk *talk, const char *argument, struct mx_error *err)
{
    mx_talk_cut(talk, 0);
    mx_session_clear(talk->session);
    return MX_OK;
}

static mx_status do_undo(struct mx_talk *talk, const char *argument, struct mx_error *err)
{
    if (talk->count == 0) return mx_fail(err, MX_ERR_ARGUMENT, "nothing was said yet");
    size_t count = talk->count - 1;
    while (count > 0 && !talk->turns[count].user) count--;
    mx_talk_cut(talk, count);
    return MX_OK;
}

/* Where the cache of a conversation is kept that is kept in `path`. */
static mx_status cache_path(struct mx_str *out, const char *path, struct mx_error *err)
{
    mx_str_puts(out, path);
    mx_str_puts(out, ".cache");
    return mx_str_failed(out) ? mx_fail_memory(err, "a path", strlen(path)) : MX_OK;
}

static mx_status save_cache(struct mx_talk *talk, const char *path, struct mx_error *err)
{
    struct mx_str file = {0};
    size_t held;
    mx_session_tokens(talk->session, &held);
    if (!held) return MX_OK;
    mx_status status = cache_path(&file, path, err);
    if (status == MX_OK) status = mx_session_save(talk->session, mx_str_text(&file), err);
    if (status == MX_OK) printf("%zu turns; %s holds the cache, %zu tokens\n", talk->count, mx_str_text(&file), held);
    mx_str_free(&file);
    return status;
}

void mx_talk_load_cache(struct mx_talk *talk, const char *path)
{
    struct mx_str file = {0};
    struct mx_error err = {0};
    mx_session_clear(talk->session);
    mx_status status = cache_path(&file, path, &err);
    if (status == MX_OK && mx_is_file(mx_str_text(&file)))
        status = mx_session_load(talk->session, mx_str_text(&file), &err);
    if (status != MX_OK) mx_print_note(talk->cli, "%s; the next turn computes the conversation once more", err.message);
    mx_str_free(&file);
}

static mx_status save_messages(struct mx_talk *talk, const char *argument, struct mx_error *err)
{
    struct mx_str text = {0};
    mx_str_puts(&text, "{\"messages\": ");
    mx_status status = mx_talk_list(talk, &text, err);
    mx_str_puts(&text, "}\n");
    if (status == MX_OK && mx_str_failed(&text)) status = mx_fail_memory(err, "the conversation", text.length);
    struct mx_writer writer = {0};
    if (status == MX_OK) status = mx_writer_open_private(&writer, argument, err);
    if (status == MX_OK) status = mx_writer_write(&writer, mx_str_text(&text), text.length, err);
    if (status == MX_OK) status = mx_writer_commit(&writer, err);
    mx_writer_abort(&writer);
    mx_str_free(&text);
    return status;
}

static mx_status do_save(struct mx_talk *talk, const char *argument, struct mx_error *err)
{
    MX_TRY(save_messages(talk, argument, err));
    return save_cache(talk, argument, err);
}

/* A message's content as a text: a string, or a list of parts of type "text". */
static mx_status read_content(const cJSON *content, struct mx_str *text, const char *path, size_t number,
                              struct mx_error *err)
{
    const cJSON *part = NULL;
    if (cJSON_IsString(content)) {
        mx_str_puts(text, content->valuestring);
        return MX_OK;
    }
    cJSON_ArrayForEach (part, content) {
        const cJSON *words = mx_json_get(part, "text");
        if (!cJSON_IsString(words)) break;
        mx_str_puts(text, words->valuestring);
    }
    if (cJSON_IsArray(content) && !part) return MX_OK;
    return mx_fail(err, MX_ERR_UNSUPPORTED, "%s: message %zu is not text, and a conversation holds only text", path,
                   number);
}

static mx_status read_message(struct mx_talk *talk, const cJSON *message, const char *path, size_t number,
                              struct mx_error *err)
{
    const cJSON *role = mx_json_get(message, "role");
    const char *name = cJSON_IsString(role) ? role->valuestring : "";
    const bool user = strcmp(name, "user") == 0, assistant = strcmp(name, "assistant") == 0;
    struct mx_str text = {0};
    if (!user && !assistant && !(strcmp(name, "system") == 0 && number == 1))
        return mx_fail(
            err, MX_ERR_UNSUPPORTED,
            "%s: message %zu has the role \"%.40s\"; a conversation has a system message first, then those of user "
            "and assistant",
            path, number, name);
    mx_status status = read_content(mx_json_get(message, "content"), &text, path, number, err);
    if (status == MX_OK && mx_str_failed(&text)) status = mx_fail_memory(err, "the conversation", text.length);
    if (status == MX_OK && !user && !assistant) {
        mx_str_free(&talk->system);
        talk->system = text;
        return MX_OK;
    }
    if (status == MX_OK) status = mx_talk_add(talk, user, mx_str_text(&text), text.length, err);
    mx_str_free(&text);
    return status;
}

mx_status mx_talk_load(struct mx_talk *talk, const char *path, struct mx_error *err)
{
    cJSON *root;
    MX_TRY(mx_json_read_file(&root, path, MAX_FILE, NULL, err));
    const cJSON *list = cJSON_IsObject(root) ? mx_json_get(root, "messages") : root, *message;
    struct mx_talk loaded = {0}; /* first beside what there is, which stays where the file is no conversation */
    size_t number = 0;
    mx_status status = cJSON_IsArray(list) ? MX_OK
                                           : mx_fail(err, MX_ERR_FORMAT,
                                                     "%s: is neither a list of messages nor an object with them", path);
    cJSON_ArrayForEach (message, list) {
        if (status == MX_OK) status = read_message(&loaded, message, path, ++number, err);
    }
    cJSON_Delete(root);
    if (status == MX_OK) {
        mx_talk_cut(talk, 0);
        free(talk->turns);
        mx_str_free(&talk->system);
        talk->turns = loaded.turns;
        talk->count = loaded.count;
        talk->capacity = loaded.capacity;
        talk->system = loaded.system;
        return MX_OK;
    }
    mx_talk_cut(&loaded, 0);
    free(loaded.turns);
    mx_str_free(&loaded.system);
    return status;
}

static mx_status do_load(struct mx_talk *talk, const char *argument, struct mx_error *err)
{
    MX_TRY(mx_talk_load(talk, argument, err));
    mx_talk_load_cache(talk, argument);
    printf("%zu turns\n", talk->count);
    return MX_OK;
}

static mx_status do_mode(struct mx_talk *talk, const char *argument, struct mx_error *err)
{
    char text[96];
    if (*argument) {
        struct mx_str before = talk->mode, mode = {0};
        struct mx_error first = {0};
        mx_str_puts(&mode, argument);
        talk->mode = mode;
        const mx_status status =
            mx_str_failed(&mode) ? mx_fail_memory(&first, "a mode", 0) : mx_talk_begin(talk, &first);
        if (status != MX_OK) {
            mx_str_free(&talk->mode);
            talk->mode = before;
            /* The former cache went where the new one could not be made. */
            if (!mx_session_sequence(talk->session)) MX_TRY(mx_talk_begin(talk, err));
            return mx_fail(err, status, "%s", first.message);
        }
        mx_str_free(&before);
    }
    printf("%s\n", mx_kv_setup_text(mx_sequence_setup(mx_session_sequence(talk->session)), text));
    return MX_OK;
}

static mx_status do_stats(struct mx_talk *talk, const char *argument, struct mx_error *err)
{
    const struct mx_generation *last = &talk->last;
    char bytes[16], mode[96];
    size_t held;
    mx_session_tokens(talk->session, &held);
    printf("talk      %zu turns; the cache holds %zu of %llu tokens\n", talk->count, held,
           (unsigned long long)talk->context);
    printf("KV cache  %s, %s\n", mx_format_bytes(mx_session_cache_bytes(talk->session), bytes),
           mx_kv_setup_text(mx_sequence_setup(mx_session_sequence(talk->session)), mode));
    if (mx_session_state_bytes(talk->session))
        printf("state     %s\n", mx_format_bytes(mx_session_state_bytes(talk->session), bytes));
    if (!last->prompt_tokens) return MX_OK;
    printf("prefill   %zu tokens, %.1f tok/s (%zu more were in the cache)\n", last->prompt_tokens - last->reused_tokens,
           last->prefill_tok_s, last->reused_tokens);
    printf("decode    %zu tokens, %.1f tok/s (ended by: %s)\n", last->tokens.count, last->decode_tok_s,
           mx_finish_name(last->finish));
    return MX_OK;
}

static mx_status do_quit(struct mx_talk *talk, const char *argument, struct mx_error *err)
{
    talk->left = true;
    return MX_OK;
}

static mx_status do_help(struct mx_talk *talk, const char *argument, struct mx_error *err);

static const struct slash commands[] = {
    {"/system", "TEXT", "what the system says first; - for nothing; alone: show it", do_system},
    {"/undo", NULL, "take the last turn and its answer back", do_undo},
    {"/reset", NULL, "forget what was said", do_reset},
    {"/save", "FILE", "keep the conversation, as JSON that APIs take, and its cache", do_save},
    {"/load", "FILE", "resume one that was saved", do_load},
    {"/mode", "MODE", "keep K and V in another mode from now on; alone: show it", do_mode},
    {"/stats", NULL, "tokens, times and memory of the last answer", do_stats},
    {"/help", NULL, "this list", do_help},
    {"/quit", NULL, "quit (Ctrl-D does too)", do_quit},
};
enum { COMMANDS = sizeof commands / sizeof *commands };

static mx_status do_help(struct mx_talk *talk, const char *argument, struct mx_error *err)
{
    for (size_t i = 0; i < COMMANDS; i++)
        printf("%-8s %-5s %s\n", commands[i].name, commands[i].argument ? commands[i].argument : "", commands[i].help);
    printf("// at the start of a line sends a line that begins with /\n");
    return MX_OK;
}

static const char *command_name(const void *context, size_t index)
{
    return index < COMMANDS ? commands[index].name : NULL;
}

mx_status mx_talk_command(struct mx_talk *talk, const char *line, struct mx_error *err)
{
    char name[32];
    const size_t length = strcspn(line, " \t\n");
    const char *argument = line + length + strspn(line + length, " \t");
    snprintf(name, sizeof name, "%.*s", (int)(length < sizeof name ? length : sizeof name - 1), line);
    for (size_t i = 0; i < COMMANDS; i++) {
        const struct slash *command = &commands[i];
        if (strcmp(name, command->name) != 0) continue;
        const bool needs = command->run == do_save || command->run == do_load;
        if (needs && !*argument) return mx_fail(err, MX_ERR_ARGUMENT, "%s wants a file's name", name);
        if (!command->argument && *argument) return mx_fail(err, MX_ERR_ARGUMENT, "%s takes nothing behind it", name);
        const mx_status status = command->run(talk, argument, err);
        mx_output_flush();
        return status;
    }
    const char *closest = mx_closest(name, command_name, NULL);
    return closest ? mx_fail(err, MX_ERR_ARGUMENT, "%s is not a command; did you mean %s? (/help lists them)", name,
                             closest)
                   : mx_fail(err, MX_ERR_ARGUMENT, "%s is not a command; /help lists them", name);
}
