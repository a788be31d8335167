/* `mlxcel chat`: several turns at a terminal. Each turn, the whole conversation goes through the model's template; the
 * cache keeps what it has of the prompt, so that a turn costs its own tokens. */
#include "cli/chat.h"

#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "cli/line_editor.h"
#include "cli/output.h"
#include "cli/process.h"

static const struct mx_chat_options defaults = {
    .tokens = 1024, .sampler = MX_SAMPLER_FLAGS_DEFAULT, .kv = MX_KV_FLAGS_DEFAULT};

static const struct mx_flag flags[] = {
    {"system", 0, MX_FLAG_TEXT, "TEXT", "the system message", offsetof(struct mx_chat_options, system)},
    {"load", 0, MX_FLAG_PATH, "FILE", "start from a saved conversation", offsetof(struct mx_chat_options, load)},
    {"think", 0, MX_FLAG_CHOICE, "unsaid|on|off", "whether the model thinks before it answers",
     offsetof(struct mx_chat_options, think)},
    {"template", 0, MX_FLAG_PATH, "FILE", "a Jinja template instead of the model's",
     offsetof(struct mx_chat_options, template)},
    {"tokens", 'n', MX_FLAG_WHOLE, "N", "stop an answer after N tokens (default 1024)",
     offsetof(struct mx_chat_options, tokens), 1, 1 << 24},
    {"ctx", 'c', MX_FLAG_WHOLE, "N", "context size in tokens (default: the model's, at most 8192)",
     offsetof(struct mx_chat_options, context), 1, MX_ARCH_MAX_CONTEXT},
    MX_SAMPLER_FLAG_ROWS(struct mx_chat_options, sampler),
    {"no-history", 0, MX_FLAG_SWITCH, NULL, "keep no history of what is typed",
     offsetof(struct mx_chat_options, no_history)},
    {"echo", 0, MX_FLAG_SWITCH, NULL, "echo lines from a pipe, as a terminal would show them",
     offsetof(struct mx_chat_options, echo)},
    {"force", 0, MX_FLAG_SWITCH, NULL, "run even if memory seems too small", offsetof(struct mx_chat_options, force)},
    MX_ENGINE_FLAG_ROWS(struct mx_chat_options, engine),
    MX_KV_FLAG_ROWS(struct mx_chat_options, kv),
    {0},
};

enum { DEFAULT_CONTEXT = 8192 };

/* --- turns --- */

mx_status mx_talk_add(struct mx_talk *talk, bool user, const char *text, size_t length, struct mx_error *err)
{
    if (talk->count == talk->capacity) {
        const size_t capacity = talk->capacity ? 2 * talk->capacity : 16;
        struct mx_turn *turns = realloc(talk->turns, capacity * sizeof *turns);
        if (!turns) return mx_fail_memory(err, "the conversation", capacity * sizeof *turns);
        talk->turns = turns;
        talk->capacity = capacity;
    }
    struct mx_turn *turn = &talk->turns[talk->count];
    *turn = (struct mx_turn){.user = user};
    mx_str_append(&turn->text, text, length);
    if (mx_str_failed(&turn->text)) {
        mx_str_free(&turn->text);
        return mx_fail_memory(err, "the conversation", length);
    }
    talk->count++;
    return MX_OK;
}

void mx_talk_cut(struct mx_talk *talk, size_t count)
{
    while (talk->count > count) mx_str_free(&talk->turns[--talk->count].text);
}

mx_status mx_talk_list(const struct mx_talk *talk, struct mx_str *out, struct mx_error *err)
{
    struct mx_str list = {0};
    if (talk->system.length) mx_chat_add(&list, "system", talk->system.data, talk->system.length);
    for (size_t i = 0; i < talk->count; i++) {
        const struct mx_str *text = &talk->turns[i].text;
        mx_chat_add(&list, talk->turns[i].user ? "user" : "assistant", mx_str_text(text), text->length);
    }
    mx_str_puts(out, list.length ? mx_str_text(&list) : "[]");
    const bool failed = mx_str_failed(&list) || mx_str_failed(out);
    mx_str_free(&list);
    return failed ? mx_fail_memory(err, "the conversation", out->length) : MX_OK;
}

/* --- answers --- */

mx_status mx_talk_begin(struct mx_talk *talk, struct mx_error *err)
{
    const struct mx_arch *arch = mx_session_arch(talk->session);
    struct mx_kv_flags kv = talk->options->kv;
    struct mx_session_begin begin = {
        .context = (uint64_t)talk->options->context, .marks = 2, .force = talk->options->force};
    if (talk->mode.length) {
        kv.mode = mx_str_text(&talk->mode);
        kv.type_k = kv.type_v = NULL;
    }
    MX_TRY(mx_kv_flags_read(&begin.kv, &kv, talk->cli, err));
    if (!begin.context) {
        begin.context = DEFAULT_CONTEXT;
        if (arch->max_context && arch->max_context < begin.context) begin.context = arch->max_context;
    }
    MX_TRY(mx_kv_flags_advise(&begin.kv, &kv, talk->cli, &talk->options->engine, begin.context, err));
    MX_TRY(mx_session_begin(talk->session, &begin, err));
    talk->context = begin.context;
    mx_note_kv_setup(talk->cli, mx_sequence_setup(mx_session_sequence(talk->session)));
    return MX_OK;
}

static void show(void *context, const char *text, size_t length)
{
    struct mx_talk *talk = context;
    if (!talk->shown) mx_progress_bar_end();
    talk->shown = true;
    fwrite(text, 1, length, stdout);
    if (mx_output_flush()) return;
    talk->unheard = true;
    atomic_store(talk->cli->interrupted, true);
}

static mx_status make_prompt(const struct mx_talk *talk, struct mx_ids *prompt, struct mx_error *err)
{
    struct mx_str list = {0}, text = {0};
    mx_status status = mx_talk_list(talk, &list, err);
    if (status == MX_OK) {
        const struct mx_chat_request request = {
            .messages = {.text = mx_str_text(&list), .length = list.length, .origin = "the conversation"},
            .think = (enum mx_chat_think)talk->options->think};
        status = mx_chat_render(mx_session_chat(talk->session), &request, &text, err);
    }
    if (status == MX_OK)
        status = mx_tokenizer_encode(mx_session_tokenizer(talk->session), mx_str_text(&text), text.length, false,
                                     prompt, err);
    if (status == MX_OK && prompt->count >= talk->context)
        status = mx_fail(err, MX_ERR_LIMIT,
                         "the conversation has %zu tokens, the context holds %llu: /undo or /reset, or begin with a "
                         "larger --ctx",
                         prompt->count, (unsigned long long)talk->context);
    mx_str_free(&list);
    mx_str_free(&text);
    return status;
}

static mx_status answer(struct mx_talk *talk, struct mx_error *err)
{
    struct mx_ids prompt = {0};
    struct mx_generate_options options = mx_reply_options(&talk->options->sampler, talk->options->tokens);
    options.text = show;
    options.context = talk;
    talk->shown = false;
    mx_generation_free(&talk->last);
    talk->last = (struct mx_generation){0};
    mx_status status = make_prompt(talk, &prompt, err);
    const struct mx_progress progress = mx_progress_bar(talk->cli);
    if (status == MX_OK)
        status = mx_generate(talk->session, prompt.data, prompt.count, &options, &progress, &talk->last, err);
    mx_progress_bar_end();
    mx_ids_free(&prompt);
    if (talk->shown) putchar('\n');
    mx_output_flush();
    return status;
}

/* A turn of the user and the answer to it. What failed, or was interrupted before a word, leaves no trace. */
static mx_status take_turn(struct mx_talk *talk, const struct mx_str *line, struct mx_error *err)
{
    const size_t before = talk->count;
    MX_TRY(mx_talk_add(talk, true, mx_str_text(line), line->length, err));
    mx_status status = answer(talk, err);
    const struct mx_str *text = &talk->last.text;
    if (status == MX_OK && text->length) status = mx_talk_add(talk, false, text->data, text->length, err);
    if (status != MX_OK || (talk->last.finish == MX_FINISH_INTERRUPTED && !text->length)) mx_talk_cut(talk, before);
    if (status != MX_OK) return status;
    const bool whole = talk->last.finish == MX_FINISH_END || talk->last.finish == MX_FINISH_STOP;
    if (!whole && talk->terminal) mx_print_note(talk->cli, "the answer was cut: %s", mx_finish_name(talk->last.finish));
    return MX_OK;
}

/* --- the talk --- */

/* Ctrl-C is for the answer; any other signal is for the program. */
static mx_status hear(struct mx_talk *talk, struct mx_error *err)
{
    if (!atomic_load(talk->cli->interrupted)) return MX_OK;
    if (mx_process_signal() != SIGINT || !talk->terminal) return mx_fail(err, MX_ERR_INTERRUPTED, "interrupted");
    atomic_store(talk->cli->interrupted, false);
    return MX_OK;
}

static mx_status take_line(struct mx_talk *talk, const struct mx_str *line, struct mx_error *err)
{
    const char *text = mx_str_text(line);
    if (!text[strspn(text, " \t\n")]) return MX_OK;
    if (text[0] == '/' && text[1] != '/') return mx_talk_command(talk, text, err);
    struct mx_str turn = *line;
    if (text[0] == '/') { /* "//" is a slash that is no command */
        turn.data++;
        turn.length--;
    }
    return take_turn(talk, &turn, err);
}

static mx_status converse(struct mx_talk *talk, struct mx_line_editor *editor, struct mx_error *err)
{
    struct mx_str line = {0};
    mx_status status = MX_OK;
    while (status == MX_OK && !talk->left && !talk->unheard) { /* mx_output_end says why nobody hears it */
        enum mx_line result = MX_LINE_END;
        status = mx_line_editor_read(editor, "> ", &line, &result, err);
        if (status != MX_OK || result == MX_LINE_END) break;
        if (result == MX_LINE_INTERRUPTED) putchar('\n');
        if (result == MX_LINE_READ && talk->options->echo && !talk->terminal) printf("> %s\n", mx_str_text(&line));
        if (result == MX_LINE_READ) status = take_line(talk, &line, err);
        /* At a terminal a mistake is said, and the talk goes on. */
        if (status != MX_OK && status != MX_ERR_INTERRUPTED && talk->terminal) {
            mx_print_error(talk->cli, err);
            status = MX_OK;
        }
        if (status == MX_OK && !talk->unheard) status = hear(talk, err);
    }
    if (talk->terminal && !talk->left) putchar('\n');
    mx_str_free(&line);
    return status;
}

/* $XDG_STATE_HOME/mlxcel/history, made where it isn't there; NULL where there is no place for it. */
static const char *history_path(char *buffer, size_t size)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    int length = -1;
    if (state && *state)
        length = snprintf(buffer, size, "%s/mlxcel/history", state);
    else if (home && *home)
        length = snprintf(buffer, size, "%s/.local/state/mlxcel/history", home);
    if (length < 0 || (size_t)length >= size) return NULL;
    for (char *slash = buffer + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        mkdir(buffer, 0700);
        *slash = '/';
    }
    return buffer;
}

static mx_status open_talk(struct mx_talk *talk, struct mx_error *err)
{
    const struct mx_chat_options *options = talk->options;
    MX_TRY(mx_engine_open(&talk->session, talk->cli, &options->engine, true, err));
    if (options->template) MX_TRY(mx_session_use_template(talk->session, options->template, err));
    if (!mx_chat_has_template(mx_session_chat(talk->session)))
        return mx_fail(err, MX_ERR_ARGUMENT,
                       "this model has no chat template: give one with --template, or plain text to generate");
    if (options->system) mx_str_puts(&talk->system, options->system);
    if (options->load) MX_TRY(mx_talk_load(talk, options->load, err));
    MX_TRY(mx_talk_begin(talk, err));
    if (options->load) mx_talk_load_cache(talk, options->load);
    return mx_str_failed(&talk->system) ? mx_fail_memory(err, "the system's text", 0) : MX_OK;
}

static mx_status run(struct mx_cli *cli, const void *given, struct mx_error *err)
{
    struct mx_talk talk = {.cli = cli, .options = given};
    struct mx_line_editor *editor = NULL;
    char buffer[PATH_MAX];
    mx_status status = open_talk(&talk, err);
    const char *history = talk.options->no_history ? NULL : history_path(buffer, sizeof buffer);
    if (status == MX_OK) status = mx_line_editor_open(&editor, cli, history, err);
    if (status == MX_OK) {
        talk.terminal = mx_line_editor_at_terminal(editor);
        if (talk.terminal) printf("/help lists the commands; Ctrl-C ends an answer, Ctrl-D the chat\n");
        status = converse(&talk, editor, err);
    }
    mx_line_editor_close(editor);
    mx_talk_cut(&talk, 0);
    free(talk.turns);
    mx_str_free(&talk.system);
    mx_str_free(&talk.mode);
    mx_generation_free(&talk.last);
    mx_session_close(talk.session);
    return status;
}

const struct mx_command mx_command_chat = {
    .name = "chat",
    .summary = "chat with a model",
    .about = "Reads lines from a terminal, with editing and history, or from a pipe. A line that begins with /\n"
             "is a command; /help lists them. A backslash at the end of a line continues it.\n",
    .flags = flags,
    .examples = {"mlxcel chat -m DIR --system \"Answer briefly.\"",
                 "mlxcel chat -m DIR --kv-cache-mode int8+turbo4 --ctx 32k --temp 0.7"},
    .options_size = sizeof(struct mx_chat_options),
    .defaults = &defaults,
    .run = run,
};
