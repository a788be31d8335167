/* Tables and wrapped paragraphs of table.h. */
#include "cli/table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/clean.h"
#include "base/str.h"

int mx_text_width(const char *text)
{
    int width = 0;
    const utf8proc_uint8_t *at = (const utf8proc_uint8_t *)text;
    while (*at) {
        utf8proc_int32_t codepoint;
        const utf8proc_ssize_t length = utf8proc_iterate(at, -1, &codepoint);
        if (length <= 0) { /* not UTF-8: a byte, a column */
            at++;
            width++;
            continue;
        }
        width += utf8proc_charwidth(codepoint);
        at += length;
    }
    return width;
}

static void add_cell(struct mx_table *table, enum mx_style style, char *text)
{
    if (table->next == table->columns) table->next = 0;
    if (table->next == 0) {
        if (table->rows == table->capacity) {
            const int capacity = table->capacity ? 2 * table->capacity : 16;
            struct mx_cell *cells = realloc(table->cells, sizeof *cells * (size_t)(capacity * table->columns));
            if (!cells) {
                table->failed = true;
                free(text);
                return;
            }
            table->cells = cells;
            table->capacity = capacity;
        }
        memset(table->cells + table->rows * table->columns, 0, sizeof *table->cells * (size_t)table->columns);
        table->rows++;
    }
    table->cells[(table->rows - 1) * table->columns + table->next++] = (struct mx_cell){text, style};
    if (!text) table->failed = true;
}

void mx_table_start(struct mx_table *table, const char *header)
{
    *table = (struct mx_table){.columns = 1};
    for (const char *c = header; *c; c++) table->columns += *c == '|';
    for (int i = 0; i < table->columns; i++) {
        table->right[i] = *header == '>';
        header += table->right[i];
        const size_t length = strcspn(header, "|");
        add_cell(table, MX_STYLE_DIM, mx_strndup(header, length));
        header += length + (header[length] == '|');
    }
}

void mx_table_cell(struct mx_table *table, enum mx_style style, const char *format, ...)
{
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    if (vasprintf(&text, format, arguments) < 0) text = NULL;
    va_end(arguments);
    if (text) mx_clean(text);
    if (!table->failed)
        add_cell(table, style, text);
    else
        free(text);
}

static void print_row(const struct mx_table *table, const struct mx_cell *row, const int *widths, int indent,
                      bool colour)
{
    int pending = indent; /* spaces before the next text: none are left at the end of a line */
    for (int i = 0; i < table->columns; i++) {
        const char *text = row[i].text ? row[i].text : "";
        const int padding = widths[i] - mx_text_width(text);
        if (table->right[i]) pending += padding;
        if (*text) {
            const bool styled = colour && row[i].style != MX_STYLE_PLAIN;
            printf("%*s%s%s%s", pending, "", mx_style(styled, row[i].style), text, mx_style(styled, MX_STYLE_PLAIN));
            pending = 0;
        }
        if (!table->right[i]) pending += padding;
        pending += 2;
    }
    putchar('\n');
}

mx_status mx_table_print(struct mx_table *table, int indent, bool colour, struct mx_error *err)
{
    int widths[MX_TABLE_COLUMNS] = {0};
    const int count = table->rows * table->columns;
    for (int i = 0; i < count; i++) {
        const int width = table->cells[i].text ? mx_text_width(table->cells[i].text) : 0;
        if (width > widths[i % table->columns]) widths[i % table->columns] = width;
    }
    if (!table->failed)
        for (int row = 0; row < table->rows; row++)
            print_row(table, table->cells + row * table->columns, widths, indent, colour);
    for (int i = 0; i < count; i++) free(table->cells[i].text);
    free(table->cells);
    const bool failed = table->failed;
    *table = (struct mx_table){0};
    return failed ? mx_fail_memory(err, "a table", 0) : MX_OK;
}

void mx_print_wrapped(const char *given, int indent, int width)
{
    char *text = mx_strndup(given, strlen(given));
    if (!text) {
        mx_output_lost();
        return;
    }
    mx_clean(text);
    int column = indent;
    for (const char *word = text; *word;) {
        const size_t length = strcspn(word, " ");
        char copy[256];
        snprintf(copy, sizeof copy, "%.*s", (int)length, word);
        const int word_width = mx_text_width(copy);
        if (column > indent && column + 1 + word_width > width) {
            printf("\n%*s", indent, "");
            column = indent;
        } else if (column > indent) {
            putchar(' ');
            column++;
        }
        printf("%.*s", (int)length, word);
        column += word_width;
        word += length;
        while (*word == ' ') word++;
    }
    putchar('\n');
    free(text);
}
