/* The experts block: a router chooses a few of many feed-forwards for each token.
 *
 * Tokens are grouped by expert, so that in a prefill each expert's weights are read once for all its tokens; decoding
 * is the same with groups of one. Several experts' products are one loop for the threads, as long as a dense layer's.
 * The sum over a token's experts runs in the order of the experts' numbers, whatever the threads. */
#include <math.h>
#include <string.h>

#include "base/checked.h"
#include "model/block.h"
#include "model/rows.h"

struct routing {
    const struct mx_run *run;
    const struct mx_experts *experts;
    const float *choice_bias, *expert_scale; /* [experts], or NULL */
};

static bool is_taken(const uint32_t *chosen, uint32_t taken, uint32_t expert)
{
    for (uint32_t i = 0; i < taken; i++)
        if (chosen[i] == expert) return true;
    return false;
}

/* The largest of scores[count] besides the `taken` ones; of equals the first. Never one twice, whatever the scores. */
static uint32_t best_left(const float *scores, uint32_t count, const uint32_t *chosen, uint32_t taken)
{
    uint32_t best = count;
    for (uint32_t expert = 0; expert < count; expert++) {
        if (is_taken(chosen, taken, expert)) continue;
        if (best == count || scores[expert] > scores[best]) best = expert;
    }
    return best;
}

/* What a token is routed among: experts, and those that are empty, numbered behind them. */
static uint32_t routes_of(const struct mx_experts *experts)
{
    return experts->count + experts->empty;
}

/* The `used` largest of scores[count], largest first. */
static void choose(const float *scores, uint32_t count, uint32_t used, uint32_t *chosen)
{
    for (uint32_t place = 0; place < used; place++) chosen[place] = best_left(scores, count, chosen, place);
}

/* How good a group is: its best score, or its two best together (arXiv 2412.19437, section 2.1.2). */
static float group_score(const struct mx_experts *experts, const float *scores, uint32_t size)
{
    float best = -INFINITY, second = -INFINITY;
    for (uint32_t i = 0; i < size; i++) {
        if (scores[i] > best) {
            second = best;
            best = scores[i];
        } else if (scores[i] > second) {
            second = scores[i];
        }
    }
    return experts->group_pairs && size > 1 ? best + second : best;
}

/* Leaves only the experts of the best groups to choose from. `choice` [count]; `room` [count] for the groups' scores.
 */
static void keep_groups(const struct mx_experts *experts, float *choice, float *room, uint32_t *chosen)
{
    const uint32_t size = experts->count / experts->groups;
    for (uint32_t g = 0; g < experts->groups; g++) room[g] = group_score(experts, choice + g * size, size);
    for (uint32_t kept = 0; kept < experts->groups_used; kept++) {
        uint32_t best = 0;
        for (uint32_t g = 1; g < experts->groups; g++)
            if (room[g] > room[best]) best = g;
        room[best] = -INFINITY;
        chosen[best / 32] |= 1u << best % 32;
    }
    for (uint32_t g = 0; g < experts->groups; g++)
        for (uint32_t i = 0; i < size && !(chosen[g / 32] >> g % 32 & 1); i++) choice[g * size + i] = -INFINITY;
}

/* SparseMixer (arXiv 2310.00811) as it decides once trained: the best expert, weighed by a softmax over all whose
 * scores are within a margin of its own; then the same without it. */
static void mix_sparsely(const struct mx_experts *experts, const float *scores, uint32_t *chosen, float *weight)
{
    for (uint32_t place = 0; place < experts->used; place++) {
        const uint32_t best = best_left(scores, experts->count, chosen, place);
        const float top = scores[best];
        float sum = 0;
        for (uint32_t i = 0; i < experts->count; i++) {
            const bool near = (top - scores[i]) / fmaxf(fabsf(scores[i]), top) <= (float)experts->margin;
            if (near && !is_taken(chosen, place, i)) sum += expf(scores[i] - top);
        }
        chosen[place] = best;
        weight[place] = 1 / sum;
    }
}

/* `choice` and `room` [routes]: scratch. */
static void route_token(const struct routing *routing, float *scores, float *choice, float *room, uint32_t *chosen,
                        float *weight)
{
    const struct mx_experts *experts = routing->experts;
    const struct mx_dense_kernels *kernels = routing->run->kernels;
    const uint32_t routes = routes_of(experts);
    if (experts->margin > 0) {
        mix_sparsely(experts, scores, chosen, weight);
        return;
    }
    if (experts->sigmoid) {
        kernels->sigmoid(scores, scores, routes);
    } else if (experts->softmax_first) {
        kernels->softmax(scores, routes);
    }
    memcpy(choice, scores, routes * sizeof *choice);
    if (routing->choice_bias) kernels->add(choice, routing->choice_bias, routes);
    if (experts->groups) {
        uint32_t kept[MX_ARCH_MAX_EXPERTS / 32] = {0};
        keep_groups(experts, choice, room, kept);
    }
    choose(choice, routes, experts->used, chosen);
    float sum = 0;
    for (uint32_t i = 0; i < experts->used; i++) sum += weight[i] = scores[chosen[i]];
    if (!experts->sigmoid && !experts->softmax_first) {
        kernels->softmax(weight, experts->used);
    } else if (experts->normalize) {
        kernels->scale(weight, 1 / sum, experts->used);
    }
    if (experts->scale != 1) kernels->scale(weight, (float)experts->scale, experts->used);
    for (uint32_t i = 0; routing->expert_scale && i < experts->used; i++) weight[i] *= routing->expert_scale[chosen[i]];
}

static void route_piece(void *context, size_t first, size_t last)
{
    const struct routing *routing = context;
    const struct mx_workspace *workspace = routing->run->workspace;
    const size_t used = routing->experts->used, routes = routes_of(routing->experts);
    for (size_t t = first; t < last; t++) {
        float *scores = workspace->scores + 3 * t * routes;
        route_token(routing, scores, scores + routes, scores + 2 * routes, workspace->chosen + t * used,
                    workspace->weight + t * used);
    }
}

/* Counting sort of all (token, place) by expert: those of expert e are order[first[e] .. first[e + 1]). */
static void group_by_expert(struct mx_workspace *workspace, size_t entries, uint32_t experts)
{
    uint32_t *first = workspace->first;
    memset(first, 0, (experts + 1) * sizeof *first);
    for (size_t i = 0; i < entries; i++) first[workspace->chosen[i]]++;
    uint32_t total = 0;
    for (uint32_t expert = 0; expert < experts; expert++) {
        total += first[expert];
        first[expert] = total; /* the end, for now */
    }
    first[experts] = total;
    for (size_t i = entries; i-- > 0;) workspace->order[--first[workspace->chosen[i]]] = (uint32_t)i;
}

struct transfer {
    const struct mx_run *run;
    const uint32_t *entries; /* of the expert that runs */
    const float *from;
    float *to;
    const float *gate;  /* one number per row, or NULL */
    size_t count, cols; /* entries, and columns of a piece: of a scatter */
};

static void gather_piece(void *context, size_t first, size_t last)
{
    const struct transfer *job = context;
    const size_t hidden = job->run->arch->hidden, used = job->run->arch->experts.used;
    for (size_t i = first; i < last; i++) {
        float *to = job->to + i * hidden;
        memcpy(to, job->from + job->entries[i] / used * hidden, hidden * sizeof *to);
        if (job->run->arch->experts.weigh_input)
            job->run->kernels->scale(to, job->run->workspace->weight[job->entries[i]], hidden);
    }
}

enum { FEW_ROWS = 8 /* that one thread adds up sooner than two agree on it */, SCATTER_COLS = 256 };

/* to[token] += weight * from[i], where the weight wasn't the input's: some columns of all of them, so that pieces don't
 * meet and a token's terms are added in their order. */
static void scatter_piece(void *context, int piece, int worker)
{
    (void)worker;
    const struct transfer *job = context;
    const size_t hidden = job->run->arch->hidden, used = job->run->arch->experts.used;
    const size_t first = (size_t)piece * job->cols, cols = mx_min(job->cols, hidden - first);
    for (size_t i = 0; i < job->count; i++) {
        const uint32_t entry = job->entries[i];
        const float weight = job->run->arch->experts.weigh_input ? 1 : job->run->workspace->weight[entry];
        job->run->kernels->axpy(job->to + entry / used * hidden + first, weight, job->from + i * hidden + first, cols);
    }
}

static void scatter(const struct mx_run *run, const uint32_t *entries, size_t count, const float *from, float *to)
{
    const size_t hidden = run->arch->hidden;
    struct transfer job = {.run = run, .entries = entries, .from = from, .to = to, .count = count};
    job.cols = count <= FEW_ROWS ? hidden : SCATTER_COLS;
    mx_pool_run(run->pool, (int)((hidden + job.cols - 1) / job.cols), scatter_piece, &job);
}

/* to[t] += sigmoid(gate[t]) * from[t] */
static void gated_add_piece(void *context, size_t first, size_t last)
{
    const struct transfer *job = context;
    const size_t hidden = job->run->arch->hidden;
    for (size_t t = first; t < last; t++) {
        job->run->kernels->axpy(job->to + t * hidden, 1 / (1 + expf(-job->gate[t])), job->from + t * hidden, hidden);
    }
}

/* out [n, rows] = one matrix times x [n, hidden] */
static void multiply(const struct mx_run *run, const struct mx_linear *linear, float *out, const float *x)
{
    const struct mx_matmul_job job = {&linear->matrix, linear->bias, out, linear->matrix.rows, false};
    mx_matmul_many(&run->workspace->machine, &job, 1, x, run->arch->hidden, run->n);
}

static void gather(const struct mx_run *run, const uint32_t *entries, size_t count, const float *x)
{
    struct transfer job = {.run = run, .entries = entries, .from = x, .to = run->workspace->gathered};
    mx_rows(run->pool, count, gather_piece, &job);
}

static void run_expert(const struct mx_run *run, const struct mx_feed_forward_weights *expert, const uint32_t *entries,
                       size_t count, const float *x, float *out)
{
    struct mx_workspace *workspace = run->workspace;
    gather(run, entries, count, x);
    mx_feed_forward_block(run, expert, count, workspace->gathered, workspace->expert_out, false);
    scatter(run, entries, count, workspace->expert_out, out);
}

/* Experts [first, end), whose tokens, `rows` in all, run together: what one of them alone gives the threads is little
 * more than they need to agree on it. The sums are those of run_expert. */
struct batch {
    uint32_t first, end;
    size_t rows;
};

static size_t tokens_of(const struct mx_run *run, uint32_t expert)
{
    return run->workspace->first[expert + 1] - run->workspace->first[expert];
}

/* The experts from `first` on whose tokens and products have room beside each other; at least one. */
static struct batch batch_from(const struct mx_run *run, uint32_t first)
{
    const size_t room = mx_min(mx_max(run->workspace->chunk, run->arch->experts.used), MX_CHUNK_TOKENS);
    struct batch batch = {first, first + 1, tokens_of(run, first)};
    for (uint32_t busy = batch.rows > 0; batch.end < run->arch->experts.count; batch.end++) {
        const size_t more = tokens_of(run, batch.end);
        busy += more > 0;
        if (batch.rows + more > room || 2 * busy > MX_MATMUL_JOBS) break;
        batch.rows += more;
    }
    return batch;
}

static void run_batch(const struct mx_run *run, const struct mx_feed_forward_weights *experts, struct batch batch,
                      const float *x, float *out)
{
    struct mx_workspace *workspace = run->workspace;
    const uint32_t *entries = workspace->order + workspace->first[batch.first];
    const size_t width = experts->up.matrix.rows, hidden = run->arch->hidden;
    const bool one_input = run->n == 1 && !run->arch->experts.weigh_input;
    struct mx_matmul_job in[MX_MATMUL_JOBS], down[MX_MATMUL_JOBS];
    struct mx_matmul_rows from[MX_MATMUL_JOBS], middle[MX_MATMUL_JOBS];
    int ins = 0, downs = 0;
    size_t row = 0;
    for (uint32_t e = batch.first; e < batch.end; e++) {
        const struct mx_linear *up = &experts[e].up, *gate = &experts[e].gate, *last = &experts[e].down;
        const size_t count = tokens_of(run, e);
        if (!count) continue;
        middle[downs] = (struct mx_matmul_rows){row, count};
        down[downs++] =
            (struct mx_matmul_job){&last->matrix, last->bias, workspace->expert_out + row * hidden, hidden, false};
        from[ins] = one_input ? (struct mx_matmul_rows){0, 1} : middle[downs - 1];
        in[ins++] = (struct mx_matmul_job){&up->matrix, up->bias, workspace->up + row * width, width, false};
        if (gate->matrix.rows) {
            from[ins] = from[ins - 1];
            in[ins++] = (struct mx_matmul_job){&gate->matrix, gate->bias, workspace->gate + row * width, width, false};
        }
        row += count;
    }
    if (!one_input) gather(run, entries, batch.rows, x);
    mx_matmul_apart(&workspace->machine, in, from, ins, one_input ? x : workspace->gathered, hidden);
    const float *products = mx_feed_forward_middle(run, experts, batch.rows);
    mx_matmul_apart(&workspace->machine, down, middle, downs, products, width);
    scatter(run, entries, batch.rows, workspace->expert_out, out);
    workspace->use.read += (uint64_t)downs;
}

/* Whether an expert has nothing of its own between its products. */
static bool runs_together(const struct mx_run *run, const struct mx_experts_weights *weights)
{
    return !weights->experts[0].inner_norm.weight && run->arch->activation != MX_ACTIVATION_XIELU;
}

static void run_all(const struct mx_run *run, const struct mx_experts_weights *weights, const float *x, float *out)
{
    const bool together = runs_together(run, weights);
    struct mx_workspace *workspace = run->workspace;
    for (uint32_t expert = 0; expert < run->arch->experts.count;) {
        const struct batch one = {expert, expert + 1, tokens_of(run, expert)};
        const struct batch batch = together && one.rows <= MX_CHUNK_TOKENS ? batch_from(run, expert) : one;
        expert = batch.end;
        if (!batch.rows) continue;
        if (together && one.rows <= MX_CHUNK_TOKENS) {
            run_batch(run, weights->experts, batch, x, out);
            continue;
        }
        run_expert(run, &weights->experts[one.first], workspace->order + workspace->first[one.first], one.rows, x, out);
        workspace->use.read++;
    }
}

/* Experts that pass their input on. */
static void run_empty(const struct mx_run *run, const float *x, float *out)
{
    const struct mx_experts *experts = &run->arch->experts;
    for (uint32_t expert = experts->count; expert < routes_of(experts); expert++) {
        const uint32_t *entries = run->workspace->order + run->workspace->first[expert];
        gather(run, entries, tokens_of(run, expert), x);
        scatter(run, entries, tokens_of(run, expert), run->workspace->gathered, out);
    }
}

static void run_shared(const struct mx_run *run, const struct mx_experts_weights *weights, const float *x, float *out)
{
    struct mx_workspace *workspace = run->workspace;
    if (!weights->shared_gate.matrix.rows) {
        mx_feed_forward_block(run, &weights->shared, run->n, x, out, true);
        return;
    }
    mx_feed_forward_block(run, &weights->shared, run->n, x, workspace->expert_out, false);
    multiply(run, &weights->shared_gate, workspace->scores, x);
    struct transfer add = {.run = run, .from = workspace->expert_out, .to = out, .gate = workspace->scores};
    mx_rows(run->pool, run->n, gated_add_piece, &add);
}

void mx_route(const struct mx_run *run, const struct mx_linear *router, const float *choice_bias,
              const float *expert_scale, const float *x)
{
    const struct mx_experts *experts = &run->arch->experts;
    struct mx_workspace *workspace = run->workspace;
    const struct mx_matmul_job job = {&router->matrix, router->bias, workspace->scores, 3 * (size_t)routes_of(experts),
                                      false};
    mx_matmul_many(&workspace->machine, &job, 1, x, run->arch->hidden, run->n);
    struct routing routing = {run, experts, choice_bias, expert_scale};
    mx_rows(run->pool, run->n, route_piece, &routing);
    group_by_expert(workspace, run->n * experts->used, routes_of(experts));
}

/* out[t] += bias */
struct common_bias {
    const struct mx_run *run;
    const float *bias;
    float *out;
};

static void bias_piece(void *context, size_t first, size_t last)
{
    const struct common_bias *job = context;
    const size_t hidden = job->run->arch->hidden;
    for (size_t t = first; t < last; t++) job->run->kernels->add(job->out + t * hidden, job->bias, hidden);
}

void mx_add_common_bias(const struct mx_run *run, const float *bias, float *out)
{
    struct common_bias job = {run, bias, out};
    mx_rows(run->pool, run->n, bias_piece, &job);
}

void mx_run_experts(const struct mx_run *run, const struct mx_layer *layer, const struct mx_experts_weights *weights,
                    const float *x, float *out, bool add)
{
    run->workspace->use.layers++;
    if (!add) memset(out, 0, run->n * run->arch->hidden * sizeof *out);
    run_all(run, weights, x, out);
    run_empty(run, x, out);
    if (layer->feed_forward.shared_width) run_shared(run, weights, x, out);
    if (weights->common_bias) mx_add_common_bias(run, weights->common_bias, out);
}

void mx_experts_block(const struct mx_run *run, const struct mx_layer *layer, const struct mx_experts_weights *weights,
                      const float *x, float *out, bool add)
{
    mx_route(run, &weights->router, weights->choice_bias, weights->expert_scale, x);
    mx_run_experts(run, layer, weights, x, out, add);
}
