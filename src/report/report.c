/* What a report shows: for each model and machine, speed over context, quality against bytes, retrieval, divergence by
 * position, and how modes changed from one version of the program to the next. */
#include "report/report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"
#include "records/columns.h"
#include "records/grade.h"
#include "report/document.h"

/* The records of one model on one machine. */
struct subject {
    const struct mx_record *records;
    size_t count;
};

/* Up to so many plans, contexts and versions of a subject are told apart; more are left to the CSV. */
enum { MAX_NAMES = 64 };

struct names {
    char text[MAX_NAMES][160];
    size_t count;
};

struct contexts {
    uint64_t tokens[MAX_NAMES];
    size_t count;
};

/* A record's value, times `scale`; an empty cell where there is none. */
static void number_cell(struct doc *doc, struct doc_table *table, const struct mx_record *record, int decimals,
                        double scale, const char *unit)
{
    if (record)
        doc_cell(doc, table, "%.*f%s", decimals, scale * record->value, unit);
    else
        doc_cell(doc, table, "%s", "");
}

/* A plan as the report calls it: its protections are part of the name where they are not the plain mode's. */
static void plan_name(const struct mx_record *record, char name[160])
{
    const struct mx_record_plan *plan = &record->plan;
    int length = snprintf(name, 160, "%s", plan->name);
    if (plan->recent || plan->sink)
        length += snprintf(name + length, 160 - (size_t)length, ", recent %u", plan->recent);
    if (plan->sink) length += snprintf(name + length, 160 - (size_t)length, ", sink %u", plan->sink);
    if (plan->boundary_v) length += snprintf(name + length, 160 - (size_t)length, ", boundary V %u", plan->boundary_v);
    if (record->batch > 1) snprintf(name + length, 160 - (size_t)length, ", %u at once", record->batch);
}

static size_t find_name(const struct names *names, const char *name)
{
    size_t i = 0;
    while (i < names->count && strcmp(names->text[i], name) != 0) i++;
    return i;
}

static void add_name(struct names *names, const char *name)
{
    if (find_name(names, name) == names->count && names->count < MAX_NAMES)
        snprintf(names->text[names->count++], sizeof *names->text, "%s", name);
}

static int compare_names(const void *a, const void *b)
{
    /* fp16, against which all are measured, comes first */
    const bool first = strcmp(a, "fp16") == 0, second = strcmp(b, "fp16") == 0;
    return first != second ? second - first : strcmp(a, b);
}

static struct names plans_of(const struct subject *subject)
{
    struct names names = {.count = 0};
    for (size_t i = 0; i < subject->count; i++) {
        char name[160];
        plan_name(&subject->records[i], name);
        add_name(&names, name);
    }
    qsort(names.text, names.count, sizeof *names.text, compare_names);
    return names;
}

static struct names versions_of(const struct subject *subject)
{
    struct names names = {.count = 0};
    for (size_t i = 0; i < subject->count; i++) add_name(&names, subject->records[i].version);
    return names; /* in order: the records are */
}

static int compare_tokens(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static struct contexts contexts_of(const struct subject *subject)
{
    struct contexts contexts = {.count = 0};
    for (size_t i = 0; i < subject->count; i++) {
        const uint64_t tokens = subject->records[i].context;
        size_t at = 0;
        while (at < contexts.count && contexts.tokens[at] != tokens) at++;
        if (at == contexts.count && at < MAX_NAMES) contexts.tokens[contexts.count++] = tokens;
    }
    qsort(contexts.tokens, contexts.count, sizeof *contexts.tokens, compare_tokens);
    return contexts;
}

/* The figure of a plan at a context, by the newest version that has it; NULL where there is none. */
static const struct mx_record *find(const struct subject *subject, const char *plan, uint64_t context,
                                    enum mx_measure measure, const char *version)
{
    const struct mx_record *found = NULL;
    for (size_t i = 0; i < subject->count; i++) {
        const struct mx_record *record = &subject->records[i];
        char name[160];
        if (record->measure != measure || record->context != context) continue;
        if (version && strcmp(record->version, version) != 0) continue;
        plan_name(record, name);
        if (strcmp(name, plan) == 0) found = record; /* later versions come later */
    }
    return found;
}

static bool has_any(const struct subject *subject, enum mx_measure measure)
{
    for (size_t i = 0; i < subject->count; i++)
        if (subject->records[i].measure == measure) return true;
    return false;
}

static void format_tokens(uint64_t tokens, char text[32])
{
    mx_format_count(tokens, text);
}

static void add_point(struct doc *doc, struct doc_series *series, double x, const struct mx_record *record,
                      const char *unit)
{
    char tokens[32], hover[320];
    format_tokens(record->context, tokens);
    snprintf(hover, sizeof hover, "%s, %s tokens: %.4g%s (%u, %s, version %s)", series->name ? series->name : "",
             tokens, record->value, unit, record->repeats, record->date, record->version);
    doc_point(doc, series, x, record->value, record->error, hover);
}

/* --- sections --- */

static void add_speed(struct doc *doc, const struct subject *subject, const struct names *plans,
                      const struct contexts *contexts)
{
    if (!has_any(subject, MX_MEASURE_DECODE_RATIO) && !has_any(subject, MX_MEASURE_DECODE)) return;
    struct doc_section *section = doc_section(doc, 2);
    doc_set(doc, &section->heading, "Decode speed over context");
    doc_set(doc, &section->text,
            "Tokens per second relative to the fp16 cache in the same run, runs of all modes in turns; above 1 is "
            "faster than fp16. Bars are half the spread of the repeats.");
    struct doc_plot *plot = &section->plot;
    doc_set(doc, &plot->title, "Decode speed relative to fp16 over context, one line for each mode");
    plot->x = (struct doc_axis){"tokens in the cache", DOC_LOG2, false};
    plot->y = (struct doc_axis){"speed relative to fp16", DOC_LINEAR, true};
    section->table.columns = 6;
    const char *const header[] = {"mode", "tokens", "of fp16", "tok/s", "of the floor", "runs"};
    for (size_t i = 0; i < 6; i++) doc_cell(doc, &section->table, "%s", header[i]);
    for (size_t p = 0; p < plans->count; p++) {
        struct doc_series *series = NULL;
        for (size_t c = 0; c < contexts->count; c++) {
            const char *plan = plans->text[p];
            const uint64_t tokens = contexts->tokens[c];
            const struct mx_record *ratio = find(subject, plan, tokens, MX_MEASURE_DECODE_RATIO, NULL),
                                   *speed = find(subject, plan, tokens, MX_MEASURE_DECODE, NULL),
                                   *floor = find(subject, plan, tokens, MX_MEASURE_FLOOR_SHARE, NULL);
            if (!ratio && !speed) continue;
            if (ratio) {
                if (!series) {
                    series = doc_series(doc, plot, plan, p);
                    series->line = true;
                }
                add_point(doc, series, (double)tokens, ratio, " times fp16");
            }
            char text[32];
            format_tokens(tokens, text);
            doc_cell(doc, &section->table, "%s", plan);
            doc_cell(doc, &section->table, "%s", text);
            number_cell(doc, &section->table, ratio, 2, 1, "");
            number_cell(doc, &section->table, speed, 1, 1, "");
            number_cell(doc, &section->table, floor, 0, 100, " %");
            doc_cell(doc, &section->table, "%u", ratio ? ratio->repeats : speed->repeats);
        }
    }
}

/* One plan at one context in the quality plot. */
struct spot {
    double bytes, kl;
};

static int compare_spots(const void *a, const void *b)
{
    const struct spot *x = a, *y = b;
    return (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

/* The line through the plans that no other beats in both bytes and divergence. */
static void add_front(struct doc *doc, struct doc_plot *plot, struct spot *spots, size_t count)
{
    qsort(spots, count, sizeof *spots, compare_spots);
    struct doc_series *front = doc_series(doc, plot, "Pareto front", 0);
    front->line = front->muted = true;
    double best = INFINITY;
    for (size_t i = 0; i < count; i++) {
        if (spots[i].kl >= best) continue;
        best = spots[i].kl;
        doc_point(doc, front, spots[i].bytes, spots[i].kl, 0, "");
    }
}

static struct mx_quality quality_of(const struct subject *subject, const char *plan, uint64_t tokens)
{
    const struct mx_record *change = find(subject, plan, tokens, MX_MEASURE_PERPLEXITY_CHANGE, NULL),
                           *kl = find(subject, plan, tokens, MX_MEASURE_KL_MEAN, NULL),
                           *top1 = find(subject, plan, tokens, MX_MEASURE_TOP1, NULL),
                           *found = find(subject, plan, tokens, MX_MEASURE_RETRIEVAL, NULL),
                           *fp16 = find(subject, plan, tokens, MX_MEASURE_RETRIEVAL_FP16, NULL);
    struct mx_quality quality = {.measured = change && kl && top1, .retrieved = found && fp16};
    if (quality.measured) {
        quality.perplexity_change = change->value;
        quality.kl_mean = kl->value;
        quality.top1 = top1->value;
    }
    if (quality.retrieved) {
        quality.retrieval = found->value;
        quality.retrieval_fp16 = fp16->value;
        quality.prompts = found->repeats;
    }
    return quality;
}

static void add_quality_row(struct doc *doc, struct doc_table *table, const struct subject *subject, const char *plan,
                            uint64_t tokens, const struct mx_record *bytes)
{
    static const struct {
        enum mx_measure measure;
        int decimals;
        bool percent, sign;
    } figures[] = {
        {MX_MEASURE_KL_MEAN, 6},           {MX_MEASURE_KL_P99, 5},
        {MX_MEASURE_KL_P999, 5},           {MX_MEASURE_PERPLEXITY_CHANGE, 3, true, true},
        {MX_MEASURE_TOP1, 2, true},        {MX_MEASURE_WORST_CHANGE, 3},
        {MX_MEASURE_GREEDY_SAME, 0, true}, {MX_MEASURE_RETRIEVAL, 0, true},
    };
    doc_cell(doc, table, "%s", plan);
    number_cell(doc, table, bytes, 0, 1, "");
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++) {
        const struct mx_record *record = find(subject, plan, tokens, figures[i].measure, NULL);
        const double value = record ? (figures[i].percent ? 100 : 1) * record->value : 0;
        const char *unit = figures[i].percent ? " %" : "";
        if (!record)
            doc_cell(doc, table, "%s", "");
        else if (figures[i].sign)
            doc_cell(doc, table, "%+.*f%s", figures[i].decimals, value, unit);
        else
            doc_cell(doc, table, "%.*f%s", figures[i].decimals, value, unit);
    }
    const struct mx_quality quality = quality_of(subject, plan, tokens);
    doc_cell(doc, table, "%s", mx_grade_name(mx_grade_of(&quality)));
}

static void add_quality_at(struct doc *doc, const struct subject *subject, const struct names *plans, uint64_t tokens)
{
    char text[32];
    format_tokens(tokens, text);
    struct doc_section *section = doc_section(doc, 2);
    doc_set(doc, &section->heading, "Quality against bytes at %s tokens", text);
    doc_set(doc, &section->text,
            "How far each mode's predictions move from the fp16 cache's on the same tokens (mean KL divergence in "
            "nats, lower is better), against what a token takes in the cache. The dashed line joins the modes that no "
            "other beats in both. Bars are standard errors.");
    struct doc_plot *plot = &section->plot;
    doc_set(doc, &plot->title, "Mean KL divergence against bytes per token at %s tokens", text);
    plot->x = (struct doc_axis){"bytes per token", DOC_LINEAR, true};
    plot->y = (struct doc_axis){"mean KL divergence, nats", DOC_LOG10, false};
    struct doc_table *table = &section->table;
    const char *const header[] = {"mode",  "bytes/token",  "KL mean",     "KL 99 %",   "KL 99.9 %", "perplexity",
                                  "top-1", "worst change", "greedy same", "retrieval", "grade"};
    table->columns = sizeof header / sizeof *header;
    for (size_t i = 0; i < table->columns; i++) doc_cell(doc, table, "%s", header[i]);
    struct spot spots[MAX_NAMES];
    size_t spot_count = 0;
    for (size_t p = 0; p < plans->count; p++) {
        const char *plan = plans->text[p];
        const struct mx_record *kl = find(subject, plan, tokens, MX_MEASURE_KL_MEAN, NULL),
                               *bytes = find(subject, plan, tokens, MX_MEASURE_BYTES_PER_TOKEN, NULL);
        if (!kl && !find(subject, plan, tokens, MX_MEASURE_RETRIEVAL, NULL)) continue;
        add_quality_row(doc, table, subject, plan, tokens, bytes);
        if (!kl || !bytes || kl->value <= 0) continue; /* fp16 itself has no place on a logarithm */
        add_point(doc, doc_series(doc, plot, plan, p), bytes->value, kl, " nats");
        spots[spot_count++] = (struct spot){bytes->value, kl->value};
    }
    if (spot_count > 1) add_front(doc, plot, spots, spot_count);
}

static bool has_at(const struct subject *subject, uint64_t tokens, enum mx_measure measure)
{
    for (size_t i = 0; i < subject->count; i++)
        if (subject->records[i].measure == measure && subject->records[i].context == tokens) return true;
    return false;
}

static void add_retrieval(struct doc *doc, const struct subject *subject, const struct names *plans,
                          const struct contexts *contexts)
{
    if (!has_any(subject, MX_MEASURE_RETRIEVAL)) return;
    struct doc_section *section = doc_section(doc, 2);
    doc_set(doc, &section->heading, "Retrieval");
    doc_set(doc, &section->text,
            "Share of the keys hidden in a long text that the model finds again, by mode and length of the text.");
    doc_set(doc, &section->plot.title, "Share of hidden keys found, by mode and context");
    struct doc_table *heat = &section->plot.heat, *table = &section->table;
    heat->columns = 1;
    for (size_t c = 0; c < contexts->count; c++)
        heat->columns += has_at(subject, contexts->tokens[c], MX_MEASURE_RETRIEVAL);
    doc_cell(doc, heat, "%s", "");
    for (size_t c = 0; c < contexts->count; c++) {
        char text[32];
        format_tokens(contexts->tokens[c], text);
        if (has_at(subject, contexts->tokens[c], MX_MEASURE_RETRIEVAL)) doc_cell(doc, heat, "%s", text);
    }
    table->columns = 5;
    const char *const header[] = {"mode", "tokens", "found", "fp16 finds", "prompts"};
    for (size_t i = 0; i < 5; i++) doc_cell(doc, table, "%s", header[i]);
    for (size_t p = 0; p < plans->count; p++) {
        bool any = false;
        for (size_t c = 0; c < contexts->count && !any; c++)
            any = find(subject, plans->text[p], contexts->tokens[c], MX_MEASURE_RETRIEVAL, NULL) != NULL;
        if (!any) continue;
        doc_cell(doc, heat, "%s", plans->text[p]);
        for (size_t c = 0; c < contexts->count; c++) {
            const uint64_t tokens = contexts->tokens[c];
            if (!has_at(subject, tokens, MX_MEASURE_RETRIEVAL)) continue;
            const struct mx_record *found = find(subject, plans->text[p], tokens, MX_MEASURE_RETRIEVAL, NULL),
                                   *fp16 = find(subject, plans->text[p], tokens, MX_MEASURE_RETRIEVAL_FP16, NULL);
            number_cell(doc, heat, found, 4, 1, "");
            if (!found) continue;
            char text[32];
            format_tokens(tokens, text);
            doc_cell(doc, table, "%s", plans->text[p]);
            doc_cell(doc, table, "%s", text);
            doc_cell(doc, table, "%.0f %%", 100 * found->value);
            number_cell(doc, table, fp16, 0, 100, " %");
            doc_cell(doc, table, "%u", found->repeats);
        }
    }
}

/* By position, at the longest context that has it. */
static void add_position(struct doc *doc, const struct subject *subject, const struct names *plans,
                         const struct contexts *contexts)
{
    uint64_t tokens = 0;
    for (size_t c = 0; c < contexts->count; c++)
        if (has_at(subject, contexts->tokens[c], MX_MEASURE_KL_AT)) tokens = contexts->tokens[c];
    if (!tokens) return;
    char text[32];
    format_tokens(tokens, text);
    struct doc_section *section = doc_section(doc, 2);
    doc_set(doc, &section->heading, "Divergence by position, %s tokens", text);
    doc_set(doc, &section->text,
            "Mean KL divergence from fp16 over stretches of the context: a mode whose line rises drifts.");
    struct doc_plot *plot = &section->plot;
    doc_set(doc, &plot->title, "Mean KL divergence over the position in the context");
    plot->x = (struct doc_axis){"position in the context, tokens", DOC_LINEAR, true};
    plot->y = (struct doc_axis){"mean KL divergence, nats", DOC_LOG10, false};
    section->table.columns = 3;
    const char *const header[] = {"mode", "from token", "KL mean"};
    for (size_t i = 0; i < 3; i++) doc_cell(doc, &section->table, "%s", header[i]);
    const struct names versions = versions_of(subject);
    for (size_t p = 0; p < plans->count; p++) {
        struct doc_series *series = NULL;
        for (size_t i = 0; i < subject->count; i++) {
            const struct mx_record *record = &subject->records[i];
            char name[160];
            if (record->measure != MX_MEASURE_KL_AT || record->context != tokens) continue;
            if (strcmp(record->version, versions.text[versions.count - 1]) != 0) continue;
            plan_name(record, name);
            if (strcmp(name, plans->text[p]) != 0) continue;
            if (!series) {
                series = doc_series(doc, plot, name, p);
                series->line = true;
            }
            add_point(doc, series, record->at, record, " nats");
            char from[32];
            format_tokens(record->at, from);
            doc_cell(doc, &section->table, "%s", name);
            doc_cell(doc, &section->table, "%s", from);
            doc_cell(doc, &section->table, "%.6f", record->value);
        }
    }
}

/* From version to version, at the longest context. */
static void add_drift(struct doc *doc, const struct subject *subject, const struct names *plans,
                      const struct contexts *contexts)
{
    const struct names versions = versions_of(subject);
    if (versions.count < 2) return;
    const uint64_t tokens = contexts->tokens[contexts->count - 1];
    char text[32];
    format_tokens(tokens, text);
    struct doc_section *section = doc_section(doc, 2);
    doc_set(doc, &section->heading, "From version to version, %s tokens", text);
    struct doc_plot *plot = &section->plot;
    doc_set(doc, &plot->title, "Mean KL divergence by version of the program");
    plot->x = (struct doc_axis){"versions, in their order", DOC_LINEAR, false};
    plot->y = (struct doc_axis){"mean KL divergence, nats", DOC_LOG10, false};
    section->table.columns = 4;
    const char *const header[] = {"mode", "version", "KL mean", "decode, of fp16"};
    for (size_t i = 0; i < 4; i++) doc_cell(doc, &section->table, "%s", header[i]);
    for (size_t p = 0; p < plans->count; p++) {
        struct doc_series *series = NULL;
        for (size_t v = 0; v < versions.count; v++) {
            const char *plan = plans->text[p];
            const struct mx_record *kl = find(subject, plan, tokens, MX_MEASURE_KL_MEAN, versions.text[v]),
                                   *ratio = find(subject, plan, tokens, MX_MEASURE_DECODE_RATIO, versions.text[v]);
            if (!kl && !ratio) continue;
            if (kl) {
                if (!series) {
                    series = doc_series(doc, plot, plan, p);
                    series->line = true;
                }
                add_point(doc, series, (double)v + 1, kl, " nats");
            }
            doc_cell(doc, &section->table, "%s", plan);
            doc_cell(doc, &section->table, "%s", versions.text[v]);
            number_cell(doc, &section->table, kl, 6, 1, "");
            number_cell(doc, &section->table, ratio, 2, 1, "");
        }
    }
}

static void add_subject(struct doc *doc, const struct subject *subject)
{
    const struct mx_record *first = &subject->records[0], *newest = first;
    for (size_t i = 0; i < subject->count; i++)
        if (strcmp(subject->records[i].date, newest->date) >= 0) newest = &subject->records[i];
    struct doc_section *section = doc_section(doc, 1);
    doc_set(doc, &section->heading, "%s on %s", first->model.name, first->machine.name);
    char parameters[32], memory[16];
    doc_set(
        doc, &section->text,
        "%s, %s parameters, weights in %s, head dimension %u, %s attention. Machine: %u cores, %s of memory. Newest "
        "measurement: %s, version %s.",
        first->model.type, mx_format_count(first->model.parameters, parameters), first->model.weights,
        first->model.head_dim, first->model.class_, first->machine.cores,
        mx_format_bytes(first->machine.memory, memory), newest->date, newest->version);
    const struct names plans = plans_of(subject);
    const struct contexts contexts = contexts_of(subject);
    add_speed(doc, subject, &plans, &contexts);
    for (size_t c = 0; c < contexts.count; c++)
        if (has_at(subject, contexts.tokens[c], MX_MEASURE_KL_MEAN))
            add_quality_at(doc, subject, &plans, contexts.tokens[c]);
    add_retrieval(doc, subject, &plans, &contexts);
    add_position(doc, subject, &plans, &contexts);
    add_drift(doc, subject, &plans, &contexts);
}

/* How to read it: the grades with their limits. */
static void add_method(struct doc *doc)
{
    struct doc_section *section = doc_section(doc, 1);
    doc_set(doc, &section->heading, "Grades");
    doc_set(doc, &section->text,
            "Each mode is compared with the same model's fp16 cache on the same tokens. It has the best grade whose "
            "every limit it keeps; below the last it has failed.");
    section->table.columns = 6;
    const char *const header[] = {"grade",          "perplexity at most",   "KL mean at most",
                                  "top-1 at least", "lost prompts at most", "meaning"};
    for (size_t i = 0; i < 6; i++) doc_cell(doc, &section->table, "%s", header[i]);
    for (enum mx_grade grade = MX_GRADE_NEAR_LOSSLESS; grade < MX_GRADE_FAILED; grade++) {
        const struct mx_grade_limits *limits = mx_grade_limits(grade);
        doc_cell(doc, &section->table, "%s", limits->name);
        doc_cell(doc, &section->table, "%+.1f %%", 100 * limits->perplexity_change);
        doc_cell(doc, &section->table, "%g", limits->kl_mean);
        doc_cell(doc, &section->table, "%.1f %%", 100 * limits->top1);
        doc_cell(doc, &section->table, "%.0f", limits->lost_prompts);
        doc_cell(doc, &section->table, "%s", limits->reason);
    }
}

static void build(struct doc *doc, const struct mx_record *records, size_t count)
{
    doc_set(doc, &doc->title, "Compressed KV caches, measured");
    if (count == 0) {
        struct doc_section *section = doc_section(doc, 1);
        doc_set(doc, &section->heading, "Nothing was measured yet");
        doc_set(doc, &section->text, "The store has no records that match.");
    }
    for (size_t i = 0, end; i < count; i = end) {
        for (end = i + 1; end < count; end++)
            if (strcmp(records[i].model.fingerprint, records[end].model.fingerprint) != 0 ||
                strcmp(records[i].machine.fingerprint, records[end].machine.fingerprint) != 0)
                break;
        const struct subject subject = {records + i, end - i};
        add_subject(doc, &subject);
    }
    if (count) add_method(doc);
}

/* --- CSV: the records themselves (RFC 4180) --- */

static void csv_text(struct mx_str *out, const char *text)
{
    if (!strpbrk(text, ",\"\r\n")) {
        mx_str_puts(out, text);
        return;
    }
    mx_str_putc(out, '"');
    for (; *text; text++) {
        if (*text == '"') mx_str_putc(out, '"');
        mx_str_putc(out, *text);
    }
    mx_str_putc(out, '"');
}

static void csv_column(struct mx_str *out, const struct mx_column *column, const struct mx_record *record)
{
    const void *at = (const char *)record + column->offset;
    switch (column->kind) {
    case MX_COLUMN_TEXT: csv_text(out, at); break;
    case MX_COLUMN_U32: mx_str_printf(out, "%u", *(const uint32_t *)at); break;
    case MX_COLUMN_U64: mx_str_printf(out, "%llu", (unsigned long long)*(const uint64_t *)at); break;
    case MX_COLUMN_BOOL: mx_str_puts(out, *(const bool *)at ? "1" : "0"); break;
    case MX_COLUMN_REAL: mx_str_printf(out, "%.17g", *(const double *)at); break;
    case MX_COLUMN_MEASURE: mx_str_puts(out, mx_measure_info(record->measure)->name); break;
    }
}

static void write_csv(struct mx_str *out, const struct mx_record *records, size_t count)
{
    for (size_t c = 0; c < MX_COLUMN_COUNT; c++) mx_str_printf(out, "%s%s", c ? "," : "", mx_columns[c].name);
    mx_str_puts(out, ",unit\r\n");
    for (size_t i = 0; i < count; i++) {
        for (size_t c = 0; c < MX_COLUMN_COUNT; c++) {
            if (c) mx_str_putc(out, ',');
            csv_column(out, &mx_columns[c], &records[i]);
        }
        mx_str_printf(out, ",%s\r\n", mx_measure_info(records[i].measure)->unit);
    }
}

mx_status mx_report_write(struct mx_str *out, struct mx_record *records, size_t count, enum mx_report_format format,
                          struct mx_error *err)
{
    mx_record_sort(records, count);
    struct doc doc = {0};
    if (format == MX_REPORT_CSV) {
        write_csv(out, records, count);
    } else {
        build(&doc, records, count);
        if (!doc.failed && format == MX_REPORT_HTML) doc_write_html(out, &doc);
        if (!doc.failed && format == MX_REPORT_MARKDOWN) doc_write_markdown(out, &doc);
    }
    const bool failed = doc.failed || mx_str_failed(out);
    doc_free(&doc);
    return failed ? mx_fail_memory(err, "a report", out->length) : MX_OK;
}
