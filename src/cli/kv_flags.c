/* Flags and environment into the cache's options. */
#include "cli/kv_flags.h"

#include <stdlib.h>

#include "advisor/advised.h"
#include "cache/plan_file.h"
#include "cli/advise.h"
#include "cli/output.h"

/* An environment variable that is set and not empty. */
static const char *environment(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

mx_status mx_kv_flags_read(struct mx_kv_options *options, const struct mx_kv_flags *flags, const struct mx_cli *cli,
                           struct mx_error *err)
{
    *options = mx_kv_options_default();
    options->recent = (int32_t)flags->recent;
    options->sink = (int32_t)flags->sink;
    options->boundary_v = (int32_t)flags->boundary_v;
    options->center = (enum mx_center)flags->center;
    options->scale = (enum mx_scale_rule)flags->scale;
    options->force = flags->force;
    options->quantize_immediately = flags->all_coded;
    options->sign_seed = (uint64_t)flags->sign_seed;
    const char *k = flags->type_k ? flags->type_k : environment("LLAMA_ARG_CACHE_TYPE_K");
    const char *v = flags->type_v ? flags->type_v : environment("LLAMA_ARG_CACHE_TYPE_V");
    if (mx_is_advised(flags->mode)) {
        if (!flags->type_k && !flags->type_v) return MX_OK; /* mx_kv_flags_advise */
        return mx_fail(err, MX_ERR_ARGUMENT,
                       "--kv-cache-mode advised decides K and V: leave --cache-type-k and -v out");
    }
    if (flags->mode) MX_TRY(mx_kv_options_take(options, flags->mode, err));
    if (!k && !v) return MX_OK;
    const enum mx_mode asked = options->mode;
    MX_TRY(mx_mode_parse_split(k, v, &options->mode, err));
    if (flags->mode && asked != options->mode)
        mx_print_note(cli, "the cache types for K and V win over --kv-cache-mode: %s instead of %s",
                      mx_mode_info(options->mode)->name, mx_mode_info(asked)->name);
    return MX_OK;
}

static mx_status consult(struct mx_kv_options *options, bool advised, const struct mx_cli *cli,
                         const struct mx_engine_flags *engine, uint64_t context, struct mx_error *err)
{
    char model[4096], reason[256];
    const char *folder;
    struct mx_evidence_set evidence;
    MX_TRY(mx_model_folder(engine, model, sizeof model, &folder, err));
    MX_TRY(mx_evidence_open(&evidence, NULL, cli, err));
    const mx_status status = advised ? mx_take_advice(options, folder, context, &evidence, reason, err)
                                     : mx_take_evidence(options, folder, context, &evidence, reason, err);
    mx_evidence_close(&evidence);
    if (status == MX_OK && reason[0]) mx_print_note(cli, "%s", reason);
    return status;
}

mx_status mx_kv_flags_advise(struct mx_kv_options *options, const struct mx_kv_flags *flags, const struct mx_cli *cli,
                             const struct mx_engine_flags *engine, uint64_t context, struct mx_error *err)
{
    const bool advised = mx_is_advised(flags->mode);
    if (!advised && (options->mode != MX_MODE_TURBO4 || options->force)) return MX_OK;
    return consult(options, advised, cli, engine, context, err);
}

mx_status mx_kv_flags_prove(struct mx_kv_options *options, const enum mx_mode *modes, size_t count,
                            const struct mx_cli *cli, const struct mx_engine_flags *engine, uint64_t context,
                            struct mx_error *err)
{
    bool wanted = false;
    for (size_t i = 0; i < count; i++) wanted |= modes[i] == MX_MODE_TURBO4;
    if (!wanted || options->force || options->proof != MX_PROOF_NONE) return MX_OK;
    return consult(options, false, cli, engine, context, err);
}

mx_status mx_kv_flags_refuse_advised(const struct mx_kv_flags *flags, const char *why, struct mx_error *err)
{
    return mx_is_advised(flags->mode) ? mx_fail(err, MX_ERR_ARGUMENT, "--kv-cache-mode advised: %s", why) : MX_OK;
}
