/* Lines from whoever types them: at a terminal with editing and history (libedit), else as they come. */
#ifndef MX_CLI_LINE_EDITOR_H
#define MX_CLI_LINE_EDITOR_H

#include "base/str.h"
#include "cli/command.h"

struct mx_line_editor;

/* `history` is a file that lines are kept in from one time to the next, made where it is not there; NULL: none. It is
 * best effort: what can't be read or written is left. */
mx_status mx_line_editor_open(struct mx_line_editor **editor, const struct mx_cli *cli, const char *history,
                              struct mx_error *err);
void mx_line_editor_close(struct mx_line_editor *editor); /* NULL is fine */

/* Whether a person is at the other end. */
bool mx_line_editor_at_terminal(const struct mx_line_editor *editor);

enum mx_line { MX_LINE_READ, MX_LINE_END, MX_LINE_INTERRUPTED };

/* The next line, without its line feed, in `line`, which is cleared first. A backslash at its end goes on with the next
 * one. INTERRUPTED: a signal raised the program's flag, which stays up. */
mx_status mx_line_editor_read(struct mx_line_editor *editor, const char *prompt, struct mx_str *line,
                              enum mx_line *result, struct mx_error *err);

#endif
