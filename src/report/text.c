/* Markdown: the same sections and tables, without the plots. */
#include "report/document.h"

/* What Markdown or a table of it would take for itself. */
static void write_cell(struct mx_str *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '|' || *text == '\\' || *text == '<' || *text == '`' || *text == '*' || *text == '_')
            mx_str_putc(out, '\\');
        mx_str_putc(out, *text);
    }
}

static void write_table(struct mx_str *out, const struct doc_table *table)
{
    for (size_t i = 0; i < table->count; i++) {
        mx_str_puts(out, i % table->columns == 0 ? "| " : " | ");
        write_cell(out, table->cells[i]);
        if (i % table->columns + 1 != table->columns) continue;
        mx_str_puts(out, " |\n");
        if (i + 1 != table->columns) continue;
        for (size_t column = 0; column < table->columns; column++) {
            const size_t below = table->columns + column;
            const bool right = below < table->count && doc_is_number(table->cells[below]);
            mx_str_puts(out, right ? "|---:" : "|---");
        }
        mx_str_puts(out, "|\n");
    }
    mx_str_puts(out, "\n");
}

void doc_write_markdown(struct mx_str *out, const struct doc *doc)
{
    mx_str_puts(out, "# ");
    write_cell(out, doc->title);
    mx_str_puts(out, "\n\n");
    for (size_t i = 0; i < doc->count; i++) {
        const struct doc_section *section = &doc->sections[i];
        mx_str_printf(out, "%s ", section->level == 1 ? "##" : "###");
        write_cell(out, section->heading ? section->heading : "");
        mx_str_puts(out, "\n\n");
        if (section->text) {
            write_cell(out, section->text);
            mx_str_puts(out, "\n\n");
        }
        if (section->table.columns) write_table(out, &section->table);
    }
}
