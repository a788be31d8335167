/* `mlxcel report`: what was measured, as one HTML file, as Markdown or as CSV. */
#include "report/report.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/command.h"
#include "cli/output.h"
#include "cli/store_flags.h"
#include "records/exchange.h"
#include "records/store.h"

struct options {
    struct mx_store_flags store;
    const char *output, *model, *type;
    int64_t context;
    int format; /* enum mx_report_format, or one more: an evidence file */
};
static const struct options defaults = {0};

static const struct mx_flag flags[] = {
    {"output", 'o', MX_FLAG_PATH, "FILE", "write the report here (default: standard output)",
     offsetof(struct options, output)},
    {"format", 0, MX_FLAG_CHOICE, "html|markdown|csv|json", "what to write (default html; json: evidence)",
     offsetof(struct options, format)},
    {"model", 'm', MX_FLAG_TEXT, "NAME", "only this model, by its folder's name", offsetof(struct options, model)},
    {"type", 0, MX_FLAG_TEXT, "TYPE", "only models of this model_type", offsetof(struct options, type)},
    {"ctx", 'c', MX_FLAG_WHOLE, "N", "only this context", offsetof(struct options, context), 1, 1 << 28},
    MX_STORE_FLAG_ROWS(struct options, store),
    {0},
};

static bool matches(const struct options *options, const struct mx_record *record)
{
    return (!options->model || strcmp(options->model, record->model.name) == 0) &&
           (!options->type || strcmp(options->type, record->model.type) == 0) &&
           (!options->context || (uint64_t)options->context == record->context);
}

struct gathering {
    const struct options *options;
    struct mx_record *records;
    size_t count, capacity;
    bool others; /* that don't match */
};

static mx_status gather(void *context, const struct mx_record *record, struct mx_error *err)
{
    struct gathering *job = context;
    if (!matches(job->options, record)) {
        job->others = true;
        return MX_OK;
    }
    if (job->count == job->capacity) {
        const size_t capacity = job->capacity ? 2 * job->capacity : 256;
        struct mx_record *records = realloc(job->records, capacity * sizeof *records);
        if (!records) return mx_fail_memory(err, "the records", capacity * sizeof *records);
        job->records = records;
        job->capacity = capacity;
    }
    job->records[job->count++] = *record;
    return MX_OK;
}

static mx_status read_store(struct gathering *job, struct mx_error *err)
{
    struct mx_store *store;
    const struct mx_store_query all = {0};
    MX_TRY(mx_store_flags_open(&store, &job->options->store, MX_STORE_READ, err));
    const mx_status status = mx_store_each(store, &all, gather, job, err);
    mx_store_close(store);
    return status;
}

static mx_status write_report(struct gathering *job, struct mx_error *err)
{
    const char *path = job->options->output;
    struct mx_str text = {0};
    mx_status status =
        job->options->format > MX_REPORT_CSV
            ? mx_exchange_print(&text, job->records, job->count, err)
            : mx_report_write(&text, job->records, job->count, (enum mx_report_format)job->options->format, err);
    if (status == MX_OK && path) status = mx_file_write(path, mx_str_text(&text), text.length, err);
    if (status == MX_OK && !path && fwrite(mx_str_text(&text), 1, text.length, stdout) != text.length)
        status = mx_fail(err, MX_ERR_IO, "cannot write to standard output");
    mx_str_free(&text);
    return status;
}

static mx_status run(struct mx_cli *cli, const void *given, struct mx_error *err)
{
    struct gathering job = {.options = given};
    mx_status status = MX_OK;
    if (job.options->format == MX_REPORT_HTML && !job.options->output && isatty(STDOUT_FILENO))
        return mx_fail(
            err, MX_ERR_ARGUMENT,
            "a page of HTML is not for a terminal: give -o report.html, or --format markdown to read it here");
    for (int i = 0; status == MX_OK && i < cli->operand_count; i++)
        status = mx_exchange_read(cli->operands[i], gather, &job, err);
    if (status == MX_OK && (cli->operand_count == 0 || job.options->store.path)) status = read_store(&job, err);
    if (status == MX_OK) status = mx_record_merge(job.records, &job.count, err);
    if (status == MX_OK && job.count == 0)
        mx_print_note(cli, job.others ? "of what was measured nothing is of the model, type or context asked for"
                                      : "nothing was measured yet");
    if (status == MX_OK) status = write_report(&job, err);
    free(job.records);
    return status;
}

const struct mx_command mx_command_report = {
    .name = "report",
    .summary = "turn measurements into a page with plots",
    .operands = "[EVIDENCE.json...]",
    .max_operands = 1024,
    .about = "Reads the store that eval, sweep and calibrate write, or the evidence files given, or with --store\n"
             "both; of figures of the same thing the newest counts.\n"
             "The HTML page is one file, without network or scripts; --format csv gives each record.\n",
    .flags = flags,
    .examples = {"mlxcel report -o report.html", "mlxcel report --store my.db my.json --format json -o my.json"},
    .options_size = sizeof(struct options),
    .defaults = &defaults,
    .run = run,
};
