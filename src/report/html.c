/* One HTML file: no network, no script. */
#include "report/document.h"

void doc_escape(struct mx_str *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '&')
            mx_str_puts(out, "&amp;");
        else if (*text == '<')
            mx_str_puts(out, "&lt;");
        else if (*text == '>')
            mx_str_puts(out, "&gt;");
        else if (*text == '"')
            mx_str_puts(out, "&quot;");
        else
            mx_str_putc(out, *text);
    }
}

/* Colours of eight series that people with any colour vision tell apart, one set for light paper and one for dark
 * screens (Okabe and Ito, "Color Universal Design", 2008; the two that fade on their ground are shifted). */
static const char style[] =
    ":root{--ground:#fff;--text:#1d2126;--quiet:#5c6670;--rule:#d5dae0;--band:#f4f6f8;--heat:0,114,178;"
    "--s0:#1d2126;--s1:#0072b2;--s2:#d55e00;--s3:#009e73;--s4:#cc79a7;--s5:#b8860b;--s6:#56b4e9;--s7:#7f4fc9}\n"
    "@media (prefers-color-scheme:dark){:root{--ground:#14171a;--text:#e6e9ec;--quiet:#9aa4ae;--rule:#343a41;"
    "--band:#1c2024;--heat:86,180,233;--s0:#e6e9ec;--s1:#4ea3e0;--s2:#f08a4b;--s3:#2fc79a;--s4:#e39cc4;--s5:#e6c04a;"
    "--s6:#9bd3f5;--s7:#b79af0}}\n"
    "@media print{:root{--ground:#fff;--text:#000;--quiet:#444;--rule:#bbb;--band:#fff}details{display:block}"
    "details>*{display:block!important}figure,table{break-inside:avoid}nav{display:none}}\n"
    "body{font:16px/1.5 system-ui,sans-serif;color:var(--text);background:var(--ground);margin:0 auto;"
    "max-width:60rem;padding:1.5rem 1rem 4rem}\n"
    "h1{font-size:1.6rem;line-height:1.25}h2{font-size:1.3rem;margin-top:3rem;border-top:1px solid var(--rule);"
    "padding-top:1rem}h3{font-size:1.05rem;margin-top:2rem}\n"
    "p{max-width:46rem}a{color:var(--s1)}nav ul{columns:2;padding-left:1.2rem}\n"
    ".scroll{overflow-x:auto}table{border-collapse:collapse;font-size:.875rem;font-variant-numeric:tabular-nums}\n"
    "th,td{padding:.2rem .7rem .2rem 0;text-align:left;white-space:nowrap;border-bottom:1px solid var(--rule)}"
    "th{color:var(--quiet);font-weight:600}.n{text-align:right}\n"
    "figure{margin:1rem 0}svg{width:100%;height:auto;max-width:46rem;display:block;font:12px system-ui,sans-serif}"
    "summary{cursor:pointer;color:var(--quiet)}\n"
    "svg text{fill:var(--text)}svg .quiet{fill:var(--quiet)}svg .rule{stroke:var(--rule);stroke-width:1}"
    "svg .axis{stroke:var(--quiet);stroke-width:1}svg .line{fill:none;stroke-width:2}"
    "svg .muted{fill:none;stroke:var(--quiet);stroke-width:1;stroke-dasharray:4 4}svg .bar{stroke-width:1}\n";

static void write_series_style(struct mx_str *out)
{
    for (int i = 0; i < 8; i++)
        mx_str_printf(out, ".s%d{stroke:var(--s%d);fill:var(--s%d)}.s%d.line{fill:none}", i, i, i, i);
    mx_str_puts(out, "\n");
}

static void write_table(struct mx_str *out, const struct doc_table *table)
{
    mx_str_puts(out, "<div class=\"scroll\"><table>\n");
    for (size_t i = 0; i < table->count; i++) {
        const size_t column = i % table->columns;
        const bool header = i < table->columns;
        /* A column is aligned by its first figure, the header with it. */
        bool right = doc_is_number(table->cells[i]);
        for (size_t below = i + table->columns; header && !right && below < table->count; below += table->columns)
            right = doc_is_number(table->cells[below]);
        if (i == 0) mx_str_puts(out, "<thead>");
        if (i == table->columns) mx_str_puts(out, "<tbody>");
        if (column == 0) mx_str_puts(out, "<tr>");
        mx_str_printf(out, "<%s%s>", header ? "th scope=\"col\"" : "td", right ? " class=\"n\"" : "");
        doc_escape(out, table->cells[i]);
        mx_str_printf(out, "</%s>", header ? "th" : "td");
        if (column + 1 == table->columns) mx_str_puts(out, "</tr>\n");
        if (i + 1 == table->columns) mx_str_puts(out, "</thead>");
    }
    mx_str_puts(out, table->count > table->columns ? "</tbody></table></div>\n" : "</table></div>\n");
}

static void write_section(struct mx_str *out, const struct doc_section *section, size_t index)
{
    mx_str_printf(out, "<h%d id=\"s%zu\">", section->level + 1, index);
    doc_escape(out, section->heading ? section->heading : "");
    mx_str_printf(out, "</h%d>\n", section->level + 1);
    if (section->text) {
        mx_str_puts(out, "<p>");
        doc_escape(out, section->text);
        mx_str_puts(out, "</p>\n");
    }
    const bool plotted = section->plot.count > 0 || section->plot.heat.columns > 0;
    if (plotted) {
        mx_str_puts(out, "<figure>");
        doc_write_plot(out, &section->plot);
        mx_str_puts(out, "</figure>\n");
    }
    if (!section->table.columns) return;
    if (plotted) mx_str_puts(out, "<details><summary>The figures</summary>\n");
    write_table(out, &section->table);
    if (plotted) mx_str_puts(out, "</details>\n");
}

void doc_write_html(struct mx_str *out, const struct doc *doc)
{
    mx_str_puts(out, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
                     "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
                     "<meta name=\"color-scheme\" content=\"light dark\">\n<title>");
    doc_escape(out, doc->title);
    mx_str_puts(out, "</title>\n<style>\n");
    mx_str_puts(out, style);
    write_series_style(out);
    mx_str_puts(out, "</style></head><body>\n<h1>");
    doc_escape(out, doc->title);
    mx_str_puts(out, "</h1>\n");
    mx_str_puts(out, "<nav aria-label=\"Contents\"><ul>\n");
    for (size_t i = 0; i < doc->count; i++) {
        if (doc->sections[i].level != 1) continue;
        mx_str_printf(out, "<li><a href=\"#s%zu\">", i);
        doc_escape(out, doc->sections[i].heading);
        mx_str_puts(out, "</a></li>\n");
    }
    mx_str_puts(out, "</ul></nav>\n");
    for (size_t i = 0; i < doc->count; i++) write_section(out, &doc->sections[i], i);
    mx_str_puts(out, "</body></html>\n");
}
