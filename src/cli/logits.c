/* `mlxcel logits`: the model's raw output for a list of token ids, for comparison with other programs. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "cli/command.h"
#include "cli/engine_flags.h"
#include "cli/kv_flags.h"
#include "cli/output.h"

struct options {
    struct mx_engine_flags engine;
    const char *tokens, *out;
    struct mx_kv_flags kv;
};
static const struct options defaults = {.kv = MX_KV_FLAGS_DEFAULT};

static const struct mx_flag flags[] = {
    {"tokens-file", 0, MX_FLAG_PATH, "FILE", "token ids, separated by white space", offsetof(struct options, tokens)},
    {"out", 'o', MX_FLAG_PATH, "FILE", "file to write: little-endian float32 [ids, vocabulary]",
     offsetof(struct options, out)},
    MX_ENGINE_FLAG_ROWS(struct options, engine),
    MX_KV_FLAG_ROWS(struct options, kv),
    {0},
};

struct sink {
    struct mx_writer writer;
    size_t vocab;
};

static void write_rows(void *context, size_t segment, size_t token, size_t count, float *logits)
{
    (void)segment;
    (void)token;
    struct sink *sink = context;
    (void)mx_writer_write(&sink->writer, logits, count * sink->vocab * sizeof *logits, NULL); /* commit reports it */
}

static mx_status compute(struct mx_session *session, const struct mx_ids *ids, const struct mx_kv_options *kv,
                         const struct mx_cli *cli, struct sink *sink, struct mx_error *err)
{
    const struct mx_arch *arch = mx_session_arch(session);
    const struct mx_session_begin begin = {
        .context = ids->count, .rows = mx_workspace_rows(arch, MX_MODEL_CHUNK), .kv = *kv};
    MX_TRY(mx_session_begin(session, &begin, err));
    mx_note_kv_setup(cli, mx_sequence_setup(mx_session_sequence(session)));
    sink->vocab = arch->vocab;
    const struct mx_logits_sink rows = {write_rows, sink};
    const struct mx_segment segment = {
        .sequence = mx_session_sequence(session), .tokens = ids->data, .n = ids->count, .logits = ids->count};
    const struct mx_progress progress = mx_progress_bar(cli);
    MX_TRY(
        mx_model_forward(mx_session_model(session), mx_session_workspace(session), &segment, 1, &rows, &progress, err));
    return mx_writer_commit(&sink->writer, err);
}

static mx_status run_with(struct mx_cli *cli, const struct options *options, struct mx_ids *ids,
                          struct mx_session **session, struct mx_error *err)
{
    struct mx_kv_options kv;
    MX_TRY(mx_kv_flags_read(&kv, &options->kv, cli, err));
    MX_TRY(mx_read_token_file(options->tokens, ids, err));
    MX_TRY(mx_kv_flags_advise(&kv, &options->kv, cli, &options->engine, ids->count, err));
    MX_TRY(mx_engine_open(session, cli, &options->engine, false, err));
    struct sink sink = {0};
    MX_TRY(mx_writer_open(&sink.writer, options->out, err));
    const mx_status status = compute(*session, ids, &kv, cli, &sink, err);
    mx_writer_abort(&sink.writer);
    if (status == MX_OK && !mx_is_standard_output(options->out))
        printf("%s: %zu x %zu float32\n", options->out, ids->count, sink.vocab);
    return status;
}

static mx_status run(struct mx_cli *cli, const void *given, struct mx_error *err)
{
    const struct options *options = given;
    if (!options->tokens || !options->out) {
        return mx_fail(err, MX_ERR_ARGUMENT, "logits needs --tokens-file and --out");
    }
    struct mx_ids ids = {0};
    struct mx_session *session = NULL;
    const mx_status status = run_with(cli, options, &ids, &session, err);
    mx_session_close(session);
    mx_ids_free(&ids);
    return status;
}

const struct mx_command mx_command_logits = {
    .name = "logits",
    .summary = "write the logits for a list of token ids",
    .flags = flags,
    .examples = {"mlxcel logits -m DIR --tokens-file ids.txt --out logits.f32",
                 "mlxcel logits -m DIR --tokens-file ids.txt --out logits.f32 --cpu scalar"},
    .options_size = sizeof(struct options),
    .defaults = &defaults,
    .run = run,
};
