/* libedit at a terminal, read() elsewhere. Characters are read here in both cases, in a way that signals end. */
#include "cli/line_editor.h"

#include <errno.h>
#include <histedit.h>
#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/utf8.h"
#include "cli/process.h"

enum { HISTORY_LINES = 1000, MAX_LINE = 16 << 20 };

struct mx_line_editor {
    EditLine *edit; /* NULL: no terminal */
    History *history;
    const char *history_file, *prompt;
    char bytes[4096]; /* without a terminal: what was read and not yet taken */
    size_t at, filled;
};

/* A character of the keyboard: 1, 0 at the end of input, -1 where a signal came. */
static int read_char(EditLine *edit, wchar_t *c)
{
    char bytes[4];
    size_t length = 0, used;
    for (;;) {
        if (!mx_process_wait_input(STDIN_FILENO)) return -1;
        const ssize_t got = read(STDIN_FILENO, bytes + length, 1);
        if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
        if (got <= 0) return (int)got;
        const enum mx_utf8_kind kind = mx_utf8_look(bytes, ++length, &used);
        if (kind == MX_UTF8_SHORT) continue;
        const char *at = bytes;
        *c = kind == MX_UTF8_CHAR ? (wchar_t)mx_utf8_next(&at) : 0xfffd;
        return 1;
    }
}

static char *show_prompt(EditLine *edit)
{
    struct mx_line_editor *editor;
    el_get(edit, EL_CLIENTDATA, &editor);
    return (char *)editor->prompt;
}

static mx_status open_edit(struct mx_line_editor *editor, struct mx_error *err)
{
    HistEvent event;
    setlocale(LC_CTYPE, "");
    if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0) setlocale(LC_CTYPE, "C.UTF-8");
    editor->edit = el_init("mlxcel", stdin, stdout, stderr);
    editor->history = history_init();
    if (!editor->edit || !editor->history) return mx_fail_memory(err, "the line editor", 0);
    history(editor->history, &event, H_SETSIZE, (int)HISTORY_LINES);
    history(editor->history, &event, H_SETUNIQUE, 1);
    if (editor->history_file) history(editor->history, &event, H_LOAD, editor->history_file);
    el_set(editor->edit, EL_CLIENTDATA, editor);
    el_set(editor->edit, EL_PROMPT, show_prompt);
    el_set(editor->edit, EL_EDITOR, "emacs");
    el_set(editor->edit, EL_HIST, history, editor->history);
    el_set(editor->edit, EL_GETCFN, read_char);
    el_source(editor->edit, NULL); /* ~/.editrc */
    return MX_OK;
}

mx_status mx_line_editor_open(struct mx_line_editor **editor, const struct mx_cli *cli, const char *history_file,
                              struct mx_error *err)
{
    *editor = NULL;
    struct mx_line_editor *made = calloc(1, sizeof *made);
    if (!made) return mx_fail_memory(err, "the line editor", sizeof *made);
    made->history_file = history_file;
    const mx_status status = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) ? open_edit(made, err) : MX_OK;
    if (status != MX_OK) {
        mx_line_editor_close(made);
        return status;
    }
    *editor = made;
    return MX_OK;
}

void mx_line_editor_close(struct mx_line_editor *editor)
{
    HistEvent event;
    if (!editor) return;
    if (editor->history && editor->history_file) history(editor->history, &event, H_SAVE, editor->history_file);
    if (editor->history) history_end(editor->history);
    if (editor->edit) el_end(editor->edit);
    free(editor);
}

bool mx_line_editor_at_terminal(const struct mx_line_editor *editor)
{
    return editor->edit;
}

static mx_status read_edited(struct mx_line_editor *editor, struct mx_str *line, enum mx_line *result)
{
    HistEvent event;
    int count = 0;
    el_resize(editor->edit);
    el_set(editor->edit, EL_PREP_TERM, 1); /* before the prompt: a Ctrl-D behind it is a key */
    const char *text = el_gets(editor->edit, &count);
    if (!text || count <= 0) {
        *result = count < 0 ? MX_LINE_INTERRUPTED : MX_LINE_END;
        return MX_OK;
    }
    *result = MX_LINE_READ;
    if (text[strspn(text, " \t\n")]) history(editor->history, &event, H_ENTER, text);
    mx_str_append(line, text, strlen(text));
    return MX_OK;
}

/* Up to a line feed or the end. */
static mx_status read_plain(struct mx_line_editor *editor, struct mx_str *line, enum mx_line *result,
                            struct mx_error *err)
{
    *result = MX_LINE_READ;
    for (;;) {
        const char *from = editor->bytes + editor->at;
        const char *feed = memchr(from, '\n', editor->filled - editor->at);
        const size_t length = feed ? (size_t)(feed - from) + 1 : editor->filled - editor->at;
        mx_str_append(line, from, length);
        editor->at += length;
        if (feed) return MX_OK;
        if (line->length > MAX_LINE) return mx_fail(err, MX_ERR_LIMIT, "a line of more than %d MB", MAX_LINE >> 20);
        if (!mx_process_wait_input(STDIN_FILENO)) {
            *result = MX_LINE_INTERRUPTED;
            return MX_OK;
        }
        const ssize_t got = read(STDIN_FILENO, editor->bytes, sizeof editor->bytes);
        if (got < 0 && errno != EINTR && errno != EAGAIN)
            return mx_fail(err, MX_ERR_IO, "reading standard input: %s", strerror(errno));
        editor->at = 0;
        editor->filled = got > 0 ? (size_t)got : 0;
        if (got != 0) continue;
        if (line->length == 0) *result = MX_LINE_END;
        return MX_OK;
    }
}

mx_status mx_line_editor_read(struct mx_line_editor *editor, const char *prompt, struct mx_str *line,
                              enum mx_line *result, struct mx_error *err)
{
    mx_str_clear(line);
    editor->prompt = prompt;
    for (;; editor->prompt = "... ") {
        MX_TRY(editor->edit ? read_edited(editor, line, result) : read_plain(editor, line, result, err));
        if (mx_str_failed(line)) return mx_fail_memory(err, "a line", line->length);
        if (*result != MX_LINE_READ) return MX_OK;
        if (line->length && line->data[line->length - 1] == '\n') line->length--;
        const bool goes_on = line->length && line->data[line->length - 1] == '\\';
        if (goes_on) line->data[line->length - 1] = '\n';
        if (line->data) line->data[line->length] = '\0';
        if (!goes_on) return MX_OK;
    }
}
