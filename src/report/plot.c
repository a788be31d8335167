/* Plots as SVG: lines and points over two axes, and maps of shares. Sizes are in the drawing's own units; the page
 * scales it. Every value can be read by pointing at it (a title element), without a script. */
#include <math.h>
#include <stdlib.h>

#include "report/document.h"

enum { WIDTH = 720, LEFT = 64, RIGHT = 28, TOP = 30, HEIGHT = 260, BOTTOM = 44, LEGEND_ROW = 18, MAX_TICKS = 24 };

struct axis {
    enum doc_scale scale;
    double low, high; /* in the scale's own measure: exponents for logarithms */
    double ticks[MAX_TICKS];
    int tick_count;
};

static double scaled(enum doc_scale scale, double value)
{
    return scale == DOC_LOG2 ? log2(value) : scale == DOC_LOG10 ? log10(value) : value;
}

static double unscaled(enum doc_scale scale, double value)
{
    return scale == DOC_LOG2 ? exp2(value) : scale == DOC_LOG10 ? pow(10, value) : value;
}

/* A point that the axes can show: a logarithm has no place for 0. */
static bool is_shown(const struct doc_plot *plot, const struct doc_point *point)
{
    return isfinite(point->x) && isfinite(point->y) && (plot->x.scale == DOC_LINEAR || point->x > 0) &&
           (plot->y.scale == DOC_LINEAR || point->y > 0);
}

/* Steps of 1, 2 or 5 times a power of ten (linear), or whole exponents (logarithmic), at most eight or so. */
static void set_ticks(struct axis *axis)
{
    double step = 1;
    if (axis->scale == DOC_LINEAR) {
        const double rough = (axis->high - axis->low) / 5, power = pow(10, floor(log10(rough)));
        step = rough <= power ? power : rough <= 2 * power ? 2 * power : rough <= 5 * power ? 5 * power : 10 * power;
    } else {
        step = fmax(1, ceil((axis->high - axis->low) / 8));
    }
    axis->low = floor(axis->low / step + 1e-9) * step;
    axis->high = ceil(axis->high / step - 1e-9) * step;
    for (double at = axis->low; at <= axis->high + step / 2 && axis->tick_count < MAX_TICKS; at += step)
        axis->ticks[axis->tick_count++] = fabs(at) < step / 1e6 ? 0 : at;
}

static struct axis make_axis(const struct doc_plot *plot, const struct doc_axis *wanted, bool vertical)
{
    struct axis axis = {.scale = wanted->scale, .low = INFINITY, .high = -INFINITY};
    for (size_t i = 0; i < plot->count; i++) {
        for (size_t j = 0; j < plot->series[i].count; j++) {
            const struct doc_point *point = &plot->series[i].points[j];
            if (!is_shown(plot, point)) continue;
            const double at = scaled(axis.scale, vertical ? point->y : point->x);
            axis.low = fmin(axis.low, at);
            axis.high = fmax(axis.high, at);
        }
    }
    if (!(axis.low <= axis.high)) axis.low = axis.high = 0;
    if (wanted->from_zero && axis.low > 0) axis.low = 0;
    if (axis.high - axis.low < 1e-9 * fmax(1, fabs(axis.high))) axis.high = axis.low + 1;
    set_ticks(&axis);
    return axis;
}

static double place_x(const struct axis *axis, double value)
{
    return LEFT + (scaled(axis->scale, value) - axis->low) / (axis->high - axis->low) * (WIDTH - LEFT - RIGHT);
}

static double place_y(const struct axis *axis, double value)
{
    return TOP + HEIGHT - (scaled(axis->scale, value) - axis->low) / (axis->high - axis->low) * HEIGHT;
}

static void write_tick(struct mx_str *out, const struct axis *axis, double tick)
{
    const double value = unscaled(axis->scale, tick);
    if (axis->scale == DOC_LOG2 && value >= 1024 && fmod(value, 1024) == 0)
        mx_str_printf(out, "%.0fK", value / 1024);
    else if (value > 0 && value < 1e-4) /* where %g would write an exponent */
        mx_str_printf(out, "%.*f", (int)ceil(-log10(value)), value);
    else
        mx_str_printf(out, "%.5g", value);
}

static void write_axes(struct mx_str *out, const struct doc_plot *plot, const struct axis *x, const struct axis *y)
{
    for (int i = 0; i < y->tick_count; i++) {
        const double at = place_y(y, unscaled(y->scale, y->ticks[i]));
        mx_str_printf(out, "<line class=\"rule\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>", LEFT, WIDTH - RIGHT,
                      at, at);
        mx_str_printf(out, "<text class=\"quiet\" text-anchor=\"end\" x=\"%d\" y=\"%.1f\">", LEFT - 8, at + 4);
        write_tick(out, y, y->ticks[i]);
        mx_str_puts(out, "</text>\n");
    }
    for (int i = 0; i < x->tick_count; i++) {
        const double at = place_x(x, unscaled(x->scale, x->ticks[i]));
        mx_str_printf(out, "<line class=\"axis\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>", at, at, TOP + HEIGHT,
                      TOP + HEIGHT + 4);
        mx_str_printf(out, "<text class=\"quiet\" text-anchor=\"middle\" x=\"%.1f\" y=\"%d\">", at, TOP + HEIGHT + 18);
        write_tick(out, x, x->ticks[i]);
        mx_str_puts(out, "</text>\n");
    }
    mx_str_printf(out, "<line class=\"axis\" x1=\"%d\" x2=\"%d\" y1=\"%d\" y2=\"%d\"/>", LEFT, WIDTH - RIGHT,
                  TOP + HEIGHT, TOP + HEIGHT);
    mx_str_printf(out, "<text text-anchor=\"end\" x=\"%d\" y=\"%d\">", WIDTH - RIGHT, TOP + HEIGHT + 36);
    doc_escape(out, plot->x.label);
    mx_str_puts(out, "</text>\n<text x=\"0\" y=\"12\">");
    doc_escape(out, plot->y.label);
    mx_str_puts(out, "</text>\n");
}

/* A mark of one of four shapes: colour alone must not carry the meaning. */
static void write_mark(struct mx_str *out, size_t index, double x, double y, const char *hover)
{
    mx_str_printf(out, "<g class=\"s%zu\"><title>", index % 8);
    doc_escape(out, hover ? hover : "");
    mx_str_puts(out, "</title>");
    switch (index % 4) {
    case 0: mx_str_printf(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\"/>", x, y); break;
    case 1: mx_str_printf(out, "<rect x=\"%.1f\" y=\"%.1f\" width=\"7\" height=\"7\"/>", x - 3.5, y - 3.5); break;
    case 2: mx_str_printf(out, "<path d=\"M%.1f %.1fl5 9h-10z\"/>", x, y - 5.5); break;
    default: mx_str_printf(out, "<path d=\"M%.1f %.1fl5 5-5 5-5-5z\"/>", x, y - 5); break;
    }
    mx_str_puts(out, "</g>\n");
}

static void write_series(struct mx_str *out, const struct doc_plot *plot, const struct doc_series *series,
                         const struct axis *x, const struct axis *y)
{
    if (series->line) {
        if (series->muted)
            mx_str_puts(out, "<path class=\"muted\" d=\"");
        else
            mx_str_printf(out, "<path class=\"s%zu line\" d=\"", series->index % 8);
        char move = 'M';
        for (size_t i = 0; i < series->count; i++) {
            const struct doc_point *point = &series->points[i];
            if (!is_shown(plot, point)) continue;
            mx_str_printf(out, "%c%.1f %.1f", move, place_x(x, point->x), place_y(y, point->y));
            move = 'L';
        }
        mx_str_puts(out, "\"/>\n");
    }
    for (size_t i = 0; i < series->count && !series->muted; i++) {
        const struct doc_point *point = &series->points[i];
        if (!is_shown(plot, point)) continue;
        const double at = place_x(x, point->x);
        const double low = unscaled(y->scale, y->low), high = unscaled(y->scale, y->high);
        if (point->error > 0) {
            mx_str_printf(out, "<line class=\"s%zu bar\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>",
                          series->index % 8, at, at, place_y(y, fmax(low, point->y - point->error)),
                          place_y(y, fmin(high, point->y + point->error)));
        }
        write_mark(out, series->index, at, place_y(y, point->y), point->hover);
    }
}

/* Roughly what a text takes in the drawing's type. */
static double text_width(const char *text)
{
    double width = 0;
    for (; *text; text++) width += (*text & 0xc0) != 0x80 ? 6.6 : 0;
    return width;
}

/* Names under the plot, as many in a row as fit. Returns the height that they take; only measures with out == NULL. */
static int write_legend(struct mx_str *out, const struct doc_plot *plot, int top)
{
    double at = LEFT;
    int row = 0;
    for (size_t i = 0; i < plot->count; i++) {
        const struct doc_series *series = &plot->series[i];
        if (series->muted || !series->name) continue;
        const double width = 32 + text_width(series->name);
        if (at > LEFT && at + width > WIDTH - RIGHT) {
            at = LEFT;
            row++;
        }
        if (out) {
            const int y = top + row * LEGEND_ROW + 10;
            write_mark(out, series->index, at + 5, y - 4, series->name);
            mx_str_printf(out, "<text x=\"%.1f\" y=\"%d\">", at + 15, y);
            doc_escape(out, series->name);
            mx_str_puts(out, "</text>\n");
        }
        at += width;
    }
    return (row + 1) * LEGEND_ROW;
}

static void open_svg(struct mx_str *out, const struct doc_plot *plot, int height)
{
    mx_str_printf(out, "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"", WIDTH, height);
    doc_escape(out, plot->title ? plot->title : "");
    mx_str_puts(out, "\">\n");
}

/* One cell for each share, the stronger the nearer to 1, with the share written in it. */
static void write_heat(struct mx_str *out, const struct doc_plot *plot)
{
    enum { CELL_HEIGHT = 26 };
    const struct doc_table *heat = &plot->heat;
    const size_t rows = heat->count / heat->columns;
    double names = 0;
    for (size_t i = 0; i < rows; i++) names = fmax(names, 12 + text_width(heat->cells[i * heat->columns]));
    names = fmin(names, 0.5 * WIDTH);
    const double width = fmin(90, (WIDTH - names) / (double)(heat->columns > 1 ? heat->columns - 1 : 1));
    open_svg(out, plot, (int)rows * CELL_HEIGHT + 8);
    for (size_t i = 0; i < rows * heat->columns; i++) {
        const size_t row = i / heat->columns, column = i % heat->columns;
        const char *text = heat->cells[i];
        const double x = column ? names + width * (double)(column - 1) : 0, y = (double)row * CELL_HEIGHT;
        if (row > 0 && column > 0 && *text) {
            const double share = fmin(1, fmax(0, strtod(text, NULL)));
            mx_str_printf(out,
                          "<g><title>%.0f %%</title><rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\" "
                          "style=\"fill:rgba(var(--heat),%.2f)\"/></g>",
                          100 * share, x + 1, y + 1, width - 2, CELL_HEIGHT - 2, 0.08 + 0.72 * share);
            mx_str_printf(out, "<text text-anchor=\"middle\" x=\"%.1f\" y=\"%.1f\">%.0f %%</text>\n", x + width / 2,
                          y + 17, 100 * share);
        } else {
            mx_str_printf(out, "<text%s x=\"%.1f\" y=\"%.1f\">",
                          column ? " class=\"quiet\" text-anchor=\"middle\"" : "", column ? x + width / 2 : 0, y + 17);
            doc_escape(out, text);
            mx_str_puts(out, "</text>\n");
        }
    }
    mx_str_puts(out, "</svg>");
}

void doc_write_plot(struct mx_str *out, const struct doc_plot *plot)
{
    if (plot->heat.columns) {
        write_heat(out, plot);
        return;
    }
    const struct axis x = make_axis(plot, &plot->x, false), y = make_axis(plot, &plot->y, true);
    const int top = TOP + HEIGHT + BOTTOM;
    open_svg(out, plot, top + write_legend(NULL, plot, top) + 4);
    write_axes(out, plot, &x, &y);
    for (size_t i = 0; i < plot->count; i++) write_series(out, plot, &plot->series[i], &x, &y);
    write_legend(out, plot, top);
    mx_str_puts(out, "</svg>");
}
