/* Continuous batching: who starts, who is parked, and what goes into a step. */
#include "engine/scheduler.h"

#include <math.h>
#include <stdlib.h>

#include "base/checked.h"
#include "base/clock.h"
#include "base/machine.h"
#include "base/units.h"
#include "cache/size.h"
#include "engine/scheduler_impl.h"

enum {
    BESIDE_DECODING = 256, /* tokens of prompts in a pass beside texts that are being decoded; */
    BESIDE_PART = 128,     /* of one prompt, its beginning aside, that a short one finds room beside a long one */
    RECENT = 128,          /* steps, by the fastest of which the time of one is told */
    REPLAY = 32,           /* decoded tokens that a parked text is fed at a time */
    KEPT_WAITING = 64,     /* beginnings that are kept for texts that wait */
    LOOK_AHEAD = 256,      /* of those that wait, how many are looked at for one that can start */
};

/* How long a step may take, prompts included, in times of what its tokens take. A text is to stand still for five of
 * its tokens at most: two are left for a stretch that overruns and for what else the machine does. */
static const double WHOLE_STEP = 3;

/* --- opening --- */

/* Tokens of a pass beside; 0: there is none. */
static uint32_t side_chunk(const struct mx_scheduler_options *options)
{
    if (options->parallel == 1) return 0;
    return options->chunk < BESIDE_DECODING ? options->chunk : BESIDE_DECODING;
}

/* A text whose beginning may be kept remembers its states at its prompt's end, whatever it writes then. */
static uint32_t marks_of(const struct mx_scheduler_options *options)
{
    return options->keep > 0 ? MX_SCHEDULER_MARKS : 0;
}

static mx_status check_memory(const struct mx_scheduler *scheduler, uint32_t chunk, uint32_t rows, struct mx_error *err)
{
    const struct mx_arch *arch = mx_session_arch(scheduler->session);
    const uint64_t one = mx_cache_bytes(arch, mx_kv_plan_setup(scheduler->plan), scheduler->options.context) +
                         mx_marked_state_bytes(arch, marks_of(&scheduler->options));
    char need[16], have[16];
    if (scheduler->options.budget < one) {
        return mx_fail(err, MX_ERR_LIMIT, "a text of %llu tokens takes %s of cache, the budget is %s",
                       (unsigned long long)scheduler->options.context, mx_format_bytes(one, need),
                       mx_format_bytes(scheduler->options.budget, have));
    }
    const int threads = mx_pool_threads(mx_session_pool(scheduler->session));
    const uint32_t side = side_chunk(&scheduler->options);
    uint64_t activations = mx_workspace_bytes(arch, chunk, rows, threads);
    if (side) activations += mx_workspace_bytes(arch, side, rows, threads);
    struct mx_machine machine;
    mx_machine_probe(&machine);
    if (scheduler->options.force || !machine.available ||
        (scheduler->options.budget <= machine.available &&
         activations <= machine.available - scheduler->options.budget)) {
        return MX_OK;
    }
    return mx_fail(err, MX_ERR_LIMIT,
                   "caches of %s and activations of %s are too much for the %s of memory that is available: let fewer "
                   "texts run at once, lower the context, or take a smaller mode",
                   mx_format_bytes(scheduler->options.budget, need), mx_format_bytes(activations, (char[16]){0}),
                   mx_format_bytes(machine.available, have));
}

static mx_status open_lane(struct mx_lane *lane, struct mx_scheduler *scheduler, uint32_t chunk, uint32_t rows,
                           struct mx_error *err)
{
    const struct mx_session *session = scheduler->session;
    const size_t parallel = scheduler->options.parallel;
    const struct mx_workspace_options workspace = {
        .chunk = chunk, .rows = rows, .cpu = mx_session_cpu(session), .pool = mx_session_pool(session)};
    lane->scheduler = scheduler;
    MX_TRY(mx_workspace_open(&lane->workspace, mx_session_arch(session), &workspace, err));
    lane->parts = calloc(parallel, sizeof(struct mx_running *));
    lane->segments = calloc(parallel, sizeof *lane->segments);
    if (lane->parts && lane->segments) return MX_OK;
    return mx_fail_memory(err, "a scheduler", parallel * sizeof *lane->segments);
}

static void close_lane(struct mx_lane *lane)
{
    mx_workspace_close(lane->workspace);
    free(lane->parts);
    free(lane->segments);
}

static mx_status open_parts(struct mx_scheduler *scheduler, struct mx_error *err)
{
    struct mx_scheduler_options *options = &scheduler->options;
    struct mx_session *session = scheduler->session;
    const struct mx_arch *arch = mx_session_arch(session);
    struct mx_kv_plan_options plan = {.key_bias = mx_model_key_bias(mx_session_model(session)),
                                      .context = options->context,
                                      .marks = marks_of(options),
                                      .cpu = mx_session_cpu(session)};
    MX_TRY(mx_kv_layers_check(&options->kv, mx_model_fingerprint(mx_session_model(session)), err));
    MX_TRY(mx_kv_resolve(&plan.setup, &options->kv, arch, err));
    MX_TRY(mx_kv_plan_open(&scheduler->plan, arch, &plan, err));
    if (!options->budget) {
        options->budget = (options->parallel + 1) * (mx_cache_bytes(arch, &plan.setup, options->context) +
                                                     mx_marked_state_bytes(arch, plan.marks));
    }
    const uint32_t chunk = options->chunk + options->parallel, most_rows = mx_workspace_rows(arch, chunk);
    const uint32_t rows = options->parallel < most_rows ? options->parallel : most_rows;
    MX_TRY(check_memory(scheduler, chunk, rows, err));
    const struct mx_kv_store_options store = {.budget = options->budget, .single = options->parallel == 1};
    MX_TRY(mx_kv_store_open(&scheduler->store, scheduler->plan, &store, err));
    MX_TRY(open_lane(&scheduler->all, scheduler, chunk, rows, err));
    const uint32_t side = side_chunk(options);
    if (side) {
        MX_TRY(open_lane(&scheduler->side, scheduler, side, rows < side ? rows : side, err));
        MX_TRY(mx_pass_open(&scheduler->pass, mx_session_model(session), scheduler->side.workspace, err));
    }
    MX_TRY(mx_prefixes_open(&scheduler->prefixes, mx_max(options->keep, KEPT_WAITING), err));
    scheduler->running = calloc(options->parallel, sizeof(struct mx_running *));
    if (!scheduler->running) return mx_fail_memory(err, "a scheduler", options->parallel * sizeof *scheduler->running);
    return MX_OK;
}

mx_status mx_scheduler_open(struct mx_scheduler **out, struct mx_session *session,
                            const struct mx_scheduler_options *options, struct mx_error *err)
{
    *out = NULL;
    if (options->parallel == 0 || options->parallel > 4096 || options->context == 0 ||
        (options->chunk != 0 && options->chunk < MX_LEAST_FIRST)) {
        return mx_fail(err, MX_ERR_ARGUMENT,
                       "a scheduler needs 1 to 4096 texts at once, a context, and steps of at least %d tokens",
                       MX_LEAST_FIRST);
    }
    struct mx_scheduler *scheduler = calloc(1, sizeof *scheduler);
    if (!scheduler) return mx_fail_memory(err, "a scheduler", sizeof *scheduler);
    scheduler->session = session;
    scheduler->options = *options;
    if (!scheduler->options.chunk) scheduler->options.chunk = MX_MODEL_CHUNK;
    const mx_status status = open_parts(scheduler, err);
    if (status != MX_OK) {
        mx_scheduler_close(scheduler);
        return status;
    }
    *out = scheduler;
    return MX_OK;
}

void mx_scheduler_close(struct mx_scheduler *scheduler)
{
    if (!scheduler) return;
    for (size_t i = 0; i < scheduler->running_count; i++) mx_running_free(scheduler->running[i]);
    for (struct mx_running *request = scheduler->waiting, *next; request; request = next) {
        next = request->next;
        mx_running_free(request);
    }
    free(scheduler->running);
    mx_pass_close(scheduler->pass);
    close_lane(&scheduler->all);
    close_lane(&scheduler->side);
    mx_prefixes_close(scheduler->prefixes);
    mx_kv_store_close(scheduler->store);
    mx_kv_plan_close(scheduler->plan);
    free(scheduler);
}

bool mx_scheduler_busy(const struct mx_scheduler *scheduler)
{
    return scheduler->running_count > 0 || scheduler->waiting;
}

/* --- starting, parking, ending --- */

static void remove_running(struct mx_scheduler *scheduler, const struct mx_running *request)
{
    size_t i = 0;
    while (scheduler->running[i] != request) i++;
    for (scheduler->running_count--; i < scheduler->running_count; i++)
        scheduler->running[i] = scheduler->running[i + 1];
}

/* Gives a text's cache up until there is room again. */
static void park(struct mx_scheduler *scheduler, struct mx_running *request)
{
    remove_running(scheduler, request);
    mx_sequence_close(request->sequence);
    request->sequence = NULL;
    request->fed = 0;
    request->stop = 0;
    request->parked = true;
    request->next = scheduler->waiting;
    scheduler->waiting = request;
    scheduler->stats.parkings++;
}

/* Frees cache for `request`, a running text, by taking it from who needs it least. False where that is the text itself:
 * it is parked then, or has failed if nothing else is there that could make room. */
static bool make_room(struct mx_scheduler *scheduler, struct mx_running *request, const struct mx_error *why)
{
    if (mx_prefixes_evict(scheduler->prefixes)) return true;
    struct mx_running *newest = NULL;
    for (size_t i = 0; i < scheduler->running_count; i++) {
        if (!scheduler->running[i]->passing) newest = scheduler->running[i];
    }
    if (newest && (newest != request || scheduler->running_count > 1)) {
        park(scheduler, newest);
        return newest != request;
    }
    request->error = *why;
    request->failed = request->ended = true;
    return false;
}

static bool reserve(struct mx_scheduler *scheduler, struct mx_running *request, uint64_t n)
{
    struct mx_error why;
    while (mx_sequence_reserve(request->sequence, n, &why) != MX_OK) {
        if (!make_room(scheduler, request, &why)) return false;
    }
    return true;
}

static void end_request(struct mx_scheduler *scheduler, struct mx_running *request)
{
    struct mx_error *error = &request->error;
    if (!request->failed && mx_reply_end(&request->reply, error) != MX_OK) request->failed = true;
    if (request->sequence) {
        const bool awaited = mx_next_in_common(scheduler, request, 0) > 0;
        const uint64_t servable = mx_tokens_to_share(scheduler, request);
        if (mx_sequence_length(request->sequence) > servable)
            mx_sequence_truncate(request->sequence, mx_sequence_nearest(request->sequence, servable), NULL);
        if (!request->failed && (scheduler->options.keep > 0 || awaited)) {
            (void)mx_prefixes_keep(scheduler->prefixes, request->sequence, request->tokens, NULL);
            request->sequence = NULL;
        }
    }
    if (request->events.done) {
        request->events.done(request->events.context, &request->generation, request->failed ? error : NULL);
    }
    mx_running_free(request);
}

/* Ends those that have come to their end or were cancelled. */
static void end_ended(struct mx_scheduler *scheduler)
{
    for (size_t i = 0; i < scheduler->running_count;) {
        struct mx_running *request = scheduler->running[i];
        if (request->cancelled && !request->ended && !request->passing)
            request->generation.finish = MX_FINISH_INTERRUPTED;
        if (request->passing || (!request->cancelled && !request->ended)) {
            i++;
            continue;
        }
        remove_running(scheduler, request);
        end_request(scheduler, request);
    }
    for (struct mx_running **link = &scheduler->waiting; *link;) {
        struct mx_running *request = *link;
        if (!request->cancelled) {
            link = &request->next;
            continue;
        }
        *link = request->next;
        request->generation.finish = MX_FINISH_INTERRUPTED;
        end_request(scheduler, request);
    }
}

/* Gives a text its sequence, with as much of its prompt as is there already. False: there is no room at present. */
static bool start(struct mx_scheduler *scheduler, struct mx_running *request, const struct mx_sequence *from,
                  uint64_t served, uint64_t alike)
{
    struct mx_error why;
    if (mx_sequence_open(&request->sequence, scheduler->store, &why) != MX_OK) return false;
    if (from && mx_sequence_fork(request->sequence, from, served, NULL) != MX_OK) served = 0;
    request->fed = served;
    const uint64_t first = mx_min(request->prompt - served, scheduler->options.chunk);
    if (mx_sequence_reserve(request->sequence, first, &why) != MX_OK) {
        mx_sequence_close(request->sequence);
        request->sequence = NULL;
        request->fed = 0;
        return false;
    }
    if (!request->started) {
        request->generation.reused_tokens = served;
        scheduler->stats.prompt_tokens += request->prompt;
        scheduler->stats.shared_tokens += served;
    }
    request->started = true;
    request->parked = false;
    if (!mx_kv_plan_cuts_anywhere(scheduler->plan)) {
        request->stop = mx_next_in_common(scheduler, request, served);
        /* A text that ended had more in common than it can give: next time it can be had here. */
        const bool learned = alike >= served + MX_WORTH_SHARING && alike >= mx_kv_plan_least_shared(scheduler->plan);
        if (!request->stop && learned && scheduler->options.keep > 0) request->stop = alike;
    }
    scheduler->running[scheduler->running_count++] = request;
    return true;
}

/* Starts what can be started. Kept beginnings make room for it, running texts don't. */
static void start_waiting(struct mx_scheduler *scheduler)
{
    struct mx_running **link = &scheduler->waiting;
    for (int seen = 0; seen < LOOK_AHEAD && *link && scheduler->running_count < scheduler->options.parallel; seen++) {
        struct mx_running *request = *link;
        uint64_t served, alike;
        const struct mx_sequence *from = mx_find_beginning(scheduler, request, &served, &alike);
        if (mx_should_wait(scheduler, request, served)) {
            link = &request->next;
            continue;
        }
        *link = request->next; /* `stop` looks at those that go on waiting */
        while (!start(scheduler, request, from, served, alike)) {
            if (mx_prefixes_evict(scheduler->prefixes)) {
                from = mx_find_beginning(scheduler, request, &served, &alike);
                continue;
            }
            request->next = *link;
            *link = request;
            return;
        }
    }
}

/* --- parts of a step --- */

static void pick(struct mx_running *request, float *logits, size_t vocab)
{
    int32_t token = -1;
    request->picked = true;
    const size_t made = request->generation.tokens.count;
    if (request->events.logits) request->events.logits(request->events.context, logits, vocab);
    if (mx_reply_next(&request->reply, logits, request->tokens, request->count, request->limit - request->count, &token,
                      &request->ended, &request->error) != MX_OK) {
        request->failed = request->ended = true;
        return;
    }
    if (request->generation.tokens.count > made && request->events.token) {
        request->events.token(request->events.context, token);
    }
    if (!request->ended) request->tokens[request->count++] = token;
}

static void take_logits(void *context, size_t segment, size_t token, size_t count, float *logits)
{
    (void)token;
    (void)count;
    const struct mx_lane *lane = context;
    pick(lane->parts[segment], logits, mx_session_arch(lane->scheduler->session)->vocab);
}

static void add_part(struct mx_lane *lane, struct mx_running *request, size_t n)
{
    const bool decode = request->fed >= request->prompt;
    request->picked = false;
    lane->parts[lane->part_count] = request;
    lane->segments[lane->part_count++] = (struct mx_segment){.sequence = request->sequence,
                                                             .tokens = request->tokens + request->fed,
                                                             .n = n,
                                                             .logits = request->fed + n == request->count,
                                                             .decode = decode,
                                                             .text = request->prompt};
}

/* The next tokens of all texts that are being decoded; more than one where a parked one catches up. */
static size_t add_decoding(struct mx_scheduler *scheduler)
{
    size_t tokens = 0;
    for (size_t i = 0; i < scheduler->running_count; i++) {
        struct mx_running *request = scheduler->running[i];
        if (request->fed < request->prompt || request->ended) continue;
        size_t n = mx_min(request->count - request->fed, REPLAY);
        if (tokens + n > scheduler->options.parallel) n = 1; /* room for all others */
        if (!reserve(scheduler, request, n)) {
            i = request->ended ? i : i - 1; /* parked: another has its place */
            continue;
        }
        add_part(&scheduler->all, request, n);
        tokens += n;
    }
    return tokens;
}

/* Parts of prompts, those that started first before others, at most `most` tokens of one but for its beginning. */
static size_t add_prompts(struct mx_lane *lane, size_t room, size_t most)
{
    struct mx_scheduler *scheduler = lane->scheduler;
    size_t tokens = 0;
    for (size_t i = 0; i < scheduler->running_count && tokens < room; i++) {
        struct mx_running *request = scheduler->running[i];
        if (request->fed >= request->prompt || request->ended) continue;
        const size_t end = request->stop > request->fed ? request->stop : request->prompt;
        const size_t part = request->fed > 0 ? mx_min(end - request->fed, most) : end - request->fed;
        const size_t n = mx_min(part, room - tokens);
        const size_t least = mx_min(request->prompt, MX_LEAST_FIRST);
        if (request->fed == 0 && n < least && n < end) continue; /* its beginning goes in one piece */
        if (!reserve(scheduler, request, n)) {
            i = request->ended ? i : i - 1;
            continue;
        }
        add_part(lane, request, n);
        tokens += n;
    }
    return tokens;
}

/* Parking takes texts away whose parts were added already. */
static size_t drop_parked_parts(struct mx_lane *lane)
{
    size_t kept = 0, tokens = 0;
    for (size_t i = 0; i < lane->part_count; i++) {
        if (!lane->parts[i]->sequence) continue;
        lane->parts[kept] = lane->parts[i];
        lane->segments[kept] = lane->segments[i];
        tokens += lane->segments[kept++].n;
    }
    lane->part_count = kept;
    return tokens;
}

static void add_tally(struct mx_tally *tally, uint64_t tokens, double seconds)
{
    tally->tokens += tokens;
    tally->seconds += seconds;
}

static void count_usage(struct mx_scheduler *scheduler)
{
    const struct mx_kv_usage usage = mx_kv_store_usage(scheduler->store);
    scheduler->stats.cache.shared = mx_max(scheduler->stats.cache.shared, usage.shared);
    scheduler->stats.cache.saved = mx_max(scheduler->stats.cache.saved, usage.saved);
}

/* What was fed is held now; where others wait for a beginning, it is kept. */
static void settle_parts(struct mx_lane *lane)
{
    struct mx_scheduler *scheduler = lane->scheduler;
    for (size_t i = 0; i < lane->part_count; i++) {
        struct mx_running *request = lane->parts[i];
        request->fed += lane->segments[i].n;
        if (request->fed == request->prompt) mx_sequence_mark(request->sequence);
        if (!request->stop || request->fed != request->stop) continue;
        mx_keep_beginning(scheduler, request);
        request->stop = request->fed < request->prompt ? mx_next_in_common(scheduler, request, request->fed) : 0;
    }
}

static void note_bad(void *context, size_t segment)
{
    const struct mx_lane *lane = context;
    lane->parts[segment]->failed = lane->parts[segment]->ended = true;
}

/* One text's logits were no numbers: it ends with that. The others go on from what they hold; whose logits got lost on
 * the way feeds its last token again, or all where it can't go back. */
static void settle_after_bad(struct mx_lane *lane, const struct mx_error *why)
{
    for (size_t i = 0; i < lane->part_count; i++) {
        struct mx_running *request = lane->parts[i];
        const uint64_t length = mx_sequence_length(request->sequence);
        const bool all_fed = length == request->fed + lane->segments[i].n;
        request->fed = length;
        if (request->failed && request->error.status == MX_OK) request->error = *why;
        if (request->failed || !lane->segments[i].logits || request->picked || !all_fed) continue;
        if (mx_sequence_truncate(request->sequence, length - 1, NULL) != MX_OK) mx_sequence_clear(request->sequence);
        request->fed = mx_sequence_length(request->sequence);
    }
}

/* --- the pass beside --- */

/* Whether nobody waits for its results any more. */
static bool pass_is_vain(const struct mx_lane *side)
{
    for (size_t i = 0; i < side->part_count; i++) {
        if (!side->parts[i]->cancelled) return false;
    }
    return true;
}

static void leave_pass(struct mx_scheduler *scheduler)
{
    for (size_t i = 0; i < scheduler->side.part_count; i++) scheduler->side.parts[i]->passing = false;
    scheduler->passing = false;
}

static mx_status start_pass(struct mx_scheduler *scheduler, struct mx_error *err)
{
    struct mx_lane *side = &scheduler->side;
    const struct mx_logits_sink sink = {take_logits, side, note_bad};
    scheduler->sink = sink;
    if (side->part_count == 0) return MX_OK;
    MX_TRY(mx_pass_start(scheduler->pass, side->segments, side->part_count, &scheduler->sink, err));
    for (size_t i = 0; i < side->part_count; i++) side->parts[i]->passing = true;
    scheduler->passing = true;
    scheduler->pass_seconds = 0;
    return MX_OK;
}

/* Whose pass was given up starts anew, if anybody should want it. */
static void settle_after_stop(struct mx_lane *side)
{
    for (size_t i = 0; i < side->part_count; i++) {
        mx_sequence_clear(side->parts[i]->sequence);
        side->parts[i]->fed = 0;
    }
}

/* Lets the pass go on for about `seconds`. */
static mx_status run_pass(struct mx_scheduler *scheduler, double seconds, bool decodes, struct mx_error *err)
{
    struct mx_lane *side = &scheduler->side;
    const bool vain = pass_is_vain(side);
    bool ended;
    struct mx_error why;
    if (vain) mx_pass_stop(scheduler->pass);
    const double begin = mx_seconds();
    const mx_status status = mx_pass_run(scheduler->pass, seconds, &ended, &why);
    scheduler->pass_seconds += mx_seconds() - begin;
    if (!ended) return MX_OK;
    leave_pass(scheduler);
    if (vain) {
        settle_after_stop(side);
        return MX_OK;
    }
    if (status == MX_ERR_NOT_A_NUMBER) {
        settle_after_bad(side, &why);
        return MX_OK;
    }
    if (status != MX_OK) {
        if (err) *err = why;
        return status;
    }
    size_t tokens = 0;
    for (size_t i = 0; i < side->part_count; i++) tokens += side->segments[i].n;
    settle_parts(side);
    scheduler->stats.prefilled += tokens;
    add_tally(decodes ? &scheduler->prefilling_mixed : &scheduler->prefilling, tokens, scheduler->pass_seconds);
    count_usage(scheduler);
    return MX_OK;
}

/* --- a step --- */

/* The fastest of the last steps with as many tokens: what they take where nothing else keeps the machine busy. While
 * something does, prompts have less, and pauses don't grow with what it takes away. */
static void note_decode_seconds(struct mx_scheduler *scheduler, size_t tokens, double latest)
{
    struct mx_step_time *time = &scheduler->decode_time;
    if (time->tokens != tokens) *time = (struct mx_step_time){.tokens = tokens, .least = latest, .before = latest};
    time->least = fmin(time->least, latest);
    scheduler->decode_seconds = fmin(time->least, time->before);
    if (++time->steps < RECENT) return;
    *time = (struct mx_step_time){.tokens = tokens, .least = INFINITY, .before = time->least};
}

/* Feeds what is in the lane of all, all at once. */
static mx_status run_all(struct mx_scheduler *scheduler, size_t tokens, bool decodes, double *seconds,
                         struct mx_error *err)
{
    struct mx_lane *all = &scheduler->all;
    const struct mx_logits_sink sink = {take_logits, all, note_bad};
    const double begin = mx_seconds();
    struct mx_error why;
    const mx_status status = mx_model_forward(mx_session_model(scheduler->session), all->workspace, all->segments,
                                              all->part_count, &sink, NULL, &why);
    *seconds = mx_seconds() - begin;
    if (status == MX_ERR_NOT_A_NUMBER) {
        settle_after_bad(all, &why);
        return MX_OK;
    }
    if (status != MX_OK) {
        if (err) *err = why;
        return status;
    }
    if (decodes) note_decode_seconds(scheduler, tokens, *seconds);
    settle_parts(all);
    *(decodes ? &scheduler->stats.decoded : &scheduler->stats.prefilled) += tokens;
    add_tally(decodes ? &scheduler->decoding : &scheduler->prefilling, tokens, *seconds);
    count_usage(scheduler);
    return MX_OK;
}

mx_status mx_scheduler_step(struct mx_scheduler *scheduler, struct mx_error *err)
{
    struct mx_lane *all = &scheduler->all, *side = &scheduler->side;
    end_ended(scheduler);
    start_waiting(scheduler);
    all->part_count = 0;
    const bool decodes = add_decoding(scheduler) > 0;
    if (decodes && !scheduler->passing && side->workspace) {
        side->part_count = 0;
        (void)add_prompts(side, side_chunk(&scheduler->options), BESIDE_PART);
        (void)drop_parked_parts(side);
        MX_TRY(start_pass(scheduler, err));
    } else if (!decodes && !scheduler->passing) {
        (void)add_prompts(all, scheduler->options.chunk, SIZE_MAX);
    }
    const size_t tokens = drop_parked_parts(all);
    double seconds = 0;
    if (all->part_count > 0) MX_TRY(run_all(scheduler, tokens, decodes, &seconds, err));
    if (scheduler->passing) {
        /* Where the tokens took longer than they do as a rule, the prompts have less. */
        const double left = WHOLE_STEP * scheduler->decode_seconds - seconds;
        MX_TRY(run_pass(scheduler, decodes ? fmax(left, 0) : INFINITY, decodes, err));
    }
    end_ended(scheduler);
    return MX_OK;
}

/* --- facts --- */

static double speed(const struct mx_tally *alone, const struct mx_tally *mixed)
{
    const struct mx_tally *tally = alone->tokens || !mixed ? alone : mixed;
    return tally->seconds > 0 ? (double)tally->tokens / tally->seconds : 0;
}

struct mx_scheduler_stats mx_scheduler_stats(struct mx_scheduler *scheduler)
{
    struct mx_scheduler_stats stats = scheduler->stats;
    stats.running = scheduler->running_count;
    stats.waiting = stats.parked = 0;
    for (const struct mx_running *request = scheduler->waiting; request; request = request->next) {
        stats.waiting++;
        stats.parked += request->parked;
    }
    stats.kept = mx_prefixes_count(scheduler->prefixes);
    stats.decode_tok_s = speed(&scheduler->decoding, NULL);
    stats.prefill_tok_s = speed(&scheduler->prefilling, &scheduler->prefilling_mixed);
    const struct mx_lane *const lanes[] = {&scheduler->all, &scheduler->side};
    for (int i = 0; i < 2; i++) {
        if (!lanes[i]->workspace) continue;
        const struct mx_experts_use use = mx_workspace_experts(lanes[i]->workspace);
        stats.experts.layers += use.layers;
        stats.experts.read += use.read;
    }
    const struct mx_kv_usage usage = mx_kv_store_usage(scheduler->store);
    stats.cache.budget = usage.budget;
    stats.cache.used = usage.used;
    stats.cache.peak = usage.peak;
    return stats;
}

const struct mx_kv_setup *mx_scheduler_setup(const struct mx_scheduler *scheduler)
{
    return mx_kv_plan_setup(scheduler->plan);
}
