/* `mlxcel passkey`: whether a model still finds a word that is hidden far back in a text, through each cache mode. A
 * tool of this project's own measurements: its prompts are files of token ids (evidence/passkey.h). */
#include "evidence/passkey.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "cli/command.h"
#include "cli/engine_flags.h"
#include "cli/kv_flags.h"
#include "cli/mode_list.h"
#include "cli/output.h"
#include "cli/record_run.h"
#include "cli/table.h"

struct options {
    struct mx_engine_flags engine;
    const char *modes, *lengths;
    bool record;
    struct mx_store_flags store;
    struct mx_kv_flags kv;
};
static const struct options defaults = {.modes = "fp16", .lengths = "1024", .kv = MX_KV_FLAGS_DEFAULT};

static const struct mx_flag flags[] = {
    {"modes", 0, MX_FLAG_TEXT, "MODES", "cache modes: int8,turbo4 or all (default fp16)",
     offsetof(struct options, modes)},
    {"lengths", 0, MX_FLAG_TEXT, "N,...", "the file's lists of prompts, by their length (default 1024)",
     offsetof(struct options, lengths)},
    {"record", 0, MX_FLAG_SWITCH, NULL, "record the results; fp16 must be among the modes",
     offsetof(struct options, record)},
    MX_STORE_FLAG_ROWS(struct options, store),
    MX_ENGINE_FLAG_ROWS(struct options, engine),
    MX_KV_FLAG_ROWS(struct options, kv),
    {0},
};

/* What is asked of the model: each mode at each length. */
struct plan {
    enum mx_mode modes[MX_MODE_COUNT];
    uint32_t lengths[MX_WHOLE_LIST];
    size_t mode_count, length_count;
    struct mx_passkey results[MX_MODE_COUNT * MX_WHOLE_LIST];
};

static double share(const struct mx_passkey *result)
{
    return result->cases ? (double)result->right / (double)result->cases : 0;
}

/* The result of fp16 at the same length; NULL where it was not asked. */
static const struct mx_passkey *plain(const struct plan *plan, size_t at)
{
    for (size_t i = at % plan->length_count; i < plan->mode_count * plan->length_count; i += plan->length_count)
        if (plan->results[i].setup.mode == MX_MODE_FP16) return &plan->results[i];
    return NULL;
}

static mx_status keep(const struct plan *plan, const struct mx_cli *cli, struct mx_record_run *recording,
                      struct mx_error *err)
{
    for (size_t i = 0; recording->store && i < plan->mode_count * plan->length_count; i++) {
        struct mx_record_set set;
        const struct mx_passkey *result = &plan->results[i], *fp16 = plain(plan, i);
        const uint32_t cases = (uint32_t)result->cases;
        mx_record_set_begin(&set, recording, &result->setup, plan->lengths[i % plan->length_count]);
        snprintf(set.base.text, sizeof set.base.text, "%016" PRIx64, result->text);
        const double found = share(result), error = sqrt(found * (1 - found) / cases); /* of a binomial share */
        mx_record_set_add(&set, cli, MX_MEASURE_RETRIEVAL, 0, found, error, cases);
        mx_record_set_add(&set, cli, MX_MEASURE_RETRIEVAL_FP16, 0, share(fp16), 0, cases);
        MX_TRY(mx_record_set_put(&set, recording, NULL, err));
    }
    return MX_OK;
}

static mx_status ask(struct plan *plan, struct mx_cli *cli, const struct options *options, struct mx_kv_options *kv,
                     struct mx_error *err)
{
    struct mx_session *session;
    MX_TRY(mx_engine_open(&session, cli, &options->engine, false, err));
    const struct mx_progress progress = mx_progress_bar(cli);
    struct mx_record_run recording = {0};
    mx_status status = MX_OK;
    if (options->record)
        status = mx_record_run_open(&recording, &options->store, &options->engine, session, err,
                                    "mlxcel passkey --modes %s --lengths %s", options->modes, options->lengths);
    for (size_t i = 0; status == MX_OK && i < plan->mode_count * plan->length_count; i++) {
        char length[16];
        snprintf(length, sizeof length, "%u", plan->lengths[i % plan->length_count]);
        kv->mode = plan->modes[i / plan->length_count];
        status = mx_passkey_run(session, cli->operands[0], length, kv, &progress, &plan->results[i], err);
    }
    if (status == MX_OK) status = keep(plan, cli, &recording, err);
    mx_record_run_close(&recording);
    mx_session_close(session);
    return status;
}

static mx_status print(const struct plan *plan, const struct mx_cli *cli, struct mx_error *err)
{
    struct mx_table table;
    mx_table_start(&table, "mode|>tokens|>right answers");
    for (size_t i = 0; i < plan->mode_count * plan->length_count; i++) {
        const struct mx_passkey *result = &plan->results[i];
        mx_note_kv_setup(cli, &result->setup);
        mx_table_cell(&table, MX_STYLE_PLAIN, "%s", mx_mode_info(result->setup.mode)->name);
        mx_table_cell(&table, MX_STYLE_PLAIN, "%u", plan->lengths[i % plan->length_count]);
        mx_table_cell(&table, MX_STYLE_PLAIN, "%zu of %zu", result->right, result->cases);
    }
    return mx_table_print(&table, 0, cli->colour_out, err);
}

static mx_status run(struct mx_cli *cli, const void *given, struct mx_error *err)
{
    const struct options *options = given;
    struct mx_kv_options kv;
    struct plan plan;
    MX_TRY(mx_kv_flags_read(&kv, &options->kv, cli, err));
    MX_TRY(mx_mode_list_parse(options->modes, plan.modes, &plan.mode_count, err));
    MX_TRY(mx_whole_list_parse(options->lengths, "--lengths", 1, MX_ARCH_MAX_CONTEXT, plan.lengths, &plan.length_count,
                               err));
    bool has_fp16 = false;
    for (size_t i = 0; i < plan.mode_count; i++) has_fp16 |= plan.modes[i] == MX_MODE_FP16;
    if (options->record && !has_fp16)
        return mx_fail(err, MX_ERR_ARGUMENT, "--record keeps what is found beside fp16's: give fp16 in --modes too");
    if (options->store.path && !options->record)
        return mx_fail(err, MX_ERR_ARGUMENT, "--store says where --record keeps its figures: give both");
    uint64_t longest = 0;
    for (size_t i = 0; i < plan.length_count; i++) longest = plan.lengths[i] > longest ? plan.lengths[i] : longest;
    MX_TRY(mx_kv_flags_advise(&kv, &options->kv, cli, &options->engine, longest, err));
    MX_TRY(mx_kv_flags_prove(&kv, plan.modes, plan.mode_count, cli, &options->engine, longest, err));
    MX_TRY(ask(&plan, cli, options, &kv, err));
    return print(&plan, cli, err);
}

const struct mx_command mx_command_passkey = {
    .name = "passkey",
    .hidden = true,
    .summary = "ask a model for words that are hidden in long prompts",
    .operands = "FILE",
    .min_operands = 1,
    .max_operands = 1,
    .flags = flags,
    .examples = {"mlxcel passkey -m DIR passkey.json --modes int8,int8+turbo4 --lengths 1024,4096"},
    .options_size = sizeof(struct options),
    .defaults = &defaults,
    .run = run,
};
