/* Tables on stdout: columns as wide as their widest cell, aligned by display width (UTF-8), two spaces apart. */
#ifndef MX_CLI_TABLE_H
#define MX_CLI_TABLE_H

#include <stdbool.h>

#include "cli/output.h"

enum { MX_TABLE_COLUMNS = 16 };

/* One cell: a copy of `text` (owned) in a style. */
struct mx_cell {
    char *text;
    enum mx_style style;
};

struct mx_table {
    int columns;
    bool right[MX_TABLE_COLUMNS]; /* right-aligned: numbers */
    struct mx_cell *cells;        /* [rows * columns], row 0 is the header */
    int rows, capacity, next;     /* `next`: cells filled in the last row */
    bool failed;                  /* memory ran out */
};

/* Starts a table. `header` names the columns, separated by '|'; a name that starts with '>' is right-aligned, without
 * the '>': "mode|>bytes|>tokens". */
void mx_table_start(struct mx_table *table, const char *header);
/* The next cell, left to right, row after row; printf-like. */
void mx_table_cell(struct mx_table *table, enum mx_style style, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Prints and frees. `indent` spaces stand before each line. */
mx_status mx_table_print(struct mx_table *table, int indent, bool colour, struct mx_error *err);

/* Columns that a UTF-8 text takes on a terminal. */
int mx_text_width(const char *text);

/* Prints `given` (one paragraph) wrapped at `width` columns; lines but the first start with `indent` spaces. The first
 * is taken to start at column `indent` as well. */
void mx_print_wrapped(const char *given, int indent, int width);

#endif
