/* `mlxcel sweep`: speed, bytes, memory and quality of cache modes over models, contexts and batches. Each cell is a job
 * in the store, kept as soon as it is done: a sweep that was ended, in whatever way, goes on where it was. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/resident.h"
#include "base/units.h"
#include "cache/size.h"
#include "cli/command.h"
#include "cli/engine_flags.h"
#include "cli/mode_list.h"
#include "cli/output.h"
#include "cli/ranks.h"
#include "cli/record_run.h"
#include "cli/store_flags.h"

enum {
    TEXT_TOKENS = 32768, /* read of a text at each context where --windows is not given */
    HAYSTACKS = 2,       /* where --retrieval is not given */
};

struct options {
    struct mx_flag_list models;
    const char *file, *tokens, *modes, *contexts, *batches, *shard, *cpu;
    int64_t windows, greedy, retrieval, repeat, decode, prefill, threads;
    bool json;
    struct mx_store_flags store;
};
static const struct options defaults = {.modes = "all",
                                        .contexts = "4096,16384,32768",
                                        .batches = "1",
                                        .shard = "1/1",
                                        .greedy = 256,
                                        .retrieval = -1,
                                        .repeat = 5,
                                        .decode = 16};

static const struct mx_flag flags[] = {
    {"model", 'm', MX_FLAG_LIST, "DIR", "a model's folder; may be repeated (default: the bundled model)",
     offsetof(struct options, models)},
    {"modes", 0, MX_FLAG_TEXT, "MODES", "cache modes and plan files: int8,plan.json or all (default)",
     offsetof(struct options, modes)},
    {"ctx", 'c', MX_FLAG_TEXT, "N,...", "contexts (default 4096,16384,32768)", offsetof(struct options, contexts)},
    {"batch", 'b', MX_FLAG_TEXT, "N,...", "texts decoded together, for speed (default 1; 0: no speed)",
     offsetof(struct options, batches)},
    {"file", 'f', MX_FLAG_PATH, "FILE", "the text for quality (without one: speed alone)",
     offsetof(struct options, file)},
    {"tokens-file", 0, MX_FLAG_PATH, "FILE", "the same as token ids", offsetof(struct options, tokens)},
    {"windows", 'w', MX_FLAG_WHOLE, "W", "at most W windows of each context (default: 32768 tokens' worth)",
     offsetof(struct options, windows), 1, 1 << 30},
    {"greedy", 0, MX_FLAG_WHOLE, "N", "continue each window greedily by N tokens (default 256)",
     offsetof(struct options, greedy), 0, 1 << 20},
    {"retrieval", 0, MX_FLAG_WHOLE, "N", "texts with hidden keys to find (default 2 with -f, else 0)",
     offsetof(struct options, retrieval), 0, 1000},
    {"decode", 0, MX_FLAG_WHOLE, "N", "tokens of a timed decode (default 16)", offsetof(struct options, decode), 1,
     1 << 20},
    {"prefill", 0, MX_FLAG_WHOLE, "N", "tokens of a timed prefill (default 0: none)", offsetof(struct options, prefill),
     0, 1 << 20},
    {"repeat", 'r', MX_FLAG_WHOLE, "N", "repetitions, modes interleaved (default 5)", offsetof(struct options, repeat),
     1, 1000},
    {"shard", 0, MX_FLAG_TEXT, "I/N", "only part I of N; the parts are the same on every machine",
     offsetof(struct options, shard)},
    {"json", 0, MX_FLAG_SWITCH, NULL, "print JSON", offsetof(struct options, json)},
    MX_STORE_FLAG_ROWS(struct options, store),
    {"threads", 't', MX_FLAG_WHOLE, "N", "threads (default: the machine's physical cores)",
     offsetof(struct options, threads), 1, MX_POOL_MAX_THREADS},
    {"cpu", 0, MX_FLAG_TEXT, "LEVEL", "kernels: scalar, avx2, avx512 (default: the best this machine has)",
     offsetof(struct options, cpu)},
    {0},
};

struct sweep {
    struct mx_cli *cli;
    const struct options *options;
    struct mx_kv_options modes[MX_KV_LIST];
    uint32_t contexts[MX_WHOLE_LIST], batches[MX_WHOLE_LIST];
    size_t mode_count, context_count, batch_count;
    int64_t part, parts;            /* part from 0 */
    size_t unit, done_units, units; /* of what runs interleaved: next of all, done and all of this part */
    struct mx_ranks ranks;
    struct mx_ranks_counts counts;
    mx_status received; /* of what came from other ranks during a unit */
    struct mx_error not_received;
    struct mx_str jobs; /* that were done before: "\nNAME\n...\n" */
    char command[512];
    double read_bandwidth;
    uint32_t haystacks;
    struct mx_progress bar;
    char label[160];

    /* The model that is measured. */
    struct mx_session *session;
    struct mx_record_run recording;
    struct mx_ids ids;
};

/* A mode that is still to be measured, and its cell's name. */
struct cell {
    const struct mx_kv_options *kv;
    struct mx_kv_setup setup;
    char job[512];
};

/* Keeps what came from other ranks; the first failure stays. */
static void receive(struct sweep *sweep, bool all)
{
    struct mx_error why;
    const mx_status status = mx_ranks_receive(&sweep->ranks, all, &sweep->recording, &sweep->counts, &why);
    if (status == MX_OK || sweep->received != MX_OK) return;
    sweep->received = status;
    sweep->not_received = why;
}

static mx_status check_received(const struct sweep *sweep, struct mx_error *err)
{
    return sweep->received == MX_OK ? MX_OK : mx_fail(err, sweep->received, "%s", sweep->not_received.message);
}

/* A unit may take an hour: what other ranks finish meanwhile is kept between two of its steps. */
static void report_unit(void *context, const char *what, double done)
{
    (void)what;
    struct sweep *sweep = context;
    mx_progress_report(&sweep->bar, sweep->label, ((double)sweep->done_units + done) / (double)sweep->units);
    receive(sweep, false);
}

/* fp16, and what each mode is added to. */
static struct mx_kv_options measuring(void)
{
    struct mx_kv_options kv = mx_kv_options_default();
    kv.force = true; /* measuring is how a mode is proven */
    return kv;
}

static bool was_done(const struct sweep *sweep, const char *job)
{
    char line[520];
    snprintf(line, sizeof line, "\n%s\n", job);
    return strstr(mx_str_text(&sweep->jobs), line) != NULL;
}

/* Whether a plan is this model's; a mode is any model's. */
static bool belongs(const struct sweep *sweep, const struct mx_kv_options *kv)
{
    const uint64_t of = kv->mode == MX_MODE_PLAN ? kv->layers.model : 0;
    return of == 0 || of == mx_model_fingerprint(mx_session_model(sweep->session));
}

/* The cells of a unit that no earlier sweep has done: of modes that run as they are asked for. `what` says what is
 * measured; count 0: nothing is left to do. */
static mx_status list_cells(struct sweep *sweep, const char *what, struct cell cells[MX_KV_LIST], size_t *count,
                            struct mx_error *err)
{
    const struct mx_record *base = &sweep->recording.base;
    *count = 0;
    for (size_t i = 0; i < sweep->mode_count; i++) {
        struct cell *cell = &cells[*count];
        char name[MX_KV_PLAN_NAME];
        const struct mx_kv_options *kv = cell->kv = &sweep->modes[i];
        mx_status status = MX_OK;
        if (!belongs(sweep, kv) ||
            (status = mx_kv_resolve(&cell->setup, kv, mx_session_arch(sweep->session), err)) == MX_ERR_UNSUPPORTED ||
            (status == MX_OK && cell->setup.mode != kv->mode)) {
            sweep->counts.left_out++; /* no layer of this model can hold it: the mode that would run has its own cell */
            continue;
        }
        MX_TRY(status);
        snprintf(cell->job, sizeof cell->job, "sweep %s %s %s %s %u,%u,%u,%d %s", base->model.fingerprint,
                 base->machine.fingerprint, base->version, mx_kv_setup_name(&cell->setup, name), cell->setup.recent,
                 cell->setup.sink, cell->setup.boundary_v, (int)cell->setup.center, what);
        if (was_done(sweep, cell->job))
            sweep->counts.there++;
        else
            (*count)++;
    }
    return MX_OK;
}

static mx_status keep(struct sweep *sweep, const struct mx_record_set *set, const char *job, struct mx_error *err)
{
    sweep->counts.kept++;
    if (sweep->ranks.rank > 0) {
        mx_ranks_send(&sweep->ranks, set, job);
        return MX_OK;
    }
    MX_TRY(mx_record_set_put(set, &sweep->recording, job, err));
    return check_received(sweep, err);
}

/* Tokens by which a window is continued: no further than the model was made for. */
static uint32_t greedy_within(const struct sweep *sweep, uint32_t context)
{
    const uint64_t own = mx_session_arch(sweep->session)->max_context, asked = (uint64_t)sweep->options->greedy;
    return (uint32_t)(own ? mx_min(asked, own - context) : asked);
}

/* Beyond the context that a model was made for, its predictions through fp16 say nothing either. */
static bool is_beyond(struct sweep *sweep, uint32_t context)
{
    const uint64_t own = mx_session_arch(sweep->session)->max_context;
    if (!own || context <= own) return false;
    mx_print_note(sweep->cli, "%s is left out: the model is made for %llu tokens", sweep->label,
                  (unsigned long long)own);
    sweep->counts.left_out += sweep->mode_count;
    return true;
}

static mx_status measure_quality(struct sweep *sweep, uint32_t context, struct mx_error *err)
{
    struct cell cells[MX_KV_LIST];
    struct mx_kv_options modes[MX_KV_LIST];
    struct mx_comparison results[MX_KV_LIST];
    struct mx_retrieval found[MX_KV_LIST];
    char what[96], text[17];
    size_t count, windows_count;
    double reference;
    if (is_beyond(sweep, context)) return MX_OK;
    const uint32_t fit = context < TEXT_TOKENS ? TEXT_TOKENS / context : 1;
    const struct mx_windows windows = {.tokens = sweep->ids.data,
                                       .count = sweep->ids.count,
                                       .length = context,
                                       .limit = sweep->options->windows ? (size_t)sweep->options->windows : fit};
    MX_TRY(mx_windows_count(&windows, &windows_count, err));
    mx_record_windows_text(text, &windows, windows_count);
    const uint32_t greedy = greedy_within(sweep, context);
    snprintf(what, sizeof what, "quality ctx %u text %s greedy %u keys %u", context, text, greedy, sweep->haystacks);
    MX_TRY(list_cells(sweep, what, cells, &count, err));
    for (size_t i = 0; i < count; i++) modes[i] = *cells[i].kv;
    if (count == 0) return MX_OK;
    const struct mx_progress progress = {report_unit, sweep, sweep->cli->interrupted};
    char kept[MX_USER_CACHE_PATH];
    struct mx_compare_options compare = {.windows = windows, .modes = modes, .count = count, .greedy = greedy};
    struct mx_error unkept = {.message = ""};
    compare.kept = mx_record_kept_path(kept, sweep->session, &compare);
    compare.unkept = &unkept;
    const struct mx_retrieval_options keys = {
        sweep->ids.data, sweep->ids.count, context, sweep->haystacks, modes, count};
    const mx_status status = mx_compare_run(sweep->session, &compare, &progress, results, &reference, err);
    mx_record_note_unkept(sweep->cli, &unkept);
    MX_TRY(status);
    if (sweep->haystacks) MX_TRY(mx_retrieval_run(sweep->session, &keys, &progress, found, err));
    for (size_t i = 0; i < count; i++) {
        struct mx_record_set set;
        mx_record_set_begin(&set, &sweep->recording, &results[i].setup, context);
        memcpy(set.base.text, text, sizeof text);
        mx_record_set_add_comparison(&set, sweep->cli, mx_session_arch(sweep->session), &results[i]);
        if (sweep->haystacks) mx_record_set_add_retrieval(&set, sweep->cli, &found[i]);
        MX_TRY(keep(sweep, &set, cells[i].job, err));
    }
    if (compare.kept) (void)remove(compare.kept);
    return MX_OK;
}

/* The most memory that the program takes while one mode decodes at the depth; 0: unknown. */
static mx_status measure_memory(struct sweep *sweep, const struct mx_bench_options *bench,
                                const struct mx_kv_options *mode, uint64_t *resident, struct mx_error *err)
{
    struct mx_bench_options one = *bench;
    struct mx_bench result;
    one.modes = mode;
    one.mode_count = 1;
    one.prefill = 0;
    one.decode = one.repeat = 1;
    *resident = 0;
    if (!mx_resident_reset()) return MX_OK;
    const struct mx_progress progress = {.interrupted = sweep->cli->interrupted};
    const mx_status status = mx_bench_run(sweep->session, &one, &progress, &result, err);
    *resident = mx_resident_peak();
    mx_bench_free(&result);
    return status;
}

static mx_status keep_speed(struct sweep *sweep, const struct mx_bench_options *bench, const struct cell *cell,
                            const struct mx_bench_cell *measured, struct mx_error *err)
{
    struct mx_record_set set;
    uint64_t resident;
    const uint32_t context = bench->depths[0];
    const struct mx_arch *arch = mx_session_arch(sweep->session);
    MX_TRY(measure_memory(sweep, bench, cell->kv, &resident, err));
    mx_record_set_begin(&set, &sweep->recording, &measured->setup, context);
    set.base.batch = bench->parallel;
    mx_record_set_add_bench(&set, sweep->cli, measured, bench->repeat);
    mx_record_set_add(&set, sweep->cli, MX_MEASURE_CACHE_BYTES, 0,
                      (double)mx_record_cache_bytes(arch, &measured->setup, context), 0, 1);
    mx_record_set_add(&set, sweep->cli, MX_MEASURE_BYTES_PER_TOKEN, 0,
                      (double)mx_cache_marginal_bytes(arch, &measured->setup), 0, 1);
    if (resident) mx_record_set_add(&set, sweep->cli, MX_MEASURE_RESIDENT, 0, (double)resident, 0, 1);
    return keep(sweep, &set, cell->job, err);
}

/* fp16 runs beside the modes that are left, whether its own cell is done or not: it is the measure. */
static mx_status measure_speed(struct sweep *sweep, uint32_t context, uint32_t batch, struct mx_error *err)
{
    struct cell cells[MX_KV_LIST];
    struct mx_kv_options modes[MX_KV_LIST] = {measuring()};
    char what[96];
    size_t count, mode_count = 1, at[MX_KV_LIST] = {0}; /* which of the modes that run each cell is */
    const struct options *options = sweep->options;
    snprintf(what, sizeof what, "speed ctx %u batch %u decode %lld prefill %lld repeat %lld threads %d", context, batch,
             (long long)options->decode, (long long)options->prefill, (long long)options->repeat,
             mx_pool_threads(mx_session_pool(sweep->session)));
    MX_TRY(list_cells(sweep, what, cells, &count, err));
    if (count == 0) return MX_OK;
    for (size_t i = 0; i < count; i++) {
        if (cells[i].kv->mode == MX_MODE_FP16) continue;
        at[i] = mode_count;
        modes[mode_count++] = *cells[i].kv;
    }
    const struct mx_bench_options bench = {.modes = modes,
                                           .mode_count = mode_count,
                                           .depths = &context,
                                           .depth_count = 1,
                                           .prefill = (uint32_t)options->prefill,
                                           .decode = (uint32_t)options->decode,
                                           .repeat = (uint32_t)options->repeat,
                                           .parallel = batch,
                                           .fill_random = true,
                                           .read_bandwidth = sweep->read_bandwidth};
    const struct mx_progress progress = {report_unit, sweep, sweep->cli->interrupted};
    struct mx_bench result;
    mx_status status = mx_bench_run(sweep->session, &bench, &progress, &result, err);
    if (status == MX_ERR_LIMIT) { /* the caches don't fit in memory together: the other cells may */
        mx_print_note(sweep->cli, "%s is left out: %s", sweep->label, err->message);
        sweep->counts.left_out += count;
        mx_bench_free(&result);
        return MX_OK;
    }
    sweep->read_bandwidth = result.read_bandwidth;
    sweep->recording.base.machine.read_bandwidth = (uint64_t)result.read_bandwidth;
    for (size_t i = 0; status == MX_OK && i < count; i++)
        status = keep_speed(sweep, &bench, &cells[i], &result.cells[at[i]], err);
    mx_bench_free(&result);
    return status;
}

/* Counts a unit; true if it is this part's. */
static bool is_mine(struct sweep *sweep)
{
    return (int64_t)(sweep->unit++ % (size_t)sweep->parts) == sweep->part;
}

static void label(struct sweep *sweep, uint32_t context, const char *what)
{
    snprintf(sweep->label, sizeof sweep->label, "%zu of %zu: %.16s, %u, %s", sweep->done_units + 1, sweep->units,
             sweep->recording.base.model.name, context, what);
}

static bool has_text(const struct sweep *sweep)
{
    return sweep->options->file || sweep->options->tokens;
}

static size_t units_per_model(const struct sweep *sweep)
{
    return sweep->context_count * (sweep->batch_count + has_text(sweep));
}

static mx_status measure_model(struct sweep *sweep, struct mx_error *err)
{
    for (size_t c = 0; c < sweep->context_count; c++) {
        const uint32_t context = sweep->contexts[c];
        if (has_text(sweep) && is_mine(sweep)) {
            label(sweep, context, "quality");
            MX_TRY(measure_quality(sweep, context, err));
            sweep->done_units++;
        }
        for (size_t b = 0; b < sweep->batch_count; b++) {
            char what[32];
            if (!is_mine(sweep)) continue;
            snprintf(what, sizeof what, "speed of %u", sweep->batches[b]);
            label(sweep, context, what);
            MX_TRY(measure_speed(sweep, context, sweep->batches[b], err));
            sweep->done_units++;
        }
    }
    return MX_OK;
}

static mx_status sweep_model(struct sweep *sweep, const char *model, struct mx_store *store, struct mx_error *err)
{
    const struct options *options = sweep->options;
    const struct mx_engine_flags engine = {.model = model, .threads = options->threads, .cpu = options->cpu};
    const char *folder;
    char buffer[4096];
    sweep->ids = (struct mx_ids){0};
    MX_TRY(mx_model_folder(&engine, buffer, sizeof buffer, &folder, err));
    MX_TRY(mx_engine_open(&sweep->session, sweep->cli, &engine, options->file != NULL || sweep->haystacks > 0, err));
    mx_status status = MX_OK;
    if (has_text(sweep)) status = mx_read_ids(sweep->session, options->tokens, options->file, &sweep->ids, err);
    if (status == MX_OK)
        status = mx_record_run_describe(&sweep->recording, folder, sweep->session, sweep->command, err);
    sweep->recording.store = store;
    if (sweep->read_bandwidth > 0) sweep->recording.base.machine.read_bandwidth = (uint64_t)sweep->read_bandwidth;
    if (status == MX_OK) status = measure_model(sweep, err);
    mx_ids_free(&sweep->ids);
    mx_session_close(sweep->session);
    return status;
}

/* Units of all models that this part has from unit `from` on to `to`. */
static size_t count_mine(const struct sweep *sweep, size_t from, size_t to)
{
    size_t count = 0;
    for (size_t unit = from; unit < to; unit++) count += (int64_t)(unit % (size_t)sweep->parts) == sweep->part;
    return count;
}

static mx_status sweep_models(struct sweep *sweep, struct mx_store *store, struct mx_error *err)
{
    const struct mx_flag_list *models = &sweep->options->models;
    const size_t per_model = units_per_model(sweep), model_count = models->count ? (size_t)models->count : 1;
    sweep->units = count_mine(sweep, 0, per_model * model_count);
    for (size_t i = 0; i < model_count; i++) {
        if (count_mine(sweep, i * per_model, (i + 1) * per_model) == 0) {
            sweep->unit += per_model;
            continue;
        }
        MX_TRY(sweep_model(sweep, models->count ? models->items[i] : NULL, store, err));
    }
    return MX_OK;
}

static mx_status print_result(const struct sweep *sweep, struct mx_error *err)
{
    if (sweep->options->json) {
        cJSON *root = cJSON_CreateObject();
        cJSON_AddNumberToObject(root, "schema", 1);
        cJSON_AddNumberToObject(root, "measured", (double)sweep->counts.kept);
        cJSON_AddNumberToObject(root, "there_already", (double)sweep->counts.there);
        cJSON_AddNumberToObject(root, "left_out", (double)sweep->counts.left_out);
        return mx_print_json(root, err);
    }
    printf("%llu cells measured, %llu were there already, %llu left out; mlxcel report shows them, mlxcel recommend "
           "goes by "
           "them\n",
           (unsigned long long)sweep->counts.kept, (unsigned long long)sweep->counts.there,
           (unsigned long long)sweep->counts.left_out);
    return MX_OK;
}

static mx_status parse_shard(struct sweep *sweep, struct mx_error *err)
{
    const char *text = sweep->options->shard, *slash = strchr(text, '/');
    char part[32];
    if (!slash || slash - text >= (ptrdiff_t)sizeof part)
        return mx_fail(err, MX_ERR_ARGUMENT, "--shard is %.40s; it must be I/N, as 2/4", text);
    snprintf(part, sizeof part, "%.*s", (int)(slash - text), text);
    MX_TRY(mx_parse_whole(slash + 1, "--shard", 1, 1 << 20, &sweep->parts, err));
    MX_TRY(mx_parse_whole(part, "--shard", 1, sweep->parts, &sweep->part, err));
    sweep->part--;
    return MX_OK;
}

/* Under MPI each rank has its part. */
static mx_status take_part(struct sweep *sweep, struct mx_error *err)
{
    MX_TRY(parse_shard(sweep, err));
    if (sweep->ranks.count == 1) return MX_OK;
    if (sweep->parts > 1)
        return mx_fail(err, MX_ERR_ARGUMENT, "--shard and mpirun both give parts: leave one of them out");
    sweep->parts = sweep->ranks.count;
    sweep->part = sweep->ranks.rank;
    return MX_OK;
}

static mx_status parse(struct sweep *sweep, struct mx_error *err)
{
    const struct options *options = sweep->options;
    if (options->file && options->tokens)
        return mx_fail(err, MX_ERR_ARGUMENT, "-f and --tokens-file are two texts: give one of them");
    const struct mx_kv_options base = measuring();
    MX_TRY(mx_kv_list_parse(options->modes, &base, sweep->modes, &sweep->mode_count, err));
    MX_TRY(mx_whole_list_parse(options->contexts, "--ctx", 1, MX_ARCH_MAX_CONTEXT, sweep->contexts,
                               &sweep->context_count, err));
    if (strcmp(options->batches, "0") != 0)
        MX_TRY(mx_whole_list_parse(options->batches, "--batch", 1, 256, sweep->batches, &sweep->batch_count, err));
    if (sweep->batch_count == 0 && !has_text(sweep))
        return mx_fail(err, MX_ERR_ARGUMENT,
                       "--batch 0 without a text (-f or --tokens-file) leaves nothing to measure");
    MX_TRY(take_part(sweep, err));
    if (has_text(sweep))
        sweep->haystacks = options->retrieval >= 0 ? (uint32_t)options->retrieval : options->file ? HAYSTACKS : 0;
    size_t length = 0;
    if (has_text(sweep)) {
        length = strlen(mx_record_command(sweep->command, "sweep", options->file, options->tokens));
    } else {
        length = (size_t)snprintf(sweep->command, sizeof sweep->command, "mlxcel sweep");
    }
    snprintf(sweep->command + length, sizeof sweep->command - length, " --modes %s --ctx %s --batch %s --repeat %lld",
             options->modes, options->contexts, options->batches, (long long)options->repeat);
    return MX_OK;
}

/* The store is rank 0's alone; what is done already all ranks must know. */
static mx_status measure_all(struct sweep *sweep, struct mx_error *err)
{
    struct mx_store *store = NULL;
    const bool owns = sweep->ranks.rank == 0;
    mx_status status = owns ? mx_store_flags_open(&store, &sweep->options->store, MX_STORE_WRITE, err) : MX_OK;
    if (status == MX_OK && owns) status = mx_store_jobs(store, &sweep->jobs, err);
    status = mx_ranks_share(&sweep->ranks, &sweep->jobs, status, err);
    if (status == MX_OK) status = sweep_models(sweep, store, err);
    mx_progress_bar_end();
    sweep->recording.store = store;
    if (owns) receive(sweep, status == MX_OK);
    if (status == MX_OK) status = check_received(sweep, err);
    if (!owns) mx_ranks_done(&sweep->ranks, &sweep->counts, status, err);
    mx_store_close(store);
    return status;
}

static mx_status run(struct mx_cli *cli, const void *given, struct mx_error *err)
{
    struct sweep sweep = {.cli = cli, .options = given, .bar = mx_progress_bar(cli)};
    MX_TRY(mx_ranks_open(&sweep.ranks, err));
    if (sweep.ranks.rank > 0) sweep.bar.report = NULL;
    mx_status status = parse(&sweep, err);
    if (status == MX_OK) status = measure_all(&sweep, err);
    mx_str_free(&sweep.jobs);
    const bool prints = sweep.ranks.rank == 0;
    mx_ranks_close(&sweep.ranks, cli, err);
    if (status == MX_ERR_INTERRUPTED && prints && sweep.counts.kept + sweep.counts.there)
        mx_print_note(cli, "%llu cells are kept; run the same command to do the rest",
                      (unsigned long long)sweep.counts.kept + (unsigned long long)sweep.counts.there);
    MX_TRY(status);
    return prints ? print_result(&sweep, err) : MX_OK;
}

const struct mx_command mx_command_sweep = {
    .name = "sweep",
    .summary = "measure cache modes across models, contexts and batches",
    .about = "Measures speed (modes interleaved), bytes, memory and, where a text is given, quality as eval\n"
             "does. Each finished cell is stored at once: after Ctrl-C, after a crash or with more modes, the\n"
             "same command does what is missing. mlxcel report shows the results, mlxcel recommend uses them.\n",
    .flags = flags,
    .examples = {"mlxcel sweep -m DIR -m OTHER --ctx 4096,16384 --batch 1,8 -f text.txt",
                 "mlxcel sweep -m DIR --modes int8,turbo4 --shard 2/4 --store part2.db"},
    .options_size = sizeof(struct options),
    .defaults = &defaults,
    .run = run,
};
