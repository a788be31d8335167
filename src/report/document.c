/* Building a document. */
#include "report/document.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* `items` with room for one more of `size` bytes, zeroed; NULL, and `items` as they were, when memory runs out. */
static void *with_room(void *items, size_t count, size_t *capacity, size_t size)
{
    if (count == *capacity) {
        const size_t wanted = *capacity ? 2 * *capacity : 8;
        items = realloc(items, wanted * size);
        if (!items) return NULL;
        *capacity = wanted;
    }
    memset((char *)items + count * size, 0, size);
    return items;
}

__attribute__((format(printf, 2, 0))) static char *format_text(struct doc *doc, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    const int length = vsnprintf(NULL, 0, format, args);
    char *text = length < 0 ? NULL : malloc((size_t)length + 1);
    if (text) vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    if (!text) doc->failed = true;
    return text;
}

void doc_set(struct doc *doc, char **text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    free(*text);
    *text = format_text(doc, format, args);
    va_end(args);
}

struct doc_section *doc_section(struct doc *doc, int level)
{
    struct doc_section *sections = with_room(doc->sections, doc->count, &doc->capacity, sizeof *sections);
    if (!sections) {
        doc->failed = true;
        return &doc->lost_section;
    }
    doc->sections = sections;
    sections[doc->count].level = level;
    return &sections[doc->count++];
}

struct doc_series *doc_series(struct doc *doc, struct doc_plot *plot, const char *name, size_t index)
{
    struct doc_series *series = with_room(plot->series, plot->count, &plot->capacity, sizeof *series);
    if (!series) {
        doc->failed = true;
        return &doc->lost_series;
    }
    plot->series = series;
    series += plot->count++;
    series->index = index;
    doc_set(doc, &series->name, "%s", name);
    return series;
}

void doc_point(struct doc *doc, struct doc_series *series, double x, double y, double error, const char *hover)
{
    struct doc_point *points = with_room(series->points, series->count, &series->capacity, sizeof *points);
    if (!points) {
        doc->failed = true;
        return;
    }
    series->points = points;
    points += series->count++;
    *points = (struct doc_point){.x = x, .y = y, .error = error};
    doc_set(doc, &points->hover, "%s", hover);
}

void doc_cell(struct doc *doc, struct doc_table *table, const char *format, ...)
{
    char **cells = with_room(table->cells, table->count, &table->capacity, sizeof *cells);
    if (!cells) {
        doc->failed = true;
        return;
    }
    table->cells = cells;
    va_list args;
    va_start(args, format);
    cells[table->count++] = format_text(doc, format, args);
    va_end(args);
}

static void free_table(struct doc_table *table)
{
    for (size_t i = 0; i < table->count; i++) free(table->cells[i]);
    free(table->cells);
}

static void free_series(struct doc_series *series)
{
    for (size_t i = 0; i < series->count; i++) free(series->points[i].hover);
    free(series->points);
    free(series->name);
}

static void free_section(struct doc_section *section)
{
    free(section->heading);
    free(section->text);
    free(section->plot.title);
    for (size_t i = 0; i < section->plot.count; i++) free_series(&section->plot.series[i]);
    free(section->plot.series);
    free_table(&section->plot.heat);
    free_table(&section->table);
}

void doc_free(struct doc *doc)
{
    free(doc->title);
    for (size_t i = 0; i < doc->count; i++) free_section(&doc->sections[i]);
    free(doc->sections);
    free_section(&doc->lost_section);
    free_series(&doc->lost_series);
    *doc = (struct doc){0};
}

bool doc_is_number(const char *cell)
{
    if (*cell == '+' || *cell == '-') cell++;
    return isdigit((unsigned char)*cell) != 0;
}
