/* What commands print with: colour, errors and notes, JSON, the progress bar. Tables: table.h. */
#ifndef MX_CLI_OUTPUT_H
#define MX_CLI_OUTPUT_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/error.h"
#include "base/progress.h"
#include "cli/command.h"

enum mx_style { MX_STYLE_PLAIN, MX_STYLE_BOLD, MX_STYLE_DIM, MX_STYLE_RED, MX_STYLE_GREEN, MX_STYLE_YELLOW };

/* The escape sequence for a style, or "" where colour is not wanted. MX_STYLE_PLAIN ends a style. */
const char *mx_style(bool colour, enum mx_style style);

/* "mlxcel: MESSAGE" on stderr, one line. */
void mx_print_error(const struct mx_cli *cli, const struct mx_error *err);
/* "mlxcel: note: MESSAGE" on stderr: something that the user should know and that stops nothing. */
void mx_print_note(const struct mx_cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Once, before and after all output. The end takes the command's status and returns the program's: output that could
 * not be written, or not be made for want of memory, is a failure, and then as little as possible of it goes out. */
void mx_output_begin(void);
mx_status mx_output_end(mx_status status, struct mx_error *err);
/* Sends out what stdout has buffered. False where that fails, now or before, which mx_output_end tells. For one thread.
 */
bool mx_output_flush(void);

/* Whether the user's locale shows characters beyond ASCII, by its name: it need not be installed here. */
bool mx_output_utf8(void);

/* To be called by what prints and can't report that memory ran out: the program then fails at its end. cJSON's
 * functions that build a tree call it too, and who writes such a tree otherwise than by mx_print_json must ask first.
 */
void mx_output_lost(void);
bool mx_output_was_lost(void);

/* A JSON value on stdout, indented by two, keys in the order in which they were added, lists of plain values on one
 * line, whole numbers without exponent, and a newline at the end. Takes ownership of `value`. Fails, with nothing
 * printed, where memory ran out while it was built. */
mx_status mx_print_json(cJSON *value, struct mx_error *err);

/* A string, escaped and in quotes; a number, null where it is none: on stdout, without an allocation. */
void mx_print_json_string(const char *text);
void mx_print_json_number(double value);

/* A member of an object: a number, or null where it was not measured (0). */
void mx_json_add_measured(cJSON *object, const char *key, double value);

/* Whether `path` leads where standard output does (/dev/stdout): then nothing else must be printed there. */
bool mx_is_standard_output(const char *path);

/* Hooks for long work: a bar on stderr if that is a terminal, and Ctrl-C. The bar disappears when its work is done or
 * at mx_progress_bar_end(), which the program also calls before it prints an error. */
struct mx_progress mx_progress_bar(const struct mx_cli *cli);
void mx_progress_bar_end(void);
bool mx_progress_bar_drawn(void); /* whether it stands on the terminal now */

#endif
