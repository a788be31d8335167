/* A report before it is written: sections with text, plots and tables. Private to src/report. Texts are owned. */
#ifndef MX_REPORT_DOCUMENT_H
#define MX_REPORT_DOCUMENT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

/* Cells row after row; the first row is the header. A cell that is a number is aligned to the right. */
struct doc_table {
    size_t columns, count, capacity;
    char **cells; /* [count] */
};

struct doc_point {
    double x, y, error; /* error: half the length of the bar around y; 0: none */
    char *hover;
};

struct doc_series {
    char *name;
    size_t index; /* of its colour and mark: the same series has the same in every plot */
    bool line;    /* points are joined, in their order */
    bool muted;   /* a guide, not a measurement: thin, dashed, without marks, not in the legend */
    struct doc_point *points;
    size_t count, capacity;
};

enum doc_scale { DOC_LINEAR, DOC_LOG2, DOC_LOG10 };

struct doc_axis {
    const char *label;
    enum doc_scale scale;
    bool from_zero; /* linear: starts at 0 */
};

/* Lines and points over two axes; or, where `heat` has columns, a map of shares from 0 to 1. */
struct doc_plot {
    char *title;
    struct doc_axis x, y;
    struct doc_series *series;
    size_t count, capacity;
    struct doc_table heat; /* header: corner, columns; rows: name, then a share or "" */
};

struct doc_section {
    int level; /* 1: a model; 2: a question about it */
    char *heading, *text;
    struct doc_plot plot;   /* none where it has neither series nor heat */
    struct doc_table table; /* none where it has no columns */
};

struct doc {
    char *title;
    struct doc_section *sections;
    size_t count, capacity;
    bool failed; /* memory ran out: the document is not whole, and what was to be added went into these */
    struct doc_section lost_section;
    struct doc_series lost_series;
};

/* All that add mark doc->failed where memory runs out and return something harmless, so that one check at the end does.
 */
void doc_set(struct doc *doc, char **text, const char *format, ...) __attribute__((format(printf, 3, 4)));
struct doc_section *doc_section(struct doc *doc, int level);
struct doc_series *doc_series(struct doc *doc, struct doc_plot *plot, const char *name, size_t index);
void doc_point(struct doc *doc, struct doc_series *series, double x, double y, double error, const char *hover);
void doc_cell(struct doc *doc, struct doc_table *table, const char *format, ...) __attribute__((format(printf, 3, 4)));
void doc_free(struct doc *doc);

/* True for "12", "-0.5", "+1.2 %", "3.1 KB": what a column of figures holds. */
bool doc_is_number(const char *cell);

void doc_write_html(struct mx_str *out, const struct doc *doc);
void doc_write_markdown(struct mx_str *out, const struct doc *doc);

/* html.c: text with &, <, >, " escaped. plot.c: one figure as SVG. */
void doc_escape(struct mx_str *out, const char *text);
void doc_write_plot(struct mx_str *out, const struct doc_plot *plot);

#endif
